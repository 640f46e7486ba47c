"""Faults that the server can inject.

Add them to `PyPI.faults` with a pattern for the requests: `pypi.faults.add(r"\\.whl$", Truncate(100), times=2)`.
"""

import gzip
from collections.abc import Callable
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from tests.support.pypi import wire_xmlrpc
from tests.support.pypi.exchange import Answer, Delivery, Repeated, Request

Ask: TypeAlias = Callable[[Request], Answer]
"""Returns the correct answer to a request."""


class Fault(msgspec.Struct, frozen=True):
    """One fault: a pure function of the correct answer."""

    def apply(self, answer: Answer, request: Request, ask: Ask, /) -> Answer:
        """Return the answer to send instead."""
        raise NotImplementedError


class Status(Fault, frozen=True):
    """Another status."""

    code: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b"Told to fail"
    media_type: str = "text/plain"

    def apply(self, _answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return Answer(self.code, self.media_type, self.body, self.headers)


class False404(Fault, frozen=True):
    """A cached 404 for an existing resource."""

    def apply(self, _answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return Answer(404, "text/plain", b"404 Not Found")


class Stale(Fault, frozen=True):
    """The page (simple or legacy) as a cache has it that missed all changes from serial `before` on.

    None: that missed the last change. For the root list use `PyPI.hold_root`.
    """

    before: int | None = None

    def apply(self, _answer: Answer, request: Request, ask: Ask, /) -> Answer:
        return ask(replace(request, stale=True, before=self.before))


class WrongBytes(Fault, frozen=True):
    """A body of the right size with a wrong last byte."""

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return replace(answer, body=answer.body[:-1] + bytes(byte ^ 0xFF for byte in answer.body[-1:]))


class WrongSize(Fault, frozen=True):
    """A body that is `change` bytes longer (or shorter) than it should be, with a matching Content-Length."""

    change: int

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        kept = answer.body if self.change >= 0 else answer.body[: self.change]
        return replace(answer, body=kept + b"x" * self.change)


class TruncatedXML(Fault, frozen=True):
    """A body that ends early, with a matching Content-Length; also for JSON and HTML."""

    keep: float = 0.5

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return replace(answer, body=answer.body[: int(len(answer.body) * self.keep)])


class _Delivered(Fault, frozen=True):
    def delivery(self, delivery: Delivery) -> Delivery:
        raise NotImplementedError

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return replace(answer, delivery=self.delivery(answer.delivery))


class Truncate(_Delivered, frozen=True):
    """An orderly close after `after` bytes of the body (None: before the headers), short of Content-Length."""

    after: int | None

    def delivery(self, delivery: Delivery) -> Delivery:
        return replace(delivery, ending="close", stop_after=self.after, headless=self.after is None)


class Reset(_Delivered, frozen=True):
    """A TCP reset after `after` bytes of the body (None: before the headers)."""

    after: int | None

    def delivery(self, delivery: Delivery) -> Delivery:
        return replace(delivery, ending="reset", stop_after=self.after, headless=self.after is None)


class Stall(_Delivered, frozen=True):
    """Silence after `after` bytes of the body (None: before the headers), until the client closes."""

    after: int | None = None

    def delivery(self, delivery: Delivery) -> Delivery:
        return replace(delivery, ending="stall", stop_after=self.after, headless=self.after is None)


class Drip(_Delivered, frozen=True):
    """`piece` bytes of the body every `interval` seconds."""

    piece: int
    interval: float

    def delivery(self, delivery: Delivery) -> Delivery:
        return replace(delivery, piece=self.piece, interval=self.interval)


class DelayHeaders(_Delivered, frozen=True):
    """A delay of `seconds` before the headers."""

    seconds: float

    def delivery(self, delivery: Delivery) -> Delivery:
        return replace(delivery, delay=self.seconds)


class Endless(_Delivered, frozen=True):
    """The body, chunked, followed by endless spaces."""

    def delivery(self, delivery: Delivery) -> Delivery:
        return replace(delivery, endless=True)


class Repeat(Fault, frozen=True):
    """Another body: `head`, `times` times `piece`, then `tail`; with `gzipped` each is a gzip member."""

    piece: bytes
    times: int
    head: bytes = b""
    tail: bytes = b""
    gzipped: bool = False

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        parts = [self.head, self.piece, self.tail]
        headers = answer.headers
        if self.gzipped:
            parts = [gzip.compress(part, compresslevel=9, mtime=0) for part in parts]
            headers = (*headers, ("Content-Encoding", "gzip"))
        delivery = replace(answer.delivery, repeat=Repeated(parts[0], parts[1], self.times, parts[2]))
        return replace(answer, delivery=delivery, headers=headers, cached=False, compressed=False)


class Throttle429(Fault, frozen=True):
    """429, with Retry-After in seconds (or any text) unless that is None."""

    retry_after: float | str | None = None

    def apply(self, _answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        headers = () if self.retry_after is None else (("Retry-After", str(self.retry_after)),)
        return Answer(429, "text/plain", b"Too Many Requests", headers)


class RateLimitFault(Fault, frozen=True):
    """The XML-RPC rate limit: HTTP 200 and a fault; `seconds` None: without the hint when it resets."""

    seconds: int | None = None

    def apply(self, _answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        body = wire_xmlrpc.fault(wire_xmlrpc.rate_limited(self.seconds))
        return Answer(200, wire_xmlrpc.MEDIA_TYPE, body)


class Gzip(Fault, frozen=True):
    """The body with `Content-Encoding: gzip`, even if it was not requested."""

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        headers = (*answer.headers, ("Content-Encoding", "gzip"))
        body = gzip.compress(answer.body, compresslevel=1, mtime=0)
        return replace(answer, body=body, headers=headers, cached=False, compressed=False)


class Redirect(Fault, frozen=True):
    """A redirect to `location`."""

    location: str
    code: int = 302

    def apply(self, _answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return Answer(self.code, "text/plain", b"", (("Location", self.location),))


class Portal(Fault, frozen=True):
    """A captive portal: 200 and HTML for any request."""

    def apply(self, _answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return Answer(200, "text/html", b"<html><body><form>Please log in to the network</form></body></html>")


class HugeHeader(Fault, frozen=True):
    """One header of `size` bytes."""

    size: int = 1_000_000

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return replace(answer, headers=(*answer.headers, ("X-Huge", "x" * self.size)))


class Headers(Fault, frozen=True):
    """Additional headers, without those of the edge (ETag, gzip)."""

    headers: tuple[tuple[str, str], ...]

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return replace(answer, headers=(*answer.headers, *self.headers), cached=False, compressed=False)


class MediaType(Fault, frozen=True):
    """Another Content-Type for the same body."""

    media_type: str

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return replace(answer, media_type=self.media_type)


class Body(Fault, frozen=True):
    """Another body under the same status and type."""

    body: bytes

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return replace(answer, body=self.body)


class IgnoreRange(Fault, frozen=True):
    """200 and the complete body for a Range request."""

    def apply(self, _answer: Answer, request: Request, ask: Ask, /) -> Answer:
        headers = {name: value for name, value in request.headers.items() if name != "range"}
        return ask(replace(request, headers=headers))
