"""Objects to fetch, to store, and in the store."""

import msgspec

from mirrorsync.model.identity import StorePath

Chunk = bytes | bytearray
"""Some bytes of a body. The receiver owns them and may modify them."""


class Remote(msgspec.Struct, frozen=True):
    """An upstream object."""

    url: str
    size: int | None
    """Bytes; None where the index does not say (sidecars, old indexes)."""
    limit: int
    """Maximum number of bytes: `size` where it is known."""


class Expect(msgspec.Struct, frozen=True):
    """The size and digest that a body must have before it is committed."""

    size: int | None
    sha256: bytes | None
    """None for an object that the mirror makes itself (the root index)."""
    limit: int | None = None
    """Maximum number of bytes; None for an object that the mirror makes itself."""


class Small(msgspec.Struct, frozen=True):
    """A small object, held in memory until it is stored."""

    path: StorePath
    expect: Expect
    body: bytes


class ObjectInfo(msgspec.Struct, frozen=True):
    """An object in the store."""

    path: StorePath
    size: int
    """Bytes."""
    modified: float
    """Seconds since the epoch."""
