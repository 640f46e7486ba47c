"""The CDN in front of the origin: gzip, ETags (of the encoded body), 304. Pure; results are cached for speed."""

import base64
import functools
import gzip
import hashlib

from msgspec.structs import replace

from tests.support.pypi.exchange import Answer, Request
from tests.support.pypi.values import Shape

_SMALL = 65_536
"""Bytes below which an encoded body is cached."""
_STAYS_IN_304 = ("Cache-Control", "Vary")


def pass_edge(answer: Answer, request: Request, shape: Shape) -> Answer:
    """Return the answer as the CDN sends it."""
    if not (answer.cached or answer.compressed) or answer.status != 200:
        return answer
    body, headers = answer.body, answer.headers
    if shape.gzip and accepts_gzip(request):
        body = _gzip(body)
        headers = (*headers, ("Content-Encoding", "gzip"))
    if not (answer.cached and shape.etags):
        return replace(answer, body=body, headers=headers)
    etag = _etag(body)
    if _matches(request.headers.get("if-none-match"), etag):
        kept = tuple(header for header in headers if header[0] in _STAYS_IN_304)
        return replace(answer, status=304, body=b"", headers=(*kept, ("ETag", etag)))
    return replace(answer, body=body, headers=(*headers, ("ETag", etag)))


def accepts_gzip(request: Request) -> bool:
    """Return whether the gzip variant is requested."""
    return _names_gzip(request.headers.get("accept-encoding", ""))


@functools.lru_cache(maxsize=256)
def _names_gzip(accept_encoding: str) -> bool:
    codings = [piece.replace(" ", "").lower() for piece in accept_encoding.split(",")]
    return any(coding.split(";", 1)[0] in ("gzip", "*") and not coding.endswith(";q=0") for coding in codings)


def _matches(if_none_match: str | None, etag: str) -> bool:
    if if_none_match is None:
        return False
    offered = [text.strip().removeprefix("W/") for text in if_none_match.split(",")]
    return etag in offered or "*" in offered


def _gzip(body: bytes) -> bytes:
    return _remembered_gzip(body) if len(body) < _SMALL else gzip.compress(body, compresslevel=1, mtime=0)


@functools.lru_cache(maxsize=4096)
def _remembered_gzip(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=1, mtime=0)


def _etag(body: bytes) -> str:
    return _remembered_etag(body) if len(body) < _SMALL else _digest(body)


@functools.lru_cache(maxsize=4096)
def _remembered_etag(body: bytes) -> str:
    return _digest(body)


def _digest(body: bytes) -> str:
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    return f'"{base64.b64encode(digest).decode().rstrip("=")}"'
