"""Cloudflare: purges by cache tag, which the web server has to add, or by URL.

Source: Cloudflare's API reference, "Purge Cached Content": POST /zones/<id>/purge_cache, 30 tags or URLs at most.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from mirrorsync.model.notification import Announcement
from mirrorsync.notify.errors import PurgeError
from mirrorsync.notify.http import PATIENCE, Caller, calling
from mirrorsync.notify.secret import secret_from

_AT_ONCE: Final = 30
_LAST_WORDS: Final = 200
"""Characters of an answer that an error repeats."""


class Cloudflare:
    """Purges what changed: the tags, or where `sites` are given, all addresses of it below each of them."""

    name = "cloudflare"
    most = 120

    def __init__(
        self, *, api: str, zone: str, token_file: Path, sites: Sequence[str] = (), patience: float = PATIENCE
    ) -> None:
        self._url = f"{api}/zones/{quote(zone, safe='')}/purge_cache"
        self._token_file = token_file
        self._sites = sites
        self._patience = patience

    async def announce(self, announcement: Announcement) -> str:
        """Purge. Raises: PurgeError, also for a 200 that says `"success": false`."""
        token = await secret_from(self._token_file, self.name)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        async with calling(self.name, secrets=(token,), patience=self._patience) as caller:
            for order in self._orders(announcement):
                await self._purge(caller, headers, order)
        return ""

    async def _purge(self, caller: Caller, headers: dict[str, str], order: dict[str, Any]) -> None:
        reply = await caller.expect_success("POST", self._url, headers=headers, body=msgspec.json.encode(order))
        try:
            succeeded = msgspec.json.decode(reply.body)["success"] is True
        except (msgspec.DecodeError, KeyError, TypeError):
            succeeded = False
        if not succeeded:
            refused = caller.refused(reply)
            raise PurgeError(f"{self.name} does not confirm the purge", why=refused.why, hint=refused.hint)

    def _orders(self, announcement: Announcement) -> Iterator[dict[str, Any]]:
        if self._sites and announcement.everything:
            yield {"purge_everything": True}
            return
        kind, things = "tags", announcement.keys
        if self._sites:
            paths = [path for change in announcement.changes for path in change.paths]
            kind, things = "files", tuple(f"{site}{path}" for site in self._sites for path in paths)
        for start in range(0, len(things), _AT_ONCE):
            yield {kind: things[start : start + _AT_ONCE]}
