"""What is to be fetched, and what it must turn out to be."""

import msgspec

from mirrorsync.model.identity import StorePath

Chunk = bytes | bytearray
"""Some bytes of a body, which belong to whoever is given them."""


class Remote(msgspec.Struct, frozen=True):
    """An upstream object."""

    url: str
    size: int | None
    """Bytes promised; None where nobody says (sidecars, old indexes)."""
    limit: int
    """Bytes at most, whatever the body turns out to be: `size` where it is known."""


class Expect(msgspec.Struct, frozen=True):
    """What a stored object must be before it is committed."""

    size: int | None
    sha256: bytes | None
    """None for what we make ourselves (the root index)."""
    limit: int | None = None
    """Bytes at most; None for what we make ourselves."""


class Small(msgspec.Struct, frozen=True):
    """A small object that is held whole in memory on its way in."""

    path: StorePath
    expect: Expect
    body: bytes


class ObjectInfo(msgspec.Struct, frozen=True):
    """An object that stands in the store."""

    path: StorePath
    size: int
    """Bytes."""
    modified: float
    """Seconds since the epoch."""
