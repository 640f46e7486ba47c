"""The serial that a page itself carries, found without reading the page. Pure."""

import re
from typing import Final

import msgspec

from mirrorsync.model.identity import StorePath
from mirrorsync.web.negotiation import Representation

_HEAD_BYTES: Final = 256
_TAIL_BYTES: Final = 4 << 10
_LONG_TAIL_BYTES: Final = 256 << 10
"""Holds the versions of a project with 20,000 of them."""
_JSON: Final = re.compile(rb'"_last-serial":(\d{1,18})[,}]')
_HTML: Final = re.compile(rb"<!--SERIAL (\d{1,18})-->\s*\Z")
_ROOT_SEGMENTS: Final = 2


class Excerpt(msgspec.Struct, frozen=True):
    """A part of a file to look into."""

    sibling: str
    """The file in the page's own directory."""
    offset: int
    """Bytes; from the end where it is negative."""
    length: int
    """Bytes."""


def excerpts(path: StorePath) -> tuple[Excerpt, ...]:
    """Return where the serial of the page file at `path` may stand, the likeliest place first.

    The root list has it at its head, and lends it to the root's HTML, which has none. A project's JSON has it
    after the files and before the versions, its HTML in the last line.
    """
    filename = path.rpartition("/")[2]
    if len(path.split("/")) == _ROOT_SEGMENTS:
        return (Excerpt(Representation.V1_JSON.filename, 0, _HEAD_BYTES),)
    tail = Excerpt(filename, -_TAIL_BYTES, _TAIL_BYTES)
    if filename != Representation.V1_JSON.filename:
        return (tail,)
    return (tail, Excerpt(filename, -_LONG_TAIL_BYTES, _LONG_TAIL_BYTES))


def find_serial(excerpt: Excerpt, content: bytes) -> int | None:
    """Return the serial that stands in `content`, None where there is none.

    A quotation mark inside a JSON text and a `<` inside HTML are escaped, so no uploader can write either form.
    """
    if excerpt.sibling != Representation.V1_JSON.filename:
        match = _HTML.search(content)
        return int(match[1]) if match else None
    found = _JSON.findall(content)
    if not found:
        return None
    return int(found[0] if excerpt.offset == 0 else found[-1])
