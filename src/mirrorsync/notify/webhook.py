"""A webhook: a POST of JSON, signed so that the receiver can verify the sender."""

import hashlib
import hmac
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from mirrorsync.model.notification import Announcement
from mirrorsync.notify.http import TIME_LIMIT, open_client
from mirrorsync.notify.secret import secret_from


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Return the header's value: `t=<seconds>,v1=<hex>`, HMAC-SHA256 over `<seconds>.<body>` with `secret`."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def document(announcement: Announcement) -> bytes:
    """Return one JSON object: `serial`, `everything` (scopes), `changes` (kind, name, paths, key)."""
    return msgspec.json.encode(
        {"serial": announcement.serial, "everything": announcement.everything, "changes": announcement.changes}
    )


class Webhook:
    """POSTs each announcement to a URL, which is treated as a secret: many services put a token into it."""

    max_changes = 1000

    def __init__(
        self,
        name: str,
        url: str,
        secret_file: Path,
        *,
        time_limit: float = TIME_LIMIT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._url = url
        self._secret_file = secret_file
        self._time_limit = time_limit
        self._clock = clock

    async def announce(self, announcement: Announcement) -> str:
        """Send it. Raises: NotifyError for any status but 2xx."""
        secret = await secret_from(self._secret_file, self.name)
        body = document(announcement)
        headers = {
            "Content-Type": "application/json",
            "X-Mirrorsync-Signature": signature(secret, int(self._clock()), body),
        }
        async with open_client(self.name, secrets=(secret, self._url), time_limit=self._time_limit) as client:
            await client.expect_success("POST", self._url, headers=headers, body=body)
        return ""
