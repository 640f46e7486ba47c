"""One request and its answer, as the rest of the house sees them."""

import time
from contextlib import suppress
from http import HTTPStatus
from typing import Final, Literal

import httpx
import msgspec
import trio

from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.objects import Chunk
from mirrorsync.runtime.heartbeat import beat
from mirrorsync.upstream.http import errors as answers
from mirrorsync.upstream.http.allowed_urls import authority
from mirrorsync.upstream.http.inflate import Inflater
from mirrorsync.upstream.http.pipeline import Answer
from mirrorsync.upstream.http.request_metrics import NO_METRICS, RequestMetrics
from mirrorsync.upstream.http.url import Url

MIB: Final = 1024 * 1024
PAGE_LIMIT: Final = 64 * MIB
"""Bytes decoded. PyPI's largest page has some ten thousand files of about 800 bytes each: under 10 MiB."""
XML_LIMIT: Final = 64 * MIB
"""Bytes decoded. A full answer of 50,000 rows has about 14 MB."""
ROOT_LIMIT: Final = 256 * MIB
"""Bytes decoded. PyPI's root list has some 40 MB."""
_SLOWEST: Final = 20
"""Times the silence limit that an index's answer may take in all: 20 minutes for one that drips."""
_REDIRECTING: Final = frozenset({301, 302, 303, 307, 308})
_SMALL: Final = 64 * 1024
"""Bytes of an error page that are read so that its connection can be used again."""


class Ask(msgspec.Struct, frozen=True):
    """One request."""

    url: Url
    headers: tuple[tuple[str, str], ...] = ()
    method: Literal["GET", "POST"] = "GET"
    content: bytes = b""
    kind: Literal["page", "file"] = "page"
    """By whose rules redirects are followed and statuses read."""
    statuses: frozenset[int] = frozenset({HTTPStatus.OK})
    """What is handed back; any other is an error."""
    silence: float | None = None
    """Seconds; None: the client's own."""

    @property
    def what(self) -> str:
        """The request as an operator reads it."""
        return f"{self.method} {str(self.url)[:200]}"


class Reply:
    """An answer whose body is still on the wire. It is good only inside `Client.exchange`."""

    def __init__(
        self,
        ask: Ask,
        url: Url,
        answer: Answer,
        *,
        silence: float,
        meter: RequestMetrics = NO_METRICS,
        asked_at: float = 0.0,
    ) -> None:
        self._body = answer.body
        self._silence = silence
        self._meter = meter
        self._asked_at = asked_at
        self._received = 0
        self.fields = answer.fields
        """The headers by their lower-case names."""
        self.ask = ask
        self.status = answer.status
        self._reason = answer.reason
        self.url = url
        """After redirects."""

    @property
    def what(self) -> str:
        """The request as an operator reads it."""
        return self.ask.what

    @property
    def is_wanted(self) -> bool:
        """Whether it has a status that was asked for."""
        return self.status in self.ask.statuses

    @property
    def redirects_to(self) -> str | None:
        """Where the answer to a GET sends us; None where it does not."""
        redirects = self.status in _REDIRECTING and self.ask.method == "GET"
        return self.header("location") if redirects else None

    def refusal(self) -> MirrorsyncError:
        """Return what a status that was not asked for means."""
        judge = answers.file_status_error if self.ask.kind == "file" else answers.page_status_error
        return judge(self.head, self.ask.what)

    @property
    def coding(self) -> str:
        """The content coding, lower case; empty when there is none."""
        return (self.header("content-encoding") or "").strip().lower()

    @property
    def media_type(self) -> str:
        """The content type without its parameters, lower case; empty when there is none."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    @property
    def head(self) -> answers.Head:
        """What came before the body."""
        fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in self.fields.items()}
        return answers.Head(self.status, self._reason.decode("ascii", "replace"), fields)

    def header(self, name: str) -> str | None:
        """Return the value of a header, by its lower-case name; None when it is absent."""
        value = self.fields.get(name.encode("ascii"))
        return None if value is None else value.decode("latin-1")

    @property
    def length(self) -> int | None:
        """The body's promised bytes as they travel, None when it is not told."""
        text = self.header("content-length") or ""
        return int(text) if text.isdecimal() and text.isascii() else None

    async def chunk(self) -> bytes:
        """Return the next bytes as they travel, undecoded; empty at the end of the body.

        Raises: CutShort, ServerFault (silence).
        """
        try:
            more = await self._body.more()
        except httpx.HTTPError as error:
            self._meter.broke(authority(self.url))
            raise answers.read_error(error, self.what, silence=self._silence) from error
        beat()
        self._received += len(more)
        return more

    async def block(self) -> Chunk:
        """As `chunk`, in pieces as large as a thread hop is worth."""
        try:
            block = await self._body.block()
        except httpx.HTTPError as error:
            self._meter.broke(authority(self.url))
            raise answers.read_error(error, self.what, silence=self._silence) from error
        beat()
        self._received += len(block)
        return block

    async def pieces(self, limit: int) -> tuple[bytes, ...]:
        """Return the whole body as it travelled. Raises: as `body`, but for the coding."""
        return tuple(await self._whole(Inflater(self.what, coding="identity", limit=limit)))

    async def body(self, limit: int) -> bytes:
        """Return the whole body decoded.

        Raises: Malformed (more than `limit` bytes, broken or unknown coding), ServerFault (too slow), and as `chunk`.
        """
        inflater = Inflater(self.what, coding=self.coding, limit=limit)
        pieces = await self._whole(inflater)
        inflater.end()
        return b"".join(pieces)

    async def _whole(self, inflater: Inflater) -> list[bytes]:
        """Return all of an index's answer; unlike a file, it is small enough for a limit on its time."""
        pieces: list[bytes] = []
        with trio.move_on_after(_SLOWEST * self._silence):
            while chunk := await self.chunk():
                pieces.extend(inflater.feed(chunk))
            return pieces
        raise answers.ServerFault(self.what, why=f"too slow: not whole after {_SLOWEST * self._silence:g} s")

    async def finish(self) -> None:
        """Release the connection, whole or not."""
        self._count()
        await self._body.aclose()

    async def discard(self) -> None:
        """Read what is left of a small answer, so that its connection lives; close the connection of a large one."""
        seen = 0
        try:
            with suppress(httpx.HTTPError, httpx.StreamError):
                while not self._body.is_at_end and (chunk := await self._body.more()) and seen <= _SMALL:
                    seen += len(chunk)
        finally:
            self._received += seen
            self._count()
            await self._body.aclose()

    def _count(self) -> None:
        seconds = time.perf_counter() - self._asked_at
        self._meter.answered(authority(self.url), self.status, self._received, seconds)
