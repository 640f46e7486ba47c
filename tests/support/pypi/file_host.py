"""What the file host answers: Range, no validators, and objects that never go away."""

import re
import urllib.parse
from typing import Final

from tests.support.pypi.exchange import Answer, Request
from tests.support.pypi.values import Shape
from tests.support.pypi.world import World

_HEADERS: Final = (
    ("Cache-Control", "max-age=365000000, immutable, public"),
    ("Accept-Ranges", "bytes"),
    ("Access-Control-Allow-Origin", "*"),
)
_TYPE: Final = "application/octet-stream"
MISSING: Final = Answer(
    404, "application/xml", b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code></Error>'
)
"""Told as 403 it is just as true: `Status(403, body=MISSING.body, media_type=MISSING.media_type)`."""


def serves(path: str) -> bool:
    """Tell whether `path` belongs to the file host."""
    return path.startswith(("/packages/", "/files/"))


def answer(request: Request, world: World, shape: Shape) -> Answer:
    """Return the true answer; If-None-Match and If-Modified-Since count for nothing here."""
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        return Answer(405, "text/plain", b"405 Method Not Allowed")
    path = urllib.parse.unquote(request.path).removeprefix("/")
    content = world.objects.get(path)
    if content is None or (path.endswith(".metadata") and not shape.sidecar_keys):
        return MISSING
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
    if asked is None or asked[0] == "bytes=-":
        return Answer(200, _TYPE, content, _HEADERS)
    size = len(content)
    if asked[1]:
        first, last = int(asked[1]), min(int(asked[2] or size), size - 1)
    else:
        first, last = max(size - int(asked[2]), 0), size - 1
    if first > last:
        return Answer(416, "text/plain", b"", (*_HEADERS, ("Content-Range", f"bytes */{size}")))
    headers = (*_HEADERS, ("Content-Range", f"bytes {first}-{last}/{size}"))
    return Answer(206, _TYPE, content[first : last + 1], headers)
