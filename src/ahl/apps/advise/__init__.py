"""Advice on a labelled folder: what the labels are worth, what looks wrong, what would help."""

from ahl.apps.advise.advising import Advice, advise
from ahl.apps.advise.sentences import Section, sections

__all__ = ["Advice", "Section", "advise", "sections"]
