"""Cloudflare: purges by cache tag, which the web server must add, or by URL.

Source: Cloudflare's API reference, "Purge Cached Content": POST /zones/<id>/purge_cache, 30 tags or URLs at most.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from mirrorsync.model.notification import Announcement
from mirrorsync.notify.errors import NotifyError
from mirrorsync.notify.http import TIME_LIMIT, SinkClient, open_client
from mirrorsync.notify.secret import secret_from

_BATCH: Final = 30


class Cloudflare:
    """Purges the tags of what changed or, if `sites` are given, its addresses on each of them."""

    name = "cloudflare"
    max_changes = 120

    def __init__(
        self, *, api: str, zone: str, token_file: Path, sites: Sequence[str] = (), time_limit: float = TIME_LIMIT
    ) -> None:
        self._url = f"{api}/zones/{quote(zone, safe='')}/purge_cache"
        self._token_file = token_file
        self._sites = sites
        self._time_limit = time_limit

    async def announce(self, announcement: Announcement) -> str:
        """Purge. Raises: NotifyError, also for a 200 that says `"success": false`."""
        token = await secret_from(self._token_file, self.name)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        async with open_client(self.name, secrets=(token,), time_limit=self._time_limit) as client:
            for purge in self._purges(announcement):
                await self._send(client, headers, purge)
        return ""

    async def _send(self, client: SinkClient, headers: dict[str, str], purge: dict[str, Any]) -> None:
        response = await client.expect_success("POST", self._url, headers=headers, body=msgspec.json.encode(purge))
        try:
            succeeded = msgspec.json.decode(response.body)["success"] is True
        except (msgspec.DecodeError, KeyError, TypeError):
            succeeded = False
        if not succeeded:
            refused = client.refused(response)
            raise NotifyError(f"{self.name} does not confirm the purge", why=refused.why, hint=refused.hint)

    def _purges(self, announcement: Announcement) -> Iterator[dict[str, Any]]:
        if self._sites and announcement.everything:
            yield {"purge_everything": True}
            return
        kind, items = "tags", announcement.keys
        if self._sites:
            paths = [path for change in announcement.changes for path in change.paths]
            kind, items = "files", tuple(f"{site}{path}" for site in self._sites for path in paths)
        for start in range(0, len(items), _BATCH):
            yield {kind: items[start : start + _BATCH]}
