"""Requests, answers, how answers are delivered, and the log of what was asked."""

import http
import threading
from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from msgspec.structs import replace


class Request(msgspec.Struct, frozen=True):
    """A request as it was received."""

    method: str
    target: str
    """Path and query, undecoded."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = b""
    stale: bool = False
    """True: asks for the page as a stale cache has it (only faults set this)."""
    before: int | None = None
    """With `stale`: the page before this serial; None: before its last change."""

    @property
    def path(self) -> str:
        """Undecoded, without the query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """Undecoded, without the question mark."""
        return self.target.partition("?")[2]


class Delivery(msgspec.Struct, frozen=True):
    """How an answer is sent; by default at once and complete."""

    delay: float = 0.0
    """Seconds before the headers."""
    stop_after: int | None = None
    """Bytes of the body before `ending`; None: the complete body is sent."""
    ending: Literal["close", "reset", "stall"] = "close"
    headless: bool = False
    """True: `ending` comes before the headers."""
    piece: int | None = None
    """Bytes that are sent at once."""
    interval: float = 0.0
    """Seconds between pieces."""
    endless: bool = False
    repeat: "Repeated | None" = None
    """A body that is generated while it is sent, in place of the answer's own."""


class Repeated(msgspec.Struct, frozen=True):
    """`head`, then `times` times `piece`, then `tail`."""

    head: bytes
    piece: bytes
    times: int
    tail: bytes


PLAIN: Final = Delivery()


class Answer(msgspec.Struct, frozen=True):
    """A response. `Content-Length` follows from the body."""

    status: int
    media_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    cached: bool = False
    """True: the edge compresses it, adds an ETag, and answers 304."""
    compressed: bool = False
    """True: the edge only compresses it."""
    delivery: Delivery = PLAIN


class Recorded(msgspec.Struct, frozen=True):
    """A request and the outcome of its answer."""

    method: str
    path: str
    """With its query, undecoded."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    status: int
    """0 until a status was sent."""
    sent: int
    """Bytes of the response's body that were written to the socket."""
    time: float
    """`time.monotonic()` when the request was complete."""
    connection: int
    """The number of the connection, counted from 1."""


class Log:
    """The requests and connections of a server. Thread-safe.

    Requests are in the order in which they were complete; each is recorded before its answer is sent.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[int, Recorded] = {}
        self._count = 0
        self._open = 0
        self.connections = 0
        """Connections accepted so far."""
        self.peak_connections = 0
        """The highest number of simultaneous connections."""

    def add(self, record: Recorded) -> int:
        """Record a request; return its number for `settle`."""
        with self._lock:
            self._count += 1
            self._records[self._count] = record
            return self._count

    def settle(self, number: int, *, status: int, sent: int) -> None:
        """Record the outcome of a request, unless it was cleared in the meantime."""
        with self._lock:
            if number in self._records:
                self._records[number] = replace(self._records[number], status=status, sent=sent)

    def all(self) -> list[Recorded]:
        """Return all requests."""
        with self._lock:
            return list(self._records.values())

    def clear(self) -> None:
        """Remove all requests; the peak restarts with the open connections."""
        with self._lock:
            self._records.clear()
            self.peak_connections = self._open

    def opened(self) -> int:
        """Count a new connection; return its number."""
        with self._lock:
            self.connections += 1
            self._open += 1
            self.peak_connections = max(self.peak_connections, self._open)
            return self.connections

    def closed(self) -> None:
        """Count a closed connection."""
        with self._lock:
            self._open -= 1


def head_of(answer: Answer, *, length: int | None) -> bytes:
    """Return status line and headers; `length` None: chunked."""
    lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Unknown')}"]
    if answer.status not in (204, 304):
        lines.append(f"Content-Type: {answer.media_type}")
        lines.append("Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}")
    lines += [f"{name}: {value}" for name, value in answer.headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def parse_head(head: bytes) -> Request | None:
    """Return the request without its body, None if this is not HTTP/1."""
    first, *rest = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None
    headers = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon:
            return None
        headers[name.lower()] = value.strip()
    return Request(words[0], words[1], headers)


_REASONS: Final = {status.value: status.phrase for status in http.HTTPStatus}
