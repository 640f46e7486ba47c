"""Content negotiation: which of a page's three representations a client gets. Pure."""

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Final
from urllib.parse import unquote


class Representation(Enum):
    """A page's media type and its file, in the server's order of preference."""

    HTML = ("text/html", "index.html")
    V1_HTML = ("application/vnd.pypi.simple.v1+html", "index.v1_html")
    V1_JSON = ("application/vnd.pypi.simple.v1+json", "index.v1_json")

    def __init__(self, media_type: str, filename: str) -> None:
        self.media_type = media_type
        self.filename = filename


_LATEST: Final[Mapping[str, str]] = {
    "application/vnd.pypi.simple.latest+html": Representation.V1_HTML.media_type,
    "application/vnd.pypi.simple.latest+json": Representation.V1_JSON.media_type,
}
_MEDIA_RANGE: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+")
_WEIGHT: Final = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def choose(accept: str | None, query: str = "") -> Representation:
    """Return the representation that the client prefers; text/html if it accepts none of them.

    `accept` is the header's value (several lines joined by commas), None without the header. `query` is the raw
    query string; its `format=` names one exact type and overrides `accept`. The server's order breaks ties.
    The `latest` aliases mean the v1 types.
    Source: RFC 9110 section 12.5.1; PEP 691, "Version + Format Selection".
    """
    wanted = _requested_format(query)
    if wanted is not None:
        return _exact(wanted)
    if accept is None:
        return Representation.HTML
    weights = dict(sorted(_media_ranges(accept), key=lambda entry: entry[1]))
    best = max(Representation, key=lambda offer: _weight(offer.media_type, weights))
    return best if _weight(best.media_type, weights) > 0 else Representation.HTML


def _requested_format(query: str) -> str | None:
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if key == "format":
            return unquote(value).strip().lower()
    return None


def _exact(media_type: str) -> Representation:
    wanted = _LATEST.get(media_type, media_type)
    return next((offer for offer in Representation if offer.media_type == wanted), Representation.HTML)


def _media_ranges(accept: str) -> Iterator[tuple[str, float]]:
    """Yield (media range, weight); skip malformed elements.

    A range with parameters matches none of our representations: they have no parameters.
    """
    for element in accept.lower().split(","):
        media_range, *parameters = (part.strip() for part in element.split(";"))
        if not _MEDIA_RANGE.fullmatch(media_range):
            continue
        weight = "1"
        if parameters and parameters[0].startswith("q="):
            weight = parameters[0].removeprefix("q=")
        elif parameters:
            continue
        if _WEIGHT.fullmatch(weight):
            yield _LATEST.get(media_range, media_range), float(weight)


def _weight(media_type: str, weights: Mapping[str, float]) -> float:
    """Return the weight of the most specific range that matches: the type, then `type/*`, then `*/*`."""
    kind, _, _ = media_type.partition("/")
    for media_range in (media_type, f"{kind}/*", "*/*"):
        if media_range in weights:
            return weights[media_range]
    return 0.0
