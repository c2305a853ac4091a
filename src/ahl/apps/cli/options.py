"""Options declared once: as fields of a dataclass, which a verb gets with their values.

A verb's dataclass has a field for each option and for each group of options that it shares with
other verbs, in the order of its help.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import (
    Any,
    Literal,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

import click

from ahl.apps.cli.common import errors_as_messages

Group = TypeVar("Group")
Decorator = Callable[[Callable[..., None]], Callable[..., None]]
"""Decorator of a verb."""

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
EXISTING_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
POSITIVE = click.IntRange(min=1)


def option(help: str, *names: str, default: Any = MISSING, **settings: Any) -> Any:  # noqa: A002, ANN401
    """A field that is an option, required if it has no default.

    Args:
        help: shown by `--help`, followed by the default.
        names: instead of `--` and the field's name; short ones are added to that.
        default: of the option.
        settings: further arguments of `click.option`; `type` where the field's is not enough.
    """
    return field(default=default, metadata={"names": names, "help": help, **settings})


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(option,))
def options(group: type[Group]) -> type[Group]:
    """Make a class a dataclass of options, and of groups of options."""
    return dataclass(frozen=True, kw_only=True)(group)


def takes(group: type[Any]) -> Decorator:
    """Give a verb the options of a dataclass; it gets their values as its argument `options`."""

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(verb)
        def filled(**given: Any) -> None:  # noqa: ANN401 - whatever click read
            options = _fill(group, given)
            verb(**given, options=options)

        decorated = errors_as_messages(filled)
        for option in reversed([*_click_options(group)]):
            decorated = option(decorated)
        return decorated

    return decorate


def _groups(group: type[Any]) -> dict[str, type[Any]]:
    """The fields of a dataclass that are dataclasses themselves."""
    return {
        name: kind
        for name, kind in get_type_hints(group).items()
        if isinstance(kind, type) and is_dataclass(kind)
    }


def _click_options(group: type[Any]) -> Iterator[Decorator]:
    kinds, groups = get_type_hints(group), _groups(group)
    for one in fields(group):
        if one.name in groups:
            yield from _click_options(groups[one.name])
        else:
            yield _click_option(one, kinds[one.name])


def _click_option(one: Field[Any], kind: Any) -> Decorator:  # noqa: ANN401 - a type
    settings = {"multiple": get_origin(kind) is tuple, "is_flag": kind is bool, **one.metadata}
    names = settings.pop("names")
    if not any(name.startswith("--") for name in names):
        names = (f"--{one.name.replace('_', '-')}", *names)
    if get_origin(kind) in (types.UnionType, Union, tuple):  # X | None, or tuple[X, ...]
        kind = get_args(kind)[0]
    settings.setdefault(
        "type", click.Choice(get_args(kind)) if get_origin(kind) is Literal else kind
    )
    if one.default is MISSING:
        settings["required"] = True
    else:
        settings["default"] = one.default
        settings["show_default"] = one.default not in (None, ()) and kind is not bool
    return click.option(*names, one.name, **settings)


def _fill(group: type[Any], given: dict[str, Any]) -> Any:  # noqa: ANN401 - the dataclass
    """Take a dataclass's values out of those that click read."""
    groups = _groups(group)
    return group(
        **{
            one.name: _fill(groups[one.name], given) if one.name in groups else given.pop(one.name)
            for one in fields(group)
        }
    )
