"""Fastly: purges by surrogate key, which the web server in front of the tree has to add (docs/purging.md).

Source: Fastly's API reference, "Purging", bulk purge: POST /service/<id>/purge, 256 keys at most.
"""

from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from mirrorsync.model.notification import Announcement
from mirrorsync.notify.http import PATIENCE, calling
from mirrorsync.notify.secret import secret_from

_KEYS: Final = 256


class Fastly:
    """Purges the keys of what changed: softly, so that a cache may answer with what it has while it asks anew."""

    name = "fastly"
    most = _KEYS

    def __init__(
        self, *, api: str, service: str, token_file: Path, soft: bool = True, patience: float = PATIENCE
    ) -> None:
        self._url = f"{api}/service/{quote(service, safe='')}/purge"
        self._token_file = token_file
        self._soft = soft
        self._patience = patience

    async def announce(self, announcement: Announcement) -> str:
        """Purge. Raises: PurgeError."""
        token = await secret_from(self._token_file, self.name)
        headers = {"Fastly-Key": token, "Accept": "application/json", "Content-Type": "application/json"}
        if self._soft:
            headers["Fastly-Soft-Purge"] = "1"
        keys = announcement.keys
        async with calling(self.name, secrets=(token,), patience=self._patience) as caller:
            for start in range(0, len(keys), _KEYS):
                body = msgspec.json.encode({"surrogate_keys": keys[start : start + _KEYS]})
                await caller.expect_success("POST", self._url, headers=headers, body=body)
        return ""
