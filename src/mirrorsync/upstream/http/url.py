"""URLs as they are asked for: one parse, one meaning.

Nearly every URL that an index gives is of one plain shape, in which no two parsers could differ; it is taken as it
stands. Anything else is httpx's to parse (and costs a quarter of a millisecond).
"""

import re
from typing import Final

import httpx
import msgspec

_PLAIN: Final = re.compile(
    r"(https?)://([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::([1-9][0-9]{0,4}))?((?:/[\w.~!$'()*+,;=:@&%-]+)+/?)", re.ASCII
)
"""Scheme, host name, port, path: lower case, no credentials, no query, no empty segment."""
_DOTS: Final = re.compile(r"/\.{1,2}(?:/|$)")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


class PlainUrl(msgspec.Struct, frozen=True):
    """A URL of the plain shape, with the attributes of `httpx.URL` that a request needs."""

    text: str
    scheme: str
    host: str
    port: int | None
    path_text: str

    @property
    def raw_host(self) -> bytes:
        """The host as it travels."""
        return self.host.encode("ascii")

    @property
    def raw_path(self) -> bytes:
        """The request target."""
        return self.path_text.encode("ascii")

    def __str__(self) -> str:
        return self.text


Url = PlainUrl | httpx.URL


def parse(text: str) -> Url:
    """Return `text` as a URL. Raises: httpx.InvalidURL."""
    plain = _PLAIN.fullmatch(text)
    if plain is None or ("/." in text and _DOTS.search(text)) or ("%" in text and _BAD_ESCAPE.search(text)):
        return httpx.URL(text)
    scheme, host, port, path = plain.groups()
    return PlainUrl(text=text, scheme=scheme, host=host, port=None if port is None else int(port), path_text=path)


def full(url: Url) -> httpx.URL:
    """Return `url` with all that httpx can do with it."""
    return url if isinstance(url, httpx.URL) else httpx.URL(url.text)
