"""Typed values with bounds (msgspec), for checking settings and reading JSON."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec import Meta

from ahl._common.errors import ConfigurationError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


LARGEST: Final = 3.4e38
"""Largest number allowed in settings and files; it fits into float32."""

# Upper limits, as values may come from a file that somebody else wrote. A share is from 0 to 1; an
# open one is neither 0 nor 1.
Finite = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Positive = Annotated[float, Meta(gt=0, le=LARGEST)]
NotNegative = Annotated[float, Meta(ge=0, le=LARGEST)]
Share = Annotated[float, Meta(ge=0, le=1)]
PositiveShare = Annotated[float, Meta(gt=0, le=1)]
OpenShare = Annotated[float, Meta(gt=0, lt=1)]
Count = Annotated[int, Meta(ge=0, le=10**9)]
Natural = Annotated[int, Meta(ge=1, le=10**9)]

T = TypeVar("T", bound="DataclassInstance")
Value = TypeVar("Value")


def read_json(text: str | bytes, kind: type[Value]) -> Value:
    """Parse untrusted JSON as a value of type `kind`; fields may be paths.

    msgspec's own reader refuses file names that are not UTF-8; this one does not.

    Raises:
        ValueError: if it is not JSON, holds NaN or an infinity, or does not match `kind`.
    """
    try:
        values = json.loads(text, parse_constant=_number, parse_float=_number)
        return msgspec.convert(values, kind, dec_hook=lambda kind, value: kind(value))
    except (RecursionError, OverflowError, TypeError) as error:
        raise ValueError(f"values cannot be read: {error}") from error


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is not a JSON number")
    return value


def read_values(values: object, kind: type[T]) -> T:
    """Convert JSON values to a dataclass; `dataclasses.asdict` is the inverse.

    No default is filled in, and no unknown field is ignored.

    Raises:
        ValueError: if the values do not match the dataclass exactly.
    """
    try:
        found = msgspec.convert(values, kind)
        if _as_json(asdict(found)) != _as_json(values):
            raise ValueError("fields are missing or unknown")
    except (RecursionError, OverflowError, TypeError) as error:  # in fields of any JSON values
        raise ValueError(f"values cannot be read: {error}") from error
    return found


def base_of(value: DataclassInstance, kind: type[T]) -> T:
    """The fields of a value that its base class `kind` has, as an instance of `kind`."""
    return kind(**{field.name: getattr(value, field.name) for field in fields(kind)})


def _as_json(value: object) -> Any:  # noqa: ANN401 - any JSON value
    return json.loads(json.dumps(value))  # which takes any file's name, unlike msgspec.json


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Base class of settings; checks each field against its type on construction.

    Raises:
        ConfigurationError: if a field has a value of another type, or out of bounds.
    """

    section: ClassVar[str]
    """Prefix of the fields' names in messages."""

    def __post_init__(self) -> None:
        kinds = get_type_hints(type(self), include_extras=True)
        for name in (field.name for field in fields(self)):
            kind, value = kinds[name], getattr(self, name)
            value = value.item() if hasattr(value, "item") else value  # of a numpy number
            try:
                object.__setattr__(self, name, msgspec.convert(value, kind))
            except msgspec.ValidationError as error:
                raise ConfigurationError(
                    f"{self.section}.{name} is {value!r}; expected {_expected(kind, error)}."
                ) from None


def _expected(kind: object, error: msgspec.ValidationError) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    described = [one.description for one in getattr(kind, "__metadata__", ()) if one.description]
    return described[0] if described else str(error).removeprefix("Expected ").replace("`", "")


def json_hash(value: object) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
