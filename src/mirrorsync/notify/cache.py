"""A cache in front of the mirror, Varnish or nginx with a purge module: PURGE for each address, BAN or `*` for all."""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from mirrorsync.model.notification import INDEX, Announcement
from mirrorsync.notify.http import TIME_LIMIT, SinkClient, open_client

_TOPS: Final = {True: ("simple", "pypi"), False: ("packages",)}
"""Top directories of the index, and of the files."""
_NOT_CACHED: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.PRECONDITION_FAILED})
"""How nginx's modules answer for an address that is not cached (412 by old ones)."""

Kind = Literal["varnish", "nginx"]


class _Purge(msgspec.Struct, frozen=True):
    method: str
    path: str
    headers: Mapping[str, str] = {}


class Cache:
    """Purges one cache at `url`, for each of the `sites`: the mirror's addresses as clients know them.

    Its name is its host, or `called` if there is another cache at that host.
    """

    max_changes = 50

    def __init__(
        self, kind: Kind, url: str, *, sites: Sequence[str] = (), time_limit: float = TIME_LIMIT, called: str = ""
    ) -> None:
        self.name = f"{kind} {called or urlsplit(url).netloc}"
        self._kind = kind
        self._url = url
        self._hosts = tuple(dict.fromkeys(urlsplit(site).netloc for site in sites)) or (urlsplit(url).netloc,)
        self._time_limit = time_limit

    async def announce(self, announcement: Announcement) -> str:
        """Purge. An address that is not cached is a success. Raises: NotifyError."""
        async with open_client(self.name, time_limit=self._time_limit, use_proxies=False) as client:
            for purge in self._purges(announcement):
                for host in self._hosts:
                    await self._send(client, host, purge)
        return ""

    async def _send(self, client: SinkClient, host: str, purge: _Purge) -> None:
        response = await client.call(purge.method, f"{self._url}{purge.path}", headers={**purge.headers, "Host": host})
        if not response.is_success and response.status not in _NOT_CACHED:
            raise client.refused(response)

    def _purges(self, announcement: Announcement) -> Iterator[_Purge]:
        for scope in announcement.everything:
            for top in _TOPS[scope == INDEX]:
                if self._kind == "varnish":
                    yield _Purge(method="BAN", path=f"/{top}/", headers={"X-Ban": f"^/{top}/"})
                else:
                    yield _Purge(method="PURGE", path=f"/{top}/*")
        for change in announcement.changes:
            for path in change.paths:
                yield _Purge(method="PURGE", path=path)
