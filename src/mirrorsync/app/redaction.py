"""What of a configuration must stand in no text that others may read, and how it is taken out of one."""

import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from mirrorsync.config.schema import Settings
from mirrorsync.notify.errors import PurgeError
from mirrorsync.notify.secret import read_secret
from mirrorsync.observe.redaction import mask, secrets_of

_SHORTEST: Final = 4
"""Characters: anything shorter stands in half of all words."""
_TELLING: Final = re.compile(r"(?=.{12}).*[/0-9]", re.DOTALL)
"""What the path of a webhook is like when it is a secret by itself; "mirror" is a word, and part of ours."""


def secrets_in(settings: Settings) -> frozenset[str]:
    """Return the proxy's password, the webhooks' addresses and all tokens, in the forms in which they may turn up."""
    found = set(secrets_of(settings.upstream.proxy))
    for url in settings.notify.webhooks:
        _, _, address = url.partition("://")
        path = address.partition("/")[2]
        found |= {address} if path else set()
        found |= {path} if _TELLING.match(path) else set()
    files = (settings.notify.webhook_secret_file, settings.fastly.token_file, settings.cloudflare.token_file)
    for file in filter(None, files):
        with suppress(PurgeError):  # whoever needs it says that it cannot be read
            found.add(read_secret(file, "mirrorsync"))
    return frozenset(one for one in found if len(one) >= _SHORTEST)


def cleaner(settings: Settings) -> Callable[[str], str]:
    """Return what takes out of a text the settings' secrets, as they are now, and whatever else looks like one."""
    return partial(mask, secrets=sorted(secrets_in(settings), key=len, reverse=True))
