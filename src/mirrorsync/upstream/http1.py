"""One HTTP/1.1 response, from bytes to values: strict framing, bounded headers. Pure: no sockets, no clock.

Source: RFC 9112. Parsed by llhttp (httptools), which refuses what is not well-formed; what is left to refuse here is
what llhttp lets pass: bytes after the end, framing told twice, and headers or framing without end.
"""

from typing import Final

import httptools

_HEADER_LIMIT: Final = 64 * 1024
"""Bytes of status line and headers (PyPI's have about 1 KiB)."""
_FRAMING_LIMIT: Final = 64 * 1024
"""Bytes of chunk heads, extensions and trailers that a body may have besides what its own size accounts for."""
_FRAMING_PER_BYTE: Final = 8
"""Framing that is allowed per byte of body: a chunk of one byte takes six."""
_INFORMATIONAL: Final = range(100, 200)
_SWITCHING: Final = 101


class BadResponse(Exception):  # noqa: N818 -- a fact about the peer, mapped to httpx's error one floor up
    """The peer does not speak HTTP/1.1 as RFC 9112 has it."""


class ResponseParser:
    """Takes a response as it arrives. `head` is there once the headers are whole, `body` holds what came since."""

    def __init__(self, *, has_body: bool) -> None:
        self._has_body = has_body
        self._parser = httptools.HttpResponseParser(self)
        self._fed = 0
        self._body_bytes = 0
        self._status = 0
        self._framed = False
        self._broken = ""
        self.headers: list[tuple[bytes, bytes]] = []
        self.reason = b""
        self.has_head = False
        self.complete = False
        self.keeps_alive = False
        """Whether the connection may carry another request; told once the response is complete."""
        self.body: list[bytes] = []

    @property
    def status(self) -> int:
        """The final status; 1xx answers before it are skipped."""
        return self._status

    @property
    def untouched(self) -> bool:
        """Whether nothing has come at all."""
        return self._fed == 0

    def feed(self, data: bytes) -> None:
        """Take bytes from the wire. Raises: BadResponse."""
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            raise BadResponse("it switches protocols, which nobody asked for") from error
        except httptools.HttpParserError as error:
            raise BadResponse(self._broken or f"it is not HTTP/1.1 ({error})") from error
        if self._broken:
            raise BadResponse(self._broken)
        if not self.has_head and self._fed > _HEADER_LIMIT:
            raise BadResponse(f"its headers have more than {_HEADER_LIMIT // 1024} KiB")
        if self._fed - self._body_bytes > _HEADER_LIMIT + _FRAMING_LIMIT + _FRAMING_PER_BYTE * self._body_bytes:
            raise BadResponse("its framing has more bytes than its body could need")

    def feed_end(self) -> None:
        """Take the end of the connection. Raises: BadResponse, when it comes before the end of the response."""
        if self.complete:
            return
        if not self.has_head:
            raise BadResponse("the connection ended before the response")
        if self._framed:
            raise BadResponse("the connection ended within the body")
        self.complete = True

    # --- what llhttp calls -------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a response; a second one was not asked for."""
        if self.complete:
            self._broken = "bytes follow the response's end"
            self.keeps_alive = False

    def on_status(self, reason: bytes) -> None:
        """Take the reason phrase."""
        self.reason = reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer, which nobody asked for."""
        if not self.has_head:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Take the head; refuse framing that two readers could understand in two ways."""
        self._status = self._parser.get_status_code()
        if self._status in _INFORMATIONAL:
            if self._status == _SWITCHING:
                self._broken = "it switches protocols, which nobody asked for"
            return
        names = [name.lower() for name, _ in self.headers]
        codings = [value.strip().lower() for name, value in self.headers if name.lower() == b"transfer-encoding"]
        if codings and (codings != [b"chunked"] or b"content-length" in names):
            self._broken = "its body is framed in two ways, or in one that we do not read"
        if names.count(b"content-length") > 1:
            self._broken = "it tells its length twice"
        self._framed = bool(codings) or b"content-length" in names
        self.has_head = True
        if not self._has_body:
            self.complete = True

    def on_body(self, data: bytes) -> None:
        """Take some of the body."""
        if self.complete:
            self._broken = "a body follows where there can be none"
            return
        self._body_bytes += len(data)
        self.body.append(data)

    def on_message_complete(self) -> None:
        """End the response, or the 1xx before it."""
        if self._status in _INFORMATIONAL:
            self.headers.clear()
            return
        self.keeps_alive = self._has_body and not self._broken and self._parser.should_keep_alive()
        self.complete = True
