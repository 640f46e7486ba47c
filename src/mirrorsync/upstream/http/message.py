"""HTTP messages: a request, and a response as far as it has arrived."""

from contextlib import suppress
from http import HTTPStatus
from typing import Final, Literal, Protocol

import msgspec
import trio

from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.objects import Chunk
from mirrorsync.upstream.http import errors
from mirrorsync.upstream.http.inflate import Inflater
from mirrorsync.upstream.http.url import Url

_SLOWEST: Final = 20
"""Silence limits that a whole index response may take: 20 minutes for one that trickles."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_SMALL: Final = 64 * 1024
"""Bytes of an unwanted body that are read so that its connection can be used again."""


class Request(msgspec.Struct, frozen=True):
    """One request."""

    url: Url
    headers: tuple[tuple[str, str], ...] = ()
    """Without Host, User-Agent and Content-Length, which are added when it is sent."""
    method: Literal["GET", "POST"] = "GET"
    content: bytes = b""
    kind: Literal["index", "file"] = "index"
    """Which rules apply to redirects and to unwanted statuses."""
    wanted: frozenset[int] = frozenset({HTTPStatus.OK})
    """Statuses that the caller handles; any other is an error."""
    silence: float | None = None
    """Seconds without a byte after which the connection counts as dead; None: the client's limit."""
    label: str = ""

    @property
    def what(self) -> str:
        """The request as operators read it: `label`, else method and URL."""
        return self.label or f"{self.method} {str(self.url)[:200]}"


class Body(Protocol):
    """The part of a response that is still on the wire. Raises: TransportError."""

    async def receive(self) -> Chunk:
        """Wait for more of the body; return it, or put it into the response's buffer. Empty at the end."""

    async def close(self) -> None:
        """Release the connection; it is kept only if the body was read to its end."""


class Response:
    """A response: its head once `has_head` is set, its body while it is read."""

    request: Request
    body: Body
    silence: float
    status: int = 0
    """The final status; 1xx responses before it are skipped."""
    reason: bytes = b""
    has_head: bool = False
    is_framed: bool = False
    """Whether the body's end is marked, so that it does not need the end of the connection."""
    is_complete: bool = False
    """Whether the body has arrived whole."""
    keeps_alive: bool = False
    """Whether the connection may carry another response; valid once this one is complete."""
    is_broken: bool = False
    """Whether the body ended early or in silence."""
    size: int = 0
    """Bytes of the body that were read."""

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        """By lower-case names; repeated headers are joined by commas (RFC 9110 5.3)."""
        self.buffer: list[bytes] = []
        """Body bytes that have arrived and were not read yet."""

    @property
    def what(self) -> str:
        """The request as operators read it."""
        return self.request.what

    @property
    def is_wanted(self) -> bool:
        """Whether the caller handles this status."""
        return self.status in self.request.wanted

    @property
    def redirect(self) -> str | None:
        """The location that a GET is redirected to; None if it is not."""
        is_redirect = self.status in _REDIRECTS and self.request.method == "GET"
        return self.header("location") if is_redirect else None

    def header(self, name: str) -> str | None:
        """Return the header with this lower-case name; None if it is absent."""
        value = self.headers.get(name.encode("ascii"))
        return None if value is None else value.decode("latin-1")

    @property
    def coding(self) -> str:
        """The content coding, lower case; empty if there is none."""
        return self.headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()

    @property
    def media_type(self) -> str:
        """The content type without parameters, lower case; empty if there is none."""
        return self.headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()

    @property
    def length(self) -> int | None:
        """The announced bytes of the body before decoding; None if they are not announced."""
        digits = self.headers.get(b"content-length", b"")
        return int(digits) if digits.isdigit() else None

    def status_error(self) -> MirrorsyncError:
        """Return the error that an unwanted status stands for."""
        reason, retry_after = self.reason.decode("ascii", "replace"), self.header("retry-after")
        if self.request.kind == "file":
            return errors.file_status_error(self.what, self.status, reason, retry_after=retry_after)
        return errors.index_status_error(
            self.what, self.status, reason, retry_after=retry_after, media_type=self.media_type
        )

    async def chunk(self) -> Chunk:
        """Return the next body bytes, undecoded; empty at the end.

        Raises: CutShort, ServerFault (silence).
        """
        chunk: Chunk = self._take()
        if not chunk and not self.is_complete:
            try:
                chunk = await self.body.receive() or self._take()
            except errors.TransportError as error:
                self.is_broken = True
                raise errors.read_error(error, self.what) from error
        self.size += len(chunk)
        return chunk

    def _take(self) -> bytes:
        """Return what has arrived and was not read yet."""
        buffer = self.buffer
        if not buffer:
            return b""
        taken = buffer[0] if len(buffer) == 1 else b"".join(buffer)
        buffer.clear()
        return taken

    async def read(self, limit: int) -> bytes:
        """Return the whole body, decoded.

        Raises: Malformed (more than `limit` bytes, broken or unknown coding), ServerFault (too slow), CutShort.
        """
        inflater = Inflater(self.what, coding=self.coding, limit=limit)
        pieces = await self._read_whole(inflater)
        inflater.end()
        return b"".join(pieces)

    async def read_coded(self, limit: int) -> list[bytes]:
        """Return the whole body, undecoded, in pieces. Raises: as `read`."""
        return await self._read_whole(Inflater(self.what, coding="identity", limit=limit))

    async def _read_whole(self, inflater: Inflater) -> list[bytes]:
        pieces: list[bytes] = []
        if self.is_complete:  # nothing to wait for
            arrived = self._take()
            self.size += len(arrived)
            return list(inflater.feed(arrived))
        with trio.move_on_after(_SLOWEST * self.silence):
            while chunk := await self.chunk():
                pieces.extend(inflater.feed(chunk))
            return pieces
        raise errors.ServerFault(self.what, why=f"too slow: incomplete after {_SLOWEST * self.silence:g} s")

    async def discard(self) -> None:
        """Release the connection: drain a small rest so that it is kept; a large rest closes it."""
        try:
            if self.buffer or not self.is_complete:
                await self._drain()
        finally:
            await self.body.close()

    async def _drain(self) -> None:
        drained = 0
        with suppress(errors.TransportError):
            while (self.length or 0) <= _SMALL >= drained:
                if not (chunk := self._take() or await self.body.receive() or self._take()):
                    return
                drained += len(chunk)
                self.size += len(chunk)
