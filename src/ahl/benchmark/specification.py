"""Specifications of methods: `NAME`, or `NAME,SECTION.FIELD=VALUE,...`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from ahl._common.errors import ConfigurationError
from ahl._common.text import literal
from ahl.benchmark.known_methods import find_method
from ahl.benchmark.method_types import Method, Settings
from ahl.config import Config


@dataclass(frozen=True, kw_only=True)
class Specification:
    """A specification taken apart; whether there are such a method and such fields is not asked.

    Attributes:
        name: of the method.
        settings: dotted names of config fields, and their values as written ("" if there is none).
    """

    name: str
    settings: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, text: str) -> Self:
        """Take any text apart."""
        name, *parts = (part.strip() for part in text.split(","))
        fields = (part.partition("=") for part in parts)
        return cls(name=name, settings=tuple((f.strip(), value.strip()) for f, _, value in fields))

    def titled(self, title: str) -> str:
        """A title of the method with the settings behind it."""
        return ", ".join([title, *(f"{f}={value}" if value else f for f, value in self.settings)])

    def without(self, field: str) -> Self:
        """The specification that leaves a field at the method's own value."""
        return replace(self, settings=tuple(s for s in self.settings if s[0] != field))


@dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """A method with settings of its own.

    Attributes:
        text: the specification as it was written, and stands in the results.
        method: the method.
        settings: dotted names of config fields and their values.
    """

    text: str
    method: Method
    settings: Settings

    @classmethod
    def parse(cls, text: str, further: tuple[Method, ...] = ()) -> MethodSpec:
        """Read a specification.

        Raises:
            ConfigurationError: if it names no method, has another form, or sets what the method
                fixes or does not read.
        """
        written = Specification.read(text)
        method = find_method(written.name, further)
        fixed = dict(method.fixed)
        for field, value in written.settings:
            if not value or field.count(".") != 1:
                raise ConfigurationError(
                    f"The setting {field!r} of {text!r} must be SECTION.FIELD=VALUE, such as "
                    "distributions.clusters=4."
                )
            if not method.reads_config:
                raise ConfigurationError(
                    f"The method {method.name} takes no settings; leave {field} out of {text!r}."
                )
            if field in fixed:
                raise ConfigurationError(
                    f"The method {method.name} is what it is by {field}={fixed[field]}; leave it "
                    f"out of {text!r}, or choose another method."
                )
        return cls(
            text=text,
            method=method,
            settings=tuple((field, literal(value)) for field, value in written.settings),
        )

    def configure(self, config: Config) -> Config:
        """The config with the method's own settings, those of the specification, what is fixed.

        Raises:
            ConfigurationError: if a setting names no field or has a value that cannot work.
        """
        return self._with(config, (*self.method.settings, *self.settings, *self.method.fixed))

    def plain(self, config: Config) -> Config:
        """The config with the method's own settings and what is fixed only."""
        return self._with(config, (*self.method.settings, *self.method.fixed))

    def _with(self, config: Config, settings: Settings) -> Config:
        values = config.to_dict()
        for name, value in settings:
            section, field = name.split(".")
            if field not in values.get(section, {}):
                raise ConfigurationError(f"There is no setting {name!r} (in {self.text!r}).")
            if section in ("finetune", "features"):
                raise ConfigurationError(
                    f"{name} (in {self.text!r}) cannot differ between methods, which share their "
                    "features; set it for the whole run."
                )
            values[section][field] = value
        return Config.from_dict(values)
