"""A web address that hears of changes: a POST of JSON, signed so that it can tell us from anybody else."""

import hashlib
import hmac
import time
from collections.abc import Callable
from pathlib import Path

from mirrorsync.model.notification import Announcement
from mirrorsync.notify.document import document
from mirrorsync.notify.http import PATIENCE, calling
from mirrorsync.notify.secret import secret_from


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Return the header's value: `t=<seconds>,v1=<hex>`, HMAC-SHA256 over `<seconds>.<body>` with `secret`."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


class Webhook:
    """POSTs each announcement to a URL, which is taken for a secret itself: many a service puts its token there."""

    most = 1000

    def __init__(
        self,
        name: str,
        url: str,
        secret_file: Path,
        *,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._url = url
        self._secret_file = secret_file
        self._patience = patience
        self._clock = clock

    async def announce(self, announcement: Announcement) -> str:
        """Send it. Raises: PurgeError for any answer but 2xx."""
        secret = await secret_from(self._secret_file, self.name)
        body = document(announcement)
        headers = {
            "Content-Type": "application/json",
            "X-Mirrorsync-Signature": signature(secret, int(self._clock()), body),
        }
        async with calling(self.name, secrets=(secret, self._url), patience=self._patience) as caller:
            await caller.expect_success("POST", self._url, headers=headers, body=body)
        return ""
