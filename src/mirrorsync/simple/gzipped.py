"""A page's compressed sibling: web servers send `<page>.gz` in its place (nginx: `gzip_static`).

The same page always gives the same bytes: no time and no name stands in them. Source: RFC 1952.
"""

from typing import Final

from mirrorsync.model.identity import StorePath

SUFFIX: Final = ".gz"

_LEVEL: Final = 2
"""ISA-L's: pages get as small as by zlib's level 6, eight times faster."""
_GZIP: Final = 31
"""Window of 32 KiB, with gzip's header and trailer."""


class Packer:
    """Compresses one page piece by piece; what the pieces give, joined, is its sibling."""

    def __init__(self) -> None:
        from isal import isal_zlib  # noqa: PLC0415 -- only those who want siblings pay for it

        self._compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP)

    def pack(self, piece: bytes) -> bytes:
        """Return what is ready after `piece`, which may be nothing."""
        return self._compressor.compress(piece)

    def end(self) -> bytes:
        """Return the rest."""
        return self._compressor.flush()


def sibling(path: StorePath) -> StorePath:
    """Return where the compressed sibling of the page at `path` stands."""
    return StorePath(f"{path}{SUFFIX}")


def pack(body: bytes) -> bytes:
    """Return the sibling of a whole page."""
    packer = Packer()
    return packer.pack(body) + packer.end()
