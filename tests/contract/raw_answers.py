"""Raw responses that every client accepts, and those that it refuses. Source: RFC 9112."""

from typing import Final

import msgspec

from tests.contract.peer import answer

_OK: Final = b"HTTP/1.1 200 OK\r\n"
_CHUNKED: Final = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_LENGTH: Final = _OK + b"Content-Length: 4\r\n"
HEAD_MOST: Final = 64 * 1024
"""Bytes of headers that are read at most."""


class Lawful(msgspec.Struct, frozen=True):
    """A response that is unusual and valid."""

    name: str
    raw: bytes
    body: bytes = b"holy"
    reused: bool = True
    """Whether the connection may carry another request."""


class Unlawful(msgspec.Struct, frozen=True):
    """A response that two readers could read differently, or that is invalid."""

    name: str
    raw: bytes
    stock: str = ""
    """An allowed difference: why httpx accepts it or waits for more."""
    ours: str = ""
    """The same for the own client."""


LAWFUL: Final = (
    Lawful("chunks", _CHUNKED + b"2\r\nho\r\n2\r\nly\r\n0\r\n\r\n"),
    Lawful("chunks with extensions", _CHUNKED + b'2;a=b\r\nho\r\n2;c;d="e"\r\nly\r\n0;f\r\n\r\n'),
    Lawful("chunks with trailers", _CHUNKED + b"4\r\nholy\r\n0\r\nDigest: x\r\nX-Other: y\r\n\r\n"),
    Lawful("a chunk size with leading zeros", _CHUNKED + b"0004\r\nholy\r\n000\r\n\r\n"),
    Lawful("a chunk size in capitals", _CHUNKED + b"A\r\nholy grail\r\n0\r\n\r\n", body=b"holy grail"),
    Lawful("a coding in capitals", _OK + b"TRANSFER-ENCODING: Chunked\r\n\r\n4\r\nholy\r\n0\r\n\r\n"),
    Lawful("100 before the answer", b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"holy")),
    Lawful("103 before the answer", b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" + answer(b"holy")),
    Lawful("three 1xx before the answer", b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + answer(b"holy")),
    Lawful("1xx with a length of its own", b"HTTP/1.1 103 Early\r\nContent-Length: 9\r\n\r\n" + answer(b"holy")),
    Lawful("no reason", answer(b"holy", status=b"200 ")),
    Lawful("no reason and no space before it", b"HTTP/1.1 200\r\nContent-Length: 4\r\n\r\nholy"),
    Lawful("a header without a value", answer(b"holy", b"X-Empty:")),
    Lawful("a header that is not ASCII", answer(b"holy", b"X-Name: \xc3\xbc\xff")),
    Lawful("blanks around a value", answer(b"holy", b"X-Blank: \t a \t ")),
    Lawful("an empty body", answer(b""), body=b""),
    Lawful("Connection: close", answer(b"holy", b"Connection: close"), reused=False),
    Lawful("CONNECTION: a, CLOSE", answer(b"holy", b"CONNECTION: a, CLOSE"), reused=False),
    Lawful("HTTP/1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nholy", reused=False),
    Lawful("headers just short of the limit", answer(b"holy", b"X-Long: " + b"a" * (HEAD_MOST - 2048))),
    Lawful("300 headers", answer(b"holy", *(b"X-%d: y" % number for number in range(300)))),
)

BODILESS: Final = (
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 1000\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nTransfer-Encoding: chunked\r\n\r\n",
)
"""Responses to a GET that have no body, whatever their headers say. Source: RFC 9112 6.3."""

