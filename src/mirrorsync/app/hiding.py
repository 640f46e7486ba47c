"""What of a configuration must stand in no text that others may read, and how it is taken out of one."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from mirrorsync.config.schema import Settings
from mirrorsync.observe.secrets import mask, secrets_of

_SHORTEST: Final = 4
"""Characters: anything shorter stands in half of all words."""


def secrets_in(settings: Settings) -> frozenset[str]:
    """Return the proxy's password, the webhooks' paths and all tokens, in the forms in which they may turn up."""
    found = set(secrets_of(settings.upstream.proxy))
    found |= {url.partition(urlsplit(url).netloc)[2].lstrip("/") for url in settings.notify.webhooks}
    files = (settings.notify.webhook_secret_file, settings.fastly.token_file, settings.cloudflare.token_file)
    for path in filter(None, files):
        with suppress(OSError, ValueError):  # whoever needs it says that it cannot be read
            found.add(path.read_text().strip())
    return frozenset(one for one in found if len(one) >= _SHORTEST)


def cleaner(settings: Settings) -> Callable[[str], str]:
    """Return what takes out of a text the settings' secrets, as they are now, and whatever else looks like one."""
    return partial(mask, secrets=sorted(secrets_in(settings), key=len, reverse=True))
