"""HTTP/1.1 between bytes and messages: strict framing, bounded headers. Pure: no sockets, no clock.

Source: RFC 9112. llhttp (httptools) parses and refuses what is not well-formed. This module refuses what llhttp
accepts: bytes after the end, two framings of one body, and headers or framing without end.
"""

from collections import deque
from functools import lru_cache
from typing import Final

import httptools

from mirrorsync.upstream.http.errors import LocalProtocolError, RemoteProtocolError
from mirrorsync.upstream.http.message import Request, Response
from mirrorsync.upstream.http.url import authority

_HEADER_LIMIT: Final = 64 * 1024
"""Bytes of status line and headers (PyPI's have about 1 KiB)."""
_FRAMING_LIMIT: Final = 64 * 1024
"""Bytes of chunk heads, extensions and trailers that any body may have."""
_FRAMING_PER_BYTE: Final = 8
"""Further bytes of framing per byte of body; a chunk of one byte takes six."""
_OPENING: Final = b"HTTP/1."
_LEAST: Final = 100
_FINAL: Final = 200
"""Statuses below it announce another response."""
_SWITCHING: Final = 101
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_BREAKS: Final = frozenset(b"\r\n\0 ")


def serialise(request: Request, user_agent: bytes) -> bytes:
    """Return the request as it is sent. Raises: LocalProtocolError, if a value would break out of its line."""
    method, target = request.method.encode("ascii"), request.url.raw_path
    if not _BREAKS.isdisjoint(method + target):
        raise LocalProtocolError("the method or the target contains a blank or a line end")
    length = len(request.content) if request.method == "POST" else None
    head = _head(authority(request.url), user_agent, request.headers, length)
    return b"%s %s%s%s" % (method, target, head, request.content)


@lru_cache(maxsize=64)
def _head(host: str, user_agent: bytes, headers: tuple[tuple[str, str], ...], length: int | None) -> bytes:
    named = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers]
    if length is not None:
        named.append((b"Content-Length", b"%d" % length))
    lines = [b"Host: " + host.encode("ascii"), b"User-Agent: " + user_agent, *(b"%s: %s" % each for each in named)]
    head = b"\r\n".join([b" HTTP/1.1", *lines])
    if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines) or b"\0" in head:
        raise LocalProtocolError("a header contains a line end")
    return head + b"\r\n\r\n"


class ResponseParser:
    """Parse the responses to `expected` requests on one connection, in the order of the requests."""

    def __init__(self, expected: int = 1) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._fed = 0
        self._body_bytes = 0
        self._broken = ""
        self._opening = b""
        self._heads = 0
        self._current = Response()
        self.responses = deque([self._current])
        """Responses that have begun, in order; the caller removes the first. There is one from the start."""
        self._outstanding = expected - 1

    def expect(self, more: int) -> None:
        """Expect the responses to `more` further requests."""
        self._outstanding += more

    @property
    def is_untouched(self) -> bool:
        """Whether nothing has arrived at all."""
        return self._fed == 0

    def feed(self, data: bytes) -> None:
        """Parse bytes from the wire. Raises: RemoteProtocolError."""
        if self._fed < len(_OPENING):
            self._opening = (self._opening + data).lstrip(b"\r\n")[: len(_OPENING)]
            if not _OPENING.startswith(self._opening):
                raise RemoteProtocolError("it is not HTTP/1.1 (another protocol)")  # llhttp accepts RTSP, too
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            raise RemoteProtocolError("it switches protocols, which was not requested") from error
        except httptools.HttpParserError as error:
            raise RemoteProtocolError(self._broken or f"it is not HTTP/1.1 ({error})") from error
        if self._broken:
            raise RemoteProtocolError(self._broken)
        overhead = self._fed - self._body_bytes
        if not self._current.has_head and overhead > _HEADER_LIMIT * (self._heads + 1):
            raise RemoteProtocolError(f"its headers have more than {_HEADER_LIMIT // 1024} KiB")
        if overhead > (_HEADER_LIMIT + _FRAMING_LIMIT) * (self._heads + 1) + _FRAMING_PER_BYTE * self._body_bytes:
            raise RemoteProtocolError("its framing has more bytes than its body could need")

    def feed_end(self) -> None:
        """Handle the end of the connection. Raises: RemoteProtocolError, if a response is incomplete."""
        response = self._current
        if response.is_complete and not self._outstanding:
            return
        if response.is_complete or not response.has_head:
            raise RemoteProtocolError("the connection ended before the response")
        if response.is_framed:
            raise RemoteProtocolError("the connection ended within the body")
        response.is_complete = True

    @property
    def body_left(self) -> int | None:
        """Bytes of the body that have not arrived; None if its length is not announced."""
        length = self._current.headers.get(b"content-length")
        return None if length is None or not self._current.has_head else int(length) - self._body_bytes

    def end_elsewhere(self) -> None:
        """Complete the only expected response: the rest of its body was read past this parser."""
        self._current.keeps_alive = bool(self._parser.should_keep_alive())
        self._current.is_complete = True

    # --- called by llhttp -------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a response; refuse one without a request."""
        if not self._current.is_complete:
            return
        if not self._outstanding or not self._current.keeps_alive:
            self._broken = "bytes follow the response's end"
            self._current.keeps_alive = False
            return
        self._outstanding -= 1
        self._current = Response()
        self.responses.append(self._current)

    def on_status(self, reason: bytes) -> None:
        """Keep the reason phrase."""
        self._current.reason = reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; ignore a trailer."""
        response = self._current
        if response.has_head:
            return
        value = value.rstrip(b" \t")
        name, headers = name.lower(), response.headers
        headers[name] = b"%s, %s" % (headers[name], value) if name in headers else value

    def on_headers_complete(self) -> None:
        """Complete the head; refuse framing that two readers could read differently."""
        response = self._current
        response.status = self._parser.get_status_code()
        if self._parser.get_http_version() not in _VERSIONS or response.status < _LEAST:
            self._broken = "it is not HTTP/1.1 (another version, or an impossible status)"
        if response.status < _FINAL:
            if response.status == _SWITCHING:
                self._broken = "it switches protocols, which was not requested"
            return
        coding, length = response.headers.get(b"transfer-encoding"), response.headers.get(b"content-length")
        if coding is not None and (coding.strip().lower() != b"chunked" or length is not None):
            self._broken = "its body is framed in two ways, or in an unknown one"
        if length is not None and b"," in length:
            self._broken = "it announces its length twice"
        response.is_framed = coding is not None or length is not None
        response.has_head = True
        self._heads += 1

    def on_body(self, data: bytes) -> None:
        """Keep body bytes."""
        if self._current.is_complete:
            self._broken = "a body follows where none is allowed"
            return
        self._body_bytes += len(data)
        self._current.buffer.append(data)

    def on_message_complete(self) -> None:
        """Complete the response, or the 1xx before it."""
        response = self._current
        if response.status < _FINAL:
            response.headers.clear()
            return
        response.keeps_alive = not self._broken and self._parser.should_keep_alive()
        response.is_complete = True
