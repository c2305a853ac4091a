"""Prose on a terminal, and elsewhere."""

import io
import sys

import click

from ahl.apps.cli.common import indented, tell

NOTE = "  bar (8): " + "word " * 30


class Terminal(io.StringIO):
    def isatty(self):
        return True


def told(monkeypatch, stream, *, err=False):
    monkeypatch.setattr(sys, "stderr" if err else "stdout", stream)
    monkeypatch.setattr(click.utils, "should_strip_ansi", lambda *given: False)
    tell(f"first\n{NOTE}", err=err)
    return stream.getvalue().splitlines()


def test_lines_are_wrapped_at_words_on_a_terminal_alone(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert told(monkeypatch, io.StringIO()) == ["first", NOTE]
    for err in (False, True):
        first, *lines = told(monkeypatch, Terminal(), err=err)
        assert first == "first"
        assert len(lines) == 3
        assert all(len(line) <= 80 for line in lines)
        assert all(line.startswith("    word") for line in lines[1:]), "below the list's entry"
        assert " ".join(" ".join(lines).split()) == NOTE.strip()


def test_long_names_stay_whole(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    name = "a-b/" * 30
    (line,) = (line for line in indented(f"It is like {name} there.").splitlines() if name in line)
    assert line.strip().startswith(name)
    assert line.startswith(" " * 12)
