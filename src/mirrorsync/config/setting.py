"""The table of settings that the loader, the example file and `config check` use."""

import json
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec
from msgspec.structs import fields

from mirrorsync.model.units import format_duration, format_size


class ValueKind(Enum):
    """The type of a setting's value in the file."""

    FLAG = "true or false"
    NUMBER = "a whole number"
    TEXT = "a text in quotes"
    CHOICE = "one of"
    TEXTS = "a list of texts"
    PATH = "a path in quotes"
    DURATION = 'a duration in quotes, such as "60s", "2h30m" or "1d"'
    SIZE = 'a size in quotes, such as "64 MiB" or "500 GB"'


Seconds = Annotated[float, ValueKind.DURATION]
"""Seconds, written as a duration such as "60s"."""
Bytes = Annotated[int, ValueKind.SIZE]
"""Bytes, written as a size such as "64 MiB"."""

REQUIRED: Final = msgspec.NODEFAULT
_KINDS: Final = {bool: ValueKind.FLAG, int: ValueKind.NUMBER, str: ValueKind.TEXT, Path: ValueKind.PATH}


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One key of one section."""

    section: str
    key: str
    attribute: str
    """The key's name in the section's class, with underscores for dashes."""
    kind: ValueKind
    type: Any
    """The annotation that msgspec converts the value to."""
    description: str
    takes: str
    """A description of the valid values."""
    default: Any
    """REQUIRED if the file must have the key; None if the setting is unset by default."""
    example: Any

    def spell(self, value: Any) -> str:
        """Return `value` as TOML."""
        if isinstance(value, float) and self.kind is ValueKind.DURATION:
            return _quoted(format_duration(value))
        if isinstance(value, int) and self.kind is ValueKind.SIZE:
            return _quoted(format_size(value))
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, list | tuple):
            return f"[{', '.join(_quoted(str(one)) for one in value)}]"
        return str(value) if isinstance(value, int) else _quoted(str(value))


def settings_of(section: str, kind: type[msgspec.Struct]) -> tuple[Setting, ...]:
    """Return the settings of a section's class, in class order."""
    return tuple(_setting(section, one) for one in fields(kind))


def _setting(section: str, found: msgspec.structs.FieldInfo) -> Setting:
    plain, *marks = get_args(found.type)
    meta = next(mark for mark in marks if isinstance(mark, msgspec.Meta))
    bare = _without_none(plain)
    kind = next((mark for mark in marks if isinstance(mark, ValueKind)), None) or _kind(bare)
    example = meta.examples[0] if meta.examples else found.default
    return Setting(
        section=section,
        key=found.encode_name,
        attribute=found.name,
        kind=kind,
        type=found.type,
        description=meta.description or "",
        takes=_takes(kind, bare, meta),
        default=found.default,
        example=example,
    )


def _kind(bare: Any) -> ValueKind:
    if get_origin(bare) is Literal:
        return ValueKind.CHOICE
    return ValueKind.TEXTS if get_origin(bare) is tuple else _KINDS[bare]


def _takes(kind: ValueKind, bare: Any, meta: msgspec.Meta) -> str:
    if kind is ValueKind.CHOICE:
        return f"{kind.value} {', '.join(_quoted(choice) for choice in get_args(bare))}"
    if kind is ValueKind.NUMBER:
        return f"{kind.value} from {meta.ge} to {meta.le}" if meta.le else f"{kind.value}, {meta.ge} or more"
    return str(kind.value)


def _without_none(plain: Any) -> Any:
    if get_origin(plain) not in {Union, UnionType}:
        return plain
    return next(one for one in get_args(plain) if one is not NoneType)


def _quoted(text: str) -> str:
    """Return `text` as a TOML basic string. Source: TOML 1.0, "String"."""
    # JSON and TOML escape alike, except for DEL and the surrogate pairs that `ensure_ascii` would write.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
