"""Which URLs we go to: pure decisions about hosts, schemes and redirects.

A decision and the request use the same parsed URL, so that no second parser can read it otherwise.
"""

from functools import lru_cache
from typing import Final

import httpx
import msgspec
from packaging.utils import canonicalize_name

from mirrorsync.errors import Malformed, Refused
from mirrorsync.upstream.http.url import Url, full, parse

_SCHEME_PORTS: Final = {"https": 443, "http": 80}
_NO_URL: Final = (httpx.InvalidURL, ValueError)
"""ValueError: httpx joins with the standard library, which has its own word for an address like `//[`."""


def authority(url: Url) -> str:
    """Return host, and port where it is not the scheme's own (httpx keeps it in `HTTPS://HOST:443`)."""
    return _authority(url.scheme, url.raw_host, url.port)


@lru_cache(maxsize=64)
def _authority(scheme: str, raw_host: bytes, port: int | None) -> str:
    host = raw_host.decode("ascii")
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port in (None, _SCHEME_PORTS.get(scheme)) else f"{bracketed}:{port}"


class AllowedUrls(msgspec.Struct, frozen=True):
    """What an operator lets us reach. Hosts are `host`, or `host:port` where the port is not the scheme's own."""

    index_hosts: frozenset[str]
    file_hosts: frozenset[str]
    allow_http: bool = False

    def file(self, url: str) -> Url:
        """Return a file's URL, fit to be requested.

        Raises: Refused, for another host or port, plain HTTP, credentials, or what is no URL.
        """
        try:
            parsed = parse(url)
        except httpx.InvalidURL as error:
            raise Refused(f"file URL {url[:200]!r} is not a URL", why=str(error)[:200]) from error
        return self._fit_file(parsed)

    def file_redirect(self, origin: Url, location: str) -> Url:
        """Return where `origin` redirects to. Raises: Refused, as `file`, and for https to http."""
        try:
            target = full(origin).join(location)
        except _NO_URL as error:
            raise Refused(f"{_shown(origin)} redirects to {location[:200]!r}", why="that is not a URL") from error
        if origin.scheme == "https" and target.scheme != "https":
            raise Refused(
                f"{_shown(origin)} redirects to {_shown(target)}", why="that would leave TLS; we did not follow"
            )
        return self._fit_file(target)

    def page_redirect(self, origin: Url, location: str) -> Url:
        """Return where a page redirects to: the same host, and the same path up to spelling of names.

        Raises: Malformed, for anything else.
        """
        try:
            target = full(origin).join(location)
        except _NO_URL as error:
            raise Malformed(f"{_shown(origin)} redirects to {location[:200]!r}", why="that is not a URL") from error
        leaves_tls = origin.scheme == "https" and target.scheme != "https"
        if (
            leaves_tls
            or target.userinfo
            or authority(target) not in self.index_hosts
            or authority(target) != authority(origin)
        ):
            raise Malformed(
                f"{_shown(origin)} redirects to {_shown(target)}",
                why="the index promises its pages on its own host; we did not follow",
                hint="a captive portal or a proxy; or the index has moved: see [upstream] index",
            )
        if _spelling_free(target.path) != _spelling_free(full(origin).path):
            raise Malformed(f"{_shown(origin)} redirects to {_shown(target)}", why="that is another resource")
        return target

    def _fit_file(self, url: Url) -> Url:
        if isinstance(url, httpx.URL) and url.userinfo:
            raise Refused(
                f"file URL on {authority(url)[:100]!r} carries credentials", why="we send none that upstream chose"
            )
        if url.scheme != "https" and not (url.scheme == "http" and self.allow_http):
            raise Refused(f"{_shown(url)} is not https", hint="[upstream] allow-http, for an index of one's own")
        if authority(url) not in self.file_hosts:
            raise Refused(
                f"{_shown(url)} is on {authority(url)[:100]!r}",
                why=f"files may come from {', '.join(sorted(self.file_hosts))} only",
                hint="[upstream] file-hosts, if you trust that host",
            )
        return url


def _shown(url: Url) -> str:
    return str(full(url).copy_with(userinfo=b""))[:200]


def _spelling_free(path: str) -> list[str]:
    return [canonicalize_name(segment) for segment in path.split("/") if segment]
