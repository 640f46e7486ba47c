"""One's own cache, Varnish or nginx with a purge module: the method PURGE for each address, BAN or `*` for all."""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from mirrorsync.model.notification import INDEX, Announcement
from mirrorsync.notify.http import PATIENCE, Caller, calling

_TOPS: Final = {True: ("simple", "pypi"), False: ("packages",)}
"""Top directories of the index, and of the files."""
_NOT_THERE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.PRECONDITION_FAILED})
"""What nginx's modules say of what they do not have (412 of old)."""

Kind = Literal["varnish", "nginx"]


class _Order(msgspec.Struct, frozen=True):
    method: str
    path: str
    headers: Mapping[str, str] = {}


class Cache:
    """Purges one cache at `url`, for each of the `sites` that clients know the mirror by.

    It is named by its host, or by `called` where another cache stands at that host, too.
    """

    most = 50

    def __init__(
        self, kind: Kind, url: str, *, sites: Sequence[str] = (), patience: float = PATIENCE, called: str = ""
    ) -> None:
        self.name = f"{kind} {called or urlsplit(url).netloc}"
        self._kind = kind
        self._url = url
        self._hosts = tuple(dict.fromkeys(urlsplit(site).netloc for site in sites)) or (urlsplit(url).netloc,)
        self._patience = patience

    async def announce(self, announcement: Announcement) -> str:
        """Purge. Raises: PurgeError; that nothing was cached is success."""
        async with calling(self.name, patience=self._patience, past_proxies=True) as caller:
            for order in self._orders(announcement):
                for host in self._hosts:
                    await self._purge(caller, host, order)
        return ""

    async def _purge(self, caller: Caller, host: str, order: _Order) -> None:
        reply = await caller.call(order.method, f"{self._url}{order.path}", headers={**order.headers, "Host": host})
        if not reply.is_success and reply.status not in _NOT_THERE:
            raise caller.refused(reply)

    def _orders(self, announcement: Announcement) -> Iterator[_Order]:
        for scope in announcement.everything:
            for top in _TOPS[scope == INDEX]:
                if self._kind == "varnish":
                    yield _Order(method="BAN", path=f"/{top}/", headers={"X-Ban": f"^/{top}/"})
                else:
                    yield _Order(method="PURGE", path=f"/{top}/*")
        for change in announcement.changes:
            for path in change.paths:
                yield _Order(method="PURGE", path=path)
