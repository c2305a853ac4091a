"""Advice on a labelled folder: what the labels are worth, what looks wrong, what would help."""

from ahl.advice.advising import Advice, advise
from ahl.advice.sentences import Section, sections

__all__ = ["Advice", "Section", "advise", "sections"]
