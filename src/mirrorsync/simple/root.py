"""The root index, in parts: PyPI's has 750,000 projects and tens of megabytes, of which none need be held at once.

Byte for byte as PyPI writes it, but for links, which are relative here so that a mirror may lie below any path.
Source: PEP 503, 629, 691.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from mirrorsync.simple.encode_html import REPOSITORY_VERSION, escape
from mirrorsync.simple.wire import API_VERSION

_PART: Final = 64 * 1024
"""Bytes: a part is handed on as soon as it has that many."""
_ENCODER: Final = msgspec.json.Encoder(order="sorted")


def html_parts(projects: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """Yield the root page of (normalised name, display name) pairs, in their order, in parts of some 64 KiB."""
    return _gather(_html(projects))


def json_parts(projects: Iterable[tuple[str, int | None]], last_serial: int | None) -> Iterator[bytes]:
    """Yield the root list of (display name, serial) pairs, in their order, in parts of some 64 KiB.

    A serial that is None is left out, the project's and the list's own alike.
    """
    return _gather(_json(projects, last_serial))


def _html(projects: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n  <head>\n'
        f"    {REPOSITORY_VERSION}\n    <title>Simple index</title>\n"
        "  </head>\n  <body>\n"
    ).encode()
    for name, display_name in projects:
        yield f'<a href="{escape(name)}/">{escape(display_name)}</a>\n'.encode()
    yield b"</body>\n</html>"


def _json(projects: Iterable[tuple[str, int | None]], last_serial: int | None) -> Iterator[bytes]:
    meta = _with_serial({"api-version": API_VERSION}, last_serial)
    yield b'{"meta":' + _ENCODER.encode(meta) + b',"projects":['
    separator = b""
    for name, serial in projects:
        yield separator + _ENCODER.encode(_with_serial({"name": name}, serial))
        separator = b","
    yield b"]}\n"


def _with_serial(values: dict[str, Any], serial: int | None) -> dict[str, Any]:
    return values if serial is None else {"_last-serial": serial, **values}


def _gather(pieces: Iterable[bytes]) -> Iterator[bytes]:
    part = bytearray()
    for piece in pieces:
        part += piece
        if len(part) >= _PART:
            yield bytes(part)
            part.clear()
    if part:
        yield bytes(part)