UNLAWFUL: Final = (
    Unlawful("two lengths", _LENGTH + b"Content-Length: 5\r\n\r\nholy!"),
    Unlawful(
        "two lengths alike",
        _LENGTH + b"Content-Length: 4\r\n\r\nholy",
        stock="h11 folds lengths that agree into one, as RFC 9112 6.3 lets it",
    ),
    Unlawful("a list of lengths", _OK + b"Content-Length: 4, 5\r\n\r\nholy!"),
    Unlawful(
        "length and coding",
        _LENGTH + b"Transfer-Encoding: chunked\r\n\r\n4\r\nholy\r\n0\r\n\r\n",
        stock="h11 lets the coding win, as RFC 9112 6.3 lets it",
    ),
    Unlawful(
        "coding and length",
        _OK + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n4\r\nholy\r\n0\r\n\r\n",
        stock="h11 lets the coding win, as RFC 9112 6.3 lets it",
    ),
    Unlawful("chunked twice", _OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n4\r\nholy\r\n0\r\n\r\n"),
    Unlawful("two codings", _OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n4\r\nholy\r\n0\r\n\r\n"),
    Unlawful("an unknown coding", _OK + b"Transfer-Encoding: xchunked\r\n\r\n4\r\nholy\r\n0\r\n\r\n"),
    Unlawful("a negative length", _OK + b"Content-Length: -4\r\n\r\nholy"),
    Unlawful("a signed length", _OK + b"Content-Length: +4\r\n\r\nholy"),
    Unlawful("a length in words", _OK + b"Content-Length: four\r\n\r\nholy"),
    Unlawful("a length in other digits", _OK + b"Content-Length: \xd9\xa4\r\n\r\nholy"),
    Unlawful("a hexadecimal length", _OK + b"Content-Length: 0x4\r\n\r\nholy"),
    Unlawful("an empty length", _OK + b"Content-Length: \r\n\r\nholy"),
    Unlawful("a length of 400 digits", _OK + b"Content-Length: " + b"9" * 400 + b"\r\n\r\nholy"),
    Unlawful(
        "a length that overflows",
        _OK + b"Content-Length: 18446744073709551620\r\n\r\nholy",
        stock="Python's integers have no end: it waits for the body",
    ),
    Unlawful("a chunk size in words", _CHUNKED + b"four\r\nholy\r\n0\r\n\r\n"),
    Unlawful("a negative chunk size", _CHUNKED + b"-4\r\nholy\r\n0\r\n\r\n"),
    Unlawful("a chunk size with 0x", _CHUNKED + b"0x4\r\nholy\r\n0\r\n\r\n"),
    Unlawful(
        "a chunk size that overflows",
        _CHUNKED + b"10000000000000004\r\nholy\r\n0\r\n\r\n",
        stock="Python's integers have no end: it waits for the chunk",
    ),
    Unlawful("an empty chunk size", _CHUNKED + b"\r\nholy\r\n0\r\n\r\n"),
    Unlawful("a chunk longer than its size", _CHUNKED + b"3\r\nholy\r\n0\r\n\r\n"),
    Unlawful("a chunk without its line end", _CHUNKED + b"4\r\nholy0\r\n\r\n"),
    Unlawful("a chunk size with a bare LF", _CHUNKED + b"4\nholy\r\n0\r\n\r\n"),
    Unlawful("LF in an extension", _CHUNKED + b"4;a\nb\r\nholy\r\n0\r\n\r\n"),
    Unlawful(
        "a folded header",
        _OK + b"X-Fold: a\r\n b\r\nContent-Length: 4\r\n\r\nholy",
        stock="h11 unfolds it, as RFC 9112 5.2 lets it",
    ),
    Unlawful("a folded first header", _OK + b" X-Fold: a\r\nContent-Length: 4\r\n\r\nholy"),
    Unlawful("NUL in a value", _LENGTH + b"X-Nul: a\0b\r\n\r\nholy"),
    Unlawful("NUL in a name", _LENGTH + b"X\0Nul: ab\r\n\r\nholy"),
    Unlawful("CR in a value", _LENGTH + b"X-Cr: a\rb\r\n\r\nholy"),
    Unlawful("a blank before the colon", _OK + b"Content-Length : 4\r\n\r\nholy"),
    Unlawful("a header without a colon", _LENGTH + b"Holy\r\n\r\nholy"),
    Unlawful("a header without a name", _LENGTH + b": x\r\n\r\nholy"),
    Unlawful(
        "lines that end with LF",
        b"HTTP/1.1 200 OK\nContent-Length: 4\n\nholy",
        stock="h11 takes a bare LF, as RFC 9112 2.2 lets it",
    ),
    Unlawful("RTSP", b"RTSP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nholy"),
    Unlawful("ICE", b"ICE/1.0 200 OK\r\nContent-Length: 4\r\n\r\nholy"),
    Unlawful(
        "HTTP/0.9 with a status",
        b"HTTP/0.9 200 OK\r\nContent-Length: 4\r\n\r\nholy",
        stock="h11 takes any version",
    ),
    Unlawful("HTTP/1.2", b"HTTP/1.2 200 OK\r\nContent-Length: 4\r\n\r\nholy", stock="h11 takes any version"),
    Unlawful("lower-case http", b"http/1.1 200 OK\r\nContent-Length: 4\r\n\r\nholy"),
    Unlawful("a blank before the status line", b" HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nholy"),
    Unlawful(
        "an empty line in front of the status line",
        b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nholy",
        ours="llhttp passes over empty lines; nothing can hide in them",
    ),
    Unlawful(
        "HTTP/2.0",
        b"HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nholy",
        stock="h11 takes any version",
    ),
    Unlawful("HTTP/0.9", b"holy grail, no headers at all\r\n\r\n"),
    Unlawful("another protocol", b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n"),
    Unlawful("a status of two digits", b"HTTP/1.1 20 OK\r\nContent-Length: 4\r\n\r\nholy"),
    Unlawful("a status of four digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 4\r\n\r\nholy"),
    Unlawful("a status in words", b"HTTP/1.1 two OK\r\nContent-Length: 4\r\n\r\nholy"),
    Unlawful(
        "a status of zero",
        b"HTTP/1.1 000 OK\r\nContent-Length: 4\r\n\r\nholy",
    ),
    Unlawful("a switch of protocols", b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
)
