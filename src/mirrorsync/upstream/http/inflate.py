"""Content codings undone with the decoded size bounded, never the encoded one trusted."""

import zlib
from collections.abc import Iterator
from typing import Final

from mirrorsync.errors import Malformed
from mirrorsync.upstream.http.errors import CutShort

_PIECE: Final = 256 * 1024
"""Bytes that one step may grow to: a bomb of 1,000:1 costs this much memory, not its own size."""
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
            raise Malformed(what, why=f"content coding {coding[:40]!r}, which we did not offer")
        self._zlib = zlib.decompressobj(_GZIP) if "gzip" in coding else None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield `chunk` decoded, in pieces of bounded size.

        Raises: Malformed, when it is not gzip or more than `limit` bytes come of it.
        """
        if self._zlib is None:
            yield self._counted(chunk)
            return
        while chunk:
            if self._zlib.eof:  # a further member; PyPI sends one, RFC 1952 allows many
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
        """Check that nothing is outstanding. Raises: CutShort."""
        if self._zlib is not None and not self._zlib.eof and self._begun:
            raise CutShort(self._what, why=f"its gzip ends in the middle, after {self._size:,} decoded bytes")

    def _counted(self, piece: bytes) -> bytes:
        self._size += len(piece)
        if self._size > self._limit:
            raise Malformed(self._what, why=f"more than {self._limit / _MIB:g} MiB, which no such answer has")
        return piece
