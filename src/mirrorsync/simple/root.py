"""The root index, encoded in parts: PyPI's has 750,000 projects, too many to hold in memory.

Byte for byte as PyPI writes it, except that links are relative, so that a mirror can be served below any path.
Source: PEP 503, 629, 691.
"""

from collections.abc import Iterable, Iterator, Sequence
from string import ascii_letters, digits
from typing import Any, Final

import msgspec

from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.simple.encode_html import REPOSITORY_VERSION, escape
from mirrorsync.simple.wire import API_VERSION

Row = tuple[ProjectName, str, Serial | None]
"""A project's normalised name, its display name, and its page's serial."""

_HEAD: Final = (
    '<!DOCTYPE html>\n<html lang="en">\n  <head>\n'
    f"    {REPOSITORY_VERSION}\n    <title>Simple index</title>\n"
    "  </head>\n  <body>\n"
).encode()
_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_UNESCAPED: Final = f"{ascii_letters}{digits}._-".encode()
"""Characters that need no escape in HTML or JSON; a valid name has no others (PEP 508)."""


_PART: Final = 1 << 20
"""Bytes of JSON in a part, at least."""


class RootPart(msgspec.Struct, frozen=True):
    """The next part of each form."""

    html: bytes
    json: bytes


def root_parts(batches: Iterable[Sequence[Row]], last_serial: Serial | None) -> Iterator[RootPart]:
    """Yield the root index of `batches`, in their order, in parts of a few MiB.

    Batches of about a thousand rows are fastest: they stay in the processor's cache. JSON omits serials that are None.
    """
    meta = _with_serial({"api-version": API_VERSION}, last_serial)
    html, json, size = [_HEAD], [b'{"meta":', _ENCODER.encode(meta), b',"projects":['], 0
    separator = b""
    for batch in batches:
        if not batch:
            continue
        more_html, more_json = _plain(batch) if _is_plain(batch) else _escaped(batch)
        html.append(more_html)
        json += (separator, more_json)
        separator = b","
        size += len(more_json)
        if size >= _PART:
            yield RootPart(html=b"".join(html), json=b"".join(json))
            html, json, size = [], [], 0
    yield RootPart(html=b"".join((*html, b"</body>\n</html>")), json=b"".join((*json, b"]}\n")))


def _is_plain(batch: Sequence[Row]) -> bool:
    return not "".join([shown for _, shown, _ in batch]).encode().translate(None, _UNESCAPED)


def _plain(batch: Sequence[Row]) -> tuple[bytes, bytes]:
    html = "".join([f'<a href="{name}/">{shown}</a>\n' for name, shown, _ in batch])
    json = ",".join(
        [
            f'{{"name":"{shown}"}}' if serial is None else f'{{"_last-serial":{serial},"name":"{shown}"}}'
            for _, shown, serial in batch
        ]
    )
    return html.encode(), json.encode()


def _escaped(batch: Sequence[Row]) -> tuple[bytes, bytes]:
    html = "".join([f'<a href="{escape(name)}/">{escape(shown)}</a>\n' for name, shown, _ in batch])
    json = b",".join([_ENCODER.encode(_with_serial({"name": shown}, serial)) for _, shown, serial in batch])
    return html.encode(), json


def _with_serial(values: dict[str, Any], serial: int | None) -> dict[str, Any]:
    return values if serial is None else {"_last-serial": serial, **values}
