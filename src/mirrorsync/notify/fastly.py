"""Fastly: purges by surrogate key, which the web server in front of the tree must add (docs/purging.md).

Source: Fastly's API reference, "Purging", bulk purge: POST /service/<id>/purge, 256 keys at most.
"""

from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from mirrorsync.model.notification import Announcement
from mirrorsync.notify.http import TIME_LIMIT, open_client
from mirrorsync.notify.secret import secret_from

_KEYS: Final = 256


class Fastly:
    """Purges the keys of what changed; after a soft purge caches may serve stale objects while they refetch."""

    name = "fastly"
    max_changes = _KEYS

    def __init__(
        self, *, api: str, service: str, token_file: Path, soft: bool = True, time_limit: float = TIME_LIMIT
    ) -> None:
        self._url = f"{api}/service/{quote(service, safe='')}/purge"
        self._token_file = token_file
        self._soft = soft
        self._time_limit = time_limit

    async def announce(self, announcement: Announcement) -> str:
        """Purge. Raises: NotifyError."""
        token = await secret_from(self._token_file, self.name)
        headers = {"Fastly-Key": token, "Accept": "application/json", "Content-Type": "application/json"}
        if self._soft:
            headers["Fastly-Soft-Purge"] = "1"
        keys = announcement.keys
        async with open_client(self.name, secrets=(token,), time_limit=self._time_limit) as client:
            for start in range(0, len(keys), _KEYS):
                body = msgspec.json.encode({"surrogate_keys": keys[start : start + _KEYS]})
                await client.expect_success("POST", self._url, headers=headers, body=body)
        return ""
