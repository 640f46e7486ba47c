"""URLs: parsed once, so that the check and the request cannot read them differently.

Nearly every URL of an index has one plain shape, which all parsers read alike; it is taken as it is. httpx parses the
others, at a quarter of a millisecond each; it is loaded for the first of them.
"""

import re
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias
from urllib.parse import unquote

import msgspec

if TYPE_CHECKING:
    import httpx

_PLAIN: Final = re.compile(
    r"(https?)://([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::([1-9][0-9]{0,4}))?((?:/[\w.~!$'()*+,;=:@&%-]+)+/?|/)?", re.ASCII
)
"""Scheme, host name, port, path: lower case, no credentials, no query, no empty segment."""
_DOTS: Final = re.compile(r"/\.{1,2}(?:/|$)")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
SCHEME_PORTS: Final = {"https": 443, "http": 80}


class UrlError(ValueError):
    """A text is not a URL."""


class PlainUrl(msgspec.Struct, frozen=True):
    """A URL of the plain shape, with the attributes of `httpx.URL` that a request needs."""

    text: str
    scheme: str
    host: str
    port: int | None
    path_text: str
    authority: str
    """The host, with the port if it is not the default."""
    userinfo: ClassVar[bytes] = b""
    query: ClassVar[bytes] = b""
    fragment: ClassVar[str] = ""

    @property
    def raw_host(self) -> bytes:
        """The host as it is sent."""
        return self.host.encode("ascii")

    @property
    def path(self) -> str:
        """The path without its quoting."""
        return unquote(self.path_text)

    @property
    def raw_path(self) -> bytes:
        """The request target."""
        return self.path_text.encode("ascii")

    def __str__(self) -> str:
        return self.text


Url: TypeAlias = "PlainUrl | httpx.URL"


def parse(text: str) -> Url:
    """Return `text` as a URL. Raises: UrlError."""
    plain = _PLAIN.fullmatch(text)
    if plain is None or ("/." in text and _DOTS.search(text)) or ("%" in text and _BAD_ESCAPE.search(text)):
        return _by_httpx(text)
    scheme, host, digits, path = plain.groups()
    port = None if digits is None else int(digits)
    authority = host if port in (None, SCHEME_PORTS[scheme]) else f"{host}:{digits}"
    return PlainUrl(text=text, scheme=scheme, host=host, port=port, path_text=path or "/", authority=authority)


def join(url: Url, location: str) -> Url:
    """Return the target of a redirect from `url`. Raises: UrlError."""
    return _by_httpx(str(url), location)


def shown(url: Url) -> str:
    """Return `url` without credentials, cut to 200 characters."""
    return str(url if isinstance(url, PlainUrl) else url.copy_with(userinfo=b""))[:200]


def _by_httpx(text: str, location: str = "") -> "httpx.URL":
    import httpx  # noqa: PLC0415 -- 100 ms, and a plain URL does not need it

    try:
        url = httpx.URL(text)
        return url.join(location) if location else url
    except (httpx.InvalidURL, ValueError) as error:  # ValueError: the standard library's, for a location such as `//[`
        raise UrlError(str(error)) from error


def authority(url: Url) -> str:
    """Return the host, with the port if it is not the default (httpx keeps it in `HTTPS://HOST:443`)."""
    if isinstance(url, PlainUrl):
        return url.authority
    host = url.raw_host.decode("ascii")
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if url.port in (None, SCHEME_PORTS.get(url.scheme)) else f"{bracketed}:{url.port}"
