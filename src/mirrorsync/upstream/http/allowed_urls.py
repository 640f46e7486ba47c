"""Which URLs may be requested: hosts, schemes and redirects. Pure."""

import msgspec
from packaging.utils import canonicalize_name

from mirrorsync.errors import Malformed, Refused
from mirrorsync.upstream.http.url import Url, UrlError, authority, join, parse, shown


class AllowedUrls(msgspec.Struct, frozen=True):
    """The hosts that an operator allows: `host`, or `host:port` if the port is not the scheme's default."""

    index_hosts: frozenset[str]
    file_hosts: frozenset[str]
    allow_http: bool = False

    def file(self, url: str) -> Url:
        """Return the URL of a file if it may be requested.

        Raises: Refused, for another host or port, plain HTTP, credentials, or an invalid URL.
        """
        try:
            parsed = parse(url)
        except UrlError as error:
            raise Refused(f"file URL {url[:200]!r} is not a URL", why=str(error)[:200]) from error
        return self._allowed_file(parsed)

    def file_redirect(self, origin: Url, location: str) -> Url:
        """Return the target of a file's redirect. Raises: Refused, as `file`, and for https to http."""
        try:
            target = join(origin, location)
        except UrlError as error:
            raise Refused(f"{shown(origin)} redirects to {location[:200]!r}", why="that is not a URL") from error
        if origin.scheme == "https" and target.scheme != "https":
            raise Refused(
                f"{shown(origin)} redirects to {shown(target)}", why="that would leave TLS; it was not followed"
            )
        return self._allowed_file(target)

    def page_redirect(self, origin: Url, location: str) -> Url:
        """Return the target of a page's redirect: the same host, and the same path except for the spelling of names.

        Raises: Malformed, for any other target.
        """
        try:
            target = join(origin, location)
        except UrlError as error:
            raise Malformed(f"{shown(origin)} redirects to {location[:200]!r}", why="that is not a URL") from error
        leaves_tls = origin.scheme == "https" and target.scheme != "https"
        if (
            leaves_tls
            or target.userinfo
            or authority(target) not in self.index_hosts
            or authority(target) != authority(origin)
        ):
            raise Malformed(
                f"{shown(origin)} redirects to {shown(target)}",
                why="pages must come from the index's own host; it was not followed",
                hint="a captive portal or a proxy; or the index has moved: see [upstream] index",
            )
        if _spelling_free(target.path) != _spelling_free(origin.path):
            raise Malformed(f"{shown(origin)} redirects to {shown(target)}", why="that is another resource")
        return target

    def _allowed_file(self, url: Url) -> Url:
        if url.userinfo:
            raise Refused(
                f"file URL on {authority(url)[:100]!r} carries credentials",
                why="credentials from upstream are never sent",
            )
        if url.scheme != "https" and not (url.scheme == "http" and self.allow_http):
            raise Refused(f"{shown(url)} is not https", hint="[upstream] allow-http, for an index of your own")
        if authority(url) not in self.file_hosts:
            raise Refused(
                f"{shown(url)} is on {authority(url)[:100]!r}",
                why=f"files may come from {', '.join(sorted(self.file_hosts))} only",
                hint="[upstream] file-hosts, if you trust that host",
            )
        return url


def _spelling_free(path: str) -> list[str]:
    return [canonicalize_name(segment) for segment in path.split("/") if segment]
