"""Options that are fields of dataclasses."""

from pathlib import Path
from typing import Literal

import click
import pytest
from click.testing import CliRunner

from ahl._common.errors import ConfigurationError
from ahl.apps.cli import main
from ahl.apps.cli.groups import Caching, Computing, Features, parse_arguments, parse_stages
from ahl.apps.cli.options import option, options, takes


@options
class Inner:
    """A group."""

    size: int | None = option("The size.", default=None, type=click.IntRange(min=1))


@options
class Outer:
    """A verb's options."""

    output: Path = option("Where to.", "-o", type=click.Path(path_type=Path))
    kind: Literal["one", "two"] = option("The kind.", default="one")
    other: Literal["one", "two"] | None = option("Another kind.", default=None)
    inner: Inner
    many: tuple[str, ...] = option("Several.", "--each", default=())
    number: int = option("A number.", default=0)
    loud: bool = option("Say it.", default=False)


@pytest.fixture
def verb():
    """A verb, and a list of what it was called with."""
    calls = []

    @click.command()
    @click.argument("name")
    @takes(Outer)
    def called(name, options):
        if name == "wrong":
            raise ConfigurationError("name is wrong; expected another.")
        calls.append((name, options))

    return called, calls


def test_a_verb_gets_its_options_filled(verb):
    called, calls = verb
    line = "x --output a.png --kind two --size 3 --each a --each b --number 7 --loud"
    CliRunner().invoke(called, line.split(), catch_exceptions=False)
    CliRunner().invoke(called, ["y", "-o", "b"], catch_exceptions=False)
    assert calls == [
        (
            "x",
            Outer(
                output=Path("a.png"),
                kind="two",
                inner=Inner(size=3),
                many=("a", "b"),
                number=7,
                loud=True,
            ),
        ),
        ("y", Outer(output=Path("b"), inner=Inner())),
    ]


def test_help_keeps_the_order_of_the_fields_and_shows_defaults(verb):
    called, _ = verb
    text = CliRunner().invoke(called, ["--help"]).output
    lines = [" ".join(line.split()) for line in text.splitlines() if line.startswith("  -")]
    assert lines == [
        "-o, --output PATH Where to. [required]",
        "--kind [one|two] The kind. [default: one]",
        "--other [one|two] Another kind.",
        "--size INTEGER RANGE The size. [x>=1]",
        "--each TEXT Several.",
        "--number INTEGER A number. [default: 0]",
        "--loud Say it.",
        "--help Show this message and exit.",
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("x", "Missing option '--output' / '-o'"),
        ("x -o a --kind three", "'three' is not one of 'one', 'two'"),
        ("x -o a --size 0", "0 is not in the range x>=1"),
        ("wrong -o a", "ahl: name is wrong; expected another."),
    ],
)
def test_mistakes_are_wrong_usage(verb, line, says):
    result = CliRunner().invoke(verb[0], line.split())
    assert result.exit_code == 2
    assert says in result.output


def test_what_verbs_share_is_the_same_everywhere():
    commands = main.commands | main.commands["benchmark"].commands
    shared = {"backbone", "weights", "backbone_args", "stages", "image_size", "tiles", "no_cache"}
    shared |= {"device", "threads", "cache", "log", "tensorboard", "mlflow", "seed", "as_json"}
    found = {}
    verbs = "train adapt advise evaluate report threshold update demo run"
    for verb in verbs.split():
        for parameter in commands[verb].params:
            if parameter.name in shared:
                told = (parameter.opts, parameter.help, parameter.default, repr(parameter.type))
                assert found.setdefault(parameter.name, told) == told, (verb, parameter.name)
    assert set(found) == shared


def test_groups_come_to_what_the_library_takes(tmp_path):
    assert Caching(cache=tmp_path, no_cache=False).place == tmp_path
    assert Caching(cache=None, no_cache=True).place is None
    assert Caching(cache=None, no_cache=False).place == "auto"
    with pytest.raises(ConfigurationError, match="not both"):
        _ = Caching(cache=tmp_path, no_cache=True).place
    assert Computing(device="cpu", threads=None).device == "cpu"
    given = Features(backbone="resnet18", stages="2,3", backbone_args=("a=1", "b=x=y"))
    assert given.choice() == {
        "backbone": "resnet18",
        "weights": None,
        "backbone_arguments": {"a": 1, "b": "x=y"},
        "stages": (2, 3),
    }
    with pytest.raises(ConfigurationError, match="expected KEY=VALUE"):
        parse_arguments(("=1",))
    with pytest.raises(ConfigurationError, match="expected numbers such as"):
        parse_stages("two")
    assert parse_stages(None) is None
