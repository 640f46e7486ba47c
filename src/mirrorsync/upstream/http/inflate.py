"""Content codings, undone with a bound on the decoded size."""

import zlib
from collections.abc import Iterator
from typing import Final

from mirrorsync.errors import Malformed
from mirrorsync.model.objects import Chunk
from mirrorsync.upstream.http.errors import CutShort

_PIECE: Final = 256 * 1024
"""Bytes decoded in one step: a bomb of 1,000:1 costs this much memory, not its own size."""
_GZIP: Final = 16 + zlib.MAX_WBITS
_MIB: Final = 1024 * 1024


class Inflater:
    """Undo one content coding piece by piece: `identity` or `gzip`. Source: RFC 9110 8.4, RFC 1952."""

    def __init__(self, what: str, *, coding: str, limit: int) -> None:
        self._what = what
        self._limit = limit
        self._size = 0
        self._begun = False
        if coding not in ("", "identity", "gzip", "x-gzip"):
            raise Malformed(what, why=f"content coding {coding[:40]!r}, which the request does not accept")
        self._zlib = zlib.decompressobj(_GZIP) if "gzip" in coding else None

    def feed(self, chunk: Chunk) -> Iterator[bytes]:
        """Yield `chunk` decoded, in pieces of bounded size.

        Raises: Malformed, if it is not gzip or decodes to more than `limit` bytes.
        """
        if self._zlib is None:
            yield self._counted(bytes(chunk))
            return
        while chunk:
            if self._zlib.eof:  # another member; PyPI sends one, RFC 1952 allows many
                self._zlib = zlib.decompressobj(_GZIP)
            self._begun = True
            try:
                piece = self._zlib.decompress(chunk, _PIECE)
            except zlib.error as error:
                raise Malformed(self._what, why=f"its gzip is broken ({error})") from error
            chunk = self._zlib.unconsumed_tail or self._zlib.unused_data
            if piece:
                yield self._counted(piece)

    def end(self) -> None:
        """Check that the coding is complete. Raises: CutShort."""
        if self._zlib is not None and not self._zlib.eof and self._begun:
            raise CutShort(self._what, why=f"its gzip ends in the middle, after {self._size:,} decoded bytes")

    def _counted(self, piece: bytes) -> bytes:
        self._size += len(piece)
        if self._size > self._limit:
            raise Malformed(self._what, why=f"more than {self._limit / _MIB:g} MiB, more than any such response has")
        return piece
