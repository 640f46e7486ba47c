"""What the server can be told to do wrong.

Add them to `PyPI.faults` for the requests that should meet them: `pypi.faults.add(r"\\.whl$", Truncate(100), times=2)`.
"""

import gzip
from collections.abc import Callable
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from tests.support.pypi import wire_xmlrpc
from tests.support.pypi.exchange import Answer, Delivery, Repeated, Request

Ask: TypeAlias = Callable[[Request], Answer]
"""Answers a request as if nothing were wrong."""


class Fault(msgspec.Struct, frozen=True):
    """One thing done wrong: a pure function of the answer that would have been given."""

    def apply(self, answer: Answer, request: Request, ask: Ask, /) -> Answer:
        """Return the answer that is given instead."""
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
    """A cached 404 for what exists."""

    def apply(self, _answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return Answer(404, "text/plain", b"404 Not Found")


class Stale(Fault, frozen=True):
    """The page (simple or legacy) as a cache has it that missed everything from serial `before` on.

    None: that missed the last change. The root list has no such history: `PyPI.hold_root`.
    """

    before: int | None = None

    def apply(self, _answer: Answer, request: Request, ask: Ask, /) -> Answer:
        return ask(replace(request, stale=True, before=self.before))


class WrongBytes(Fault, frozen=True):
    """The size is right, the last byte is not."""

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return replace(answer, body=answer.body[:-1] + bytes(byte ^ 0xFF for byte in answer.body[-1:]))


class WrongSize(Fault, frozen=True):
    """A body that is `change` bytes longer (or shorter) than it should be, whole by HTTP's measure."""

    change: int

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        kept = answer.body if self.change >= 0 else answer.body[: self.change]
        return replace(answer, body=kept + b"x" * self.change)


class TruncatedXML(Fault, frozen=True):
    """A body that ends early and is whole by HTTP's measure; it serves for JSON and HTML alike."""

    keep: float = 0.5

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return replace(answer, body=answer.body[: int(len(answer.body) * self.keep)])


class _Delivered(Fault, frozen=True):
    def delivery(self, delivery: Delivery) -> Delivery:
        raise NotImplementedError

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return replace(answer, delivery=self.delivery(answer.delivery))


class Truncate(_Delivered, frozen=True):
    """A polite close after `after` bytes of the body (None: before any header), its length unmet."""

    after: int | None

    def delivery(self, delivery: Delivery) -> Delivery:
        return replace(delivery, ending="close", stop_after=self.after, headless=self.after is None)


class Reset(_Delivered, frozen=True):
    """A TCP reset after `after` bytes of the body (None: before any header)."""

    after: int | None

    def delivery(self, delivery: Delivery) -> Delivery:
        return replace(delivery, ending="reset", stop_after=self.after, headless=self.after is None)


class Stall(_Delivered, frozen=True):
    """Silence after `after` bytes of the body (None: before any header), for as long as the client bears it."""

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
    """Nothing for `seconds`, then all is well."""

    seconds: float

    def delivery(self, delivery: Delivery) -> Delivery:
        return replace(delivery, delay=self.seconds)


class Endless(_Delivered, frozen=True):
    """The body, chunked, then spaces without end."""

    def delivery(self, delivery: Delivery) -> Delivery:
        return replace(delivery, endless=True)


class Repeat(Fault, frozen=True):
    """Another body: `head`, then `piece` so many `times`, then `tail`; with `gzipped` each is a member of its own."""

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
    """429, with Retry-After in seconds (or whatever text is given) unless that is None."""

    retry_after: float | str | None = None

    def apply(self, _answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        headers = () if self.retry_after is None else (("Retry-After", str(self.retry_after)),)
        return Answer(429, "text/plain", b"Too Many Requests", headers)


class RateLimitFault(Fault, frozen=True):
    """XML-RPC's own: HTTP 200 and a fault; `seconds` None: without the hint when it may reset."""

    seconds: int | None = None

    def apply(self, _answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        body = wire_xmlrpc.fault(wire_xmlrpc.rate_limited(self.seconds))
        return Answer(200, wire_xmlrpc.MEDIA_TYPE, body)


class Gzip(Fault, frozen=True):
    """The body with `Content-Encoding: gzip`, asked for or not."""

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
    """A captive portal: 200 and HTML, whatever was asked."""

    def apply(self, _answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return Answer(200, "text/html", b"<html><body><form>Please log in to the network</form></body></html>")


class HugeHeader(Fault, frozen=True):
    """One header of `size` bytes."""

    size: int = 1_000_000

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return replace(answer, headers=(*answer.headers, ("X-Huge", "x" * self.size)))


class Headers(Fault, frozen=True):
    """More headers, and none of the edge's own (ETag, gzip)."""

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
    """200 and the whole, where a Range was asked for."""

    def apply(self, _answer: Answer, request: Request, ask: Ask, /) -> Answer:
        headers = {name: value for name, value in request.headers.items() if name != "range"}
        return ask(replace(request, headers=headers))
