"""Warnings about settings that are valid but probably not intended."""

from collections.abc import Iterator
from typing import Final

from mirrorsync.config.schema import Settings
from mirrorsync.model.units import format_size

_POLITE_CONNECTIONS: Final = 10


def warnings(settings: Settings) -> tuple[str, ...]:
    """Return one sentence for each setting that an operator should reconsider."""
    return (*_upstream(settings), *_content(settings))


def _upstream(settings: Settings) -> Iterator[str]:
    upstream = settings.upstream
    if upstream.connections > _POLITE_CONNECTIONS:
        yield (
            f"connections is {upstream.connections}: PyPI asks mirrors to use at most {_POLITE_CONNECTIONS}, "
            "and other indexes may block a mirror that uses many"
        )
    if upstream.index.lower().startswith("http:"):
        yield (
            f"index is {upstream.index}: anyone on the network path can alter pages and files, "
            "and digests do not help because they come over the same connection"
        )


def _content(settings: Settings) -> Iterator[str]:
    limits = settings.limits
    if limits.min_free == 0:
        yield "min-free is 0 B: downloads continue until the disk is full, and then pages cannot be updated either"
    if limits.removal_grace == 0:
        yield "removal-grace is 0s: clients with an older page get 404 for a file as soon as it is removed"
    if not settings.content.files and limits.min_free:
        yield f"files is false: no files are downloaded, and min-free ({format_size(limits.min_free)}) has no effect"
    if both := sorted(set(settings.select.projects) & set(settings.select.exclude)):
        yield f"{', '.join(both)}: in both projects and exclude, and therefore not mirrored"
