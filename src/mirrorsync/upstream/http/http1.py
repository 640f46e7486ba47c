"""HTTP/1.1 responses, from bytes to values: strict framing, bounded headers. Pure: no sockets, no clock.

Source: RFC 9112. Parsed by llhttp (httptools), which refuses what is not well-formed; what is left to refuse here is
what llhttp lets pass: bytes after the end, framing told twice, and headers or framing without end.
"""

from collections import deque
from typing import Final

import httptools

_HEADER_LIMIT: Final = 64 * 1024
"""Bytes of status line and headers (PyPI's have about 1 KiB)."""
_FRAMING_LIMIT: Final = 64 * 1024
"""Bytes of chunk heads, extensions and trailers that a body may have besides what its own size accounts for."""
_FRAMING_PER_BYTE: Final = 8
"""Framing that is allowed per byte of body: a chunk of one byte takes six."""
_OPENING: Final = b"HTTP/1."
_LEAST: Final = 100
_FINAL: Final = 200
"""Statuses below it announce another response."""
_SWITCHING: Final = 101
_VERSIONS: Final = frozenset({"1.0", "1.1"})


class BadResponse(Exception):  # noqa: N818 -- a fact about the peer, mapped to httpx's error one floor up
    """The peer does not speak HTTP/1.1 as RFC 9112 has it."""


class Response:
    """One response as far as it has come: its head once `has_head`; `body` holds what came and was not taken yet."""

    __slots__ = ("body", "complete", "fields", "framed", "has_head", "headers", "keeps_alive", "reason", "status")

    def __init__(self) -> None:
        self.status = 0
        """The final status; 1xx answers before it are skipped."""
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        """As they came, where somebody wants them so."""
        self.fields: dict[bytes, bytes] = {}
        """The headers by their lower-case names; one that came twice is joined by a comma (RFC 9110 5.3)."""
        self.body: list[bytes] = []
        self.framed = False
        self.has_head = False
        self.complete = False
        self.keeps_alive = False
        """Whether the connection may carry another response; told once this one is complete."""


class ResponseParser:
    """Takes the responses to `expected` requests on one connection, in the order of the requests."""

    def __init__(self, *, has_body: bool = True, expected: int = 1, keeps_headers: bool = False) -> None:
        """`has_body` is false for HEAD, which goes alone; `keeps_headers`: as they came, too."""
        self._keeps_headers = keeps_headers
        self._has_body = has_body
        self._parser = httptools.HttpResponseParser(self)
        self._fed = 0
        self._body_bytes = 0
        self._broken = ""
        self._opening = b""
        self._heads = 0
        self._current = Response()
        self.responses = deque([self._current])
        """Those begun and not taken yet, in their order; the first is there from the start."""
        self._outstanding = expected - 1

    def expect(self, more: int) -> None:
        """Take the responses to `more` further requests, too."""
        self._outstanding += more

    @property
    def untouched(self) -> bool:
        """Whether nothing has come at all."""
        return self._fed == 0

    def feed(self, data: bytes) -> None:
        """Take bytes from the wire. Raises: BadResponse."""
        if self._fed < len(_OPENING):
            self._opening = (self._opening + data).lstrip(b"\r\n")[: len(_OPENING)]
            if not _OPENING.startswith(self._opening):
                raise BadResponse("it is not HTTP/1.1 (another protocol)")  # llhttp knows some, and hides which
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            raise BadResponse("it switches protocols, which nobody asked for") from error
        except httptools.HttpParserError as error:
            raise BadResponse(self._broken or f"it is not HTTP/1.1 ({error})") from error
        if self._broken:
            raise BadResponse(self._broken)
        overhead = self._fed - self._body_bytes
        if not self._current.has_head and overhead > _HEADER_LIMIT * (self._heads + 1):
            raise BadResponse(f"its headers have more than {_HEADER_LIMIT // 1024} KiB")
        if overhead > (_HEADER_LIMIT + _FRAMING_LIMIT) * (self._heads + 1) + _FRAMING_PER_BYTE * self._body_bytes:
            raise BadResponse("its framing has more bytes than its body could need")

    def feed_end(self) -> None:
        """Take the end of the connection. Raises: BadResponse, when it comes before the end of the response."""
        response = self._current
        if response.complete and not self._outstanding:
            return
        if response.complete or not response.has_head:
            raise BadResponse("the connection ended before the response")
        if response.framed:
            raise BadResponse("the connection ended within the body")
        response.complete = True

    @property
    def body_left(self) -> int | None:
        """Bytes of the body that have not come yet, where its length is told; None where it is not."""
        length = self._current.fields.get(b"content-length")
        return None if length is None or not self._current.has_head else int(length) - self._body_bytes

    def end_elsewhere(self) -> None:
        """Take it that the rest of the body, of the one response that is expected, was read past this parser."""
        self._current.keeps_alive = bool(self._parser.should_keep_alive())
        self._current.complete = True

    # --- what llhttp calls -------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a response; one more than there are requests was not asked for."""
        if not self._current.complete:
            return
        if not self._outstanding or not self._current.keeps_alive:
            self._broken = "bytes follow the response's end"
            self._current.keeps_alive = False
            return
        self._outstanding -= 1
        self._current = Response()
        self.responses.append(self._current)

    def on_status(self, reason: bytes) -> None:
        """Take the reason phrase."""
        self._current.reason = reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer, which nobody asked for."""
        response = self._current
        if response.has_head:
            return
        value = value.rstrip(b" \t")
        if self._keeps_headers:
            response.headers.append((name, value))
        name, fields = name.lower(), response.fields
        fields[name] = b"%s, %s" % (fields[name], value) if name in fields else value

    def on_headers_complete(self) -> None:
        """Take the head; refuse framing that two readers could understand in two ways."""
        response = self._current
        response.status = self._parser.get_status_code()
        if self._parser.get_http_version() not in _VERSIONS or response.status < _LEAST:
            self._broken = "it is not HTTP/1.1 (another version, or a status that there is not)"
        if response.status < _FINAL:
            if response.status == _SWITCHING:
                self._broken = "it switches protocols, which nobody asked for"
            return
        coding, length = response.fields.get(b"transfer-encoding"), response.fields.get(b"content-length")
        if coding is not None and (coding.strip().lower() != b"chunked" or length is not None):
            self._broken = "its body is framed in two ways, or in one that we do not read"
        if length is not None and b"," in length:
            self._broken = "it tells its length twice"
        response.framed = coding is not None or length is not None
        response.has_head = True
        self._heads += 1
        if not self._has_body:
            response.complete = True

    def on_body(self, data: bytes) -> None:
        """Take some of the body."""
        if self._current.complete:
            self._broken = "a body follows where there can be none"
            return
        self._body_bytes += len(data)
        self._current.body.append(data)

    def on_message_complete(self) -> None:
        """End the response, or the 1xx before it."""
        response = self._current
        if response.status < _FINAL:
            response.fields.clear()
            response.headers.clear()
            return
        response.keeps_alive = self._has_body and not self._broken and self._parser.should_keep_alive()
        response.complete = True
