"""What is allowed and probably not meant."""

from collections.abc import Iterator
from typing import Final

from mirrorsync.config.schema import Settings
from mirrorsync.model.units import format_size

_POLITE_CONNECTIONS: Final = 10


def warnings(settings: Settings) -> tuple[str, ...]:
    """Return one sentence for each setting that an operator should think about once more."""
    return (*_upstream(settings), *_content(settings))


def _upstream(settings: Settings) -> Iterator[str]:
    upstream = settings.upstream
    if upstream.connections > _POLITE_CONNECTIONS:
        yield (
            f"connections is {upstream.connections}: PyPI asks mirrors to stay at {_POLITE_CONNECTIONS} or below, "
            "and other indexes may block a mirror that opens many"
        )
    if upstream.index.lower().startswith("http:"):
        yield (
            f"index is {upstream.index}: anyone on the way can alter pages and files alike, "
            "and digests do not help, for they come the same way"
        )


def _content(settings: Settings) -> Iterator[str]:
    limits = settings.limits
    if limits.min_free == 0:
        yield "min-free is 0 B: downloads go on until the disk is full, and then pages cannot be updated either"
    if limits.removal_grace == 0:
        yield "removal-grace is 0s: clients that hold an older page get 404 for files as soon as they are removed"
    if not settings.content.files and limits.min_free:
        yield f"files is false: no files are downloaded, and min-free ({format_size(limits.min_free)}) has no effect"
    if both := sorted(set(settings.select.projects) & set(settings.select.exclude)):
        yield f"{', '.join(both)}: named in projects and in exclude, and so left out"
