"""A page's compressed sibling `<page>.gz`, which web servers send in its place (nginx: `gzip_static`).

Equal pages have equal siblings, because the header has no time and no name. Source: RFC 1952.
"""

from typing import Final

from mirrorsync.model.identity import StorePath

SUFFIX: Final = ".gz"

_LEVEL: Final = 2
"""A level of ISA-L: pages are as small as with zlib's level 6, eight times faster."""
_GZIP: Final = 31
"""A window of 32 KiB, with gzip's header and trailer."""


class Packer:
    """Compresses one page piece by piece; the joined output is its sibling."""

    def __init__(self) -> None:
        from isal import isal_zlib  # noqa: PLC0415 -- only mirrors with siblings load it

        self._compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP)

    def pack(self, piece: bytes) -> bytes:
        """Return the output that is ready after `piece`, possibly empty."""
        return self._compressor.compress(piece)

    def end(self) -> bytes:
        """Return the rest of the output."""
        return self._compressor.flush()


def sibling(path: StorePath) -> StorePath:
    """Return the path of the compressed sibling of the page at `path`."""
    return StorePath(f"{path}{SUFFIX}")


def pack(body: bytes) -> bytes:
    """Return the sibling of a whole page."""
    packer = Packer()
    return packer.pack(body) + packer.end()
