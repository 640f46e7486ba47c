"""What upstream has served of each project, and from which claimed serial on a mirror owes it."""

import functools
from collections.abc import Collection
from typing import Any, NamedTuple

from tests.support.oracle.pages import PublishedPage
from tests.support.pypi.values import Page, normalise
from tests.support.pypi.world import World

Content = tuple[Any, ...] | None
"""What a page says, serial and sidecars aside; None: there is no page."""


class Moment(NamedTuple):
    """A state of a project's page that a cache may have served."""

    page: Page | None
    claimed_from: int | None
    """A mirror that claims this serial owes this page or a later one; None: the journal does not mention it."""


class History:
    """A world's past. Build a new one when the world changes: `history_of` does."""

    def __init__(self, world: World) -> None:
        with world.lock:
            journal = list(world.journal)
            entries_of = {name: list(entries) for name, entries in world.history.items()}
            original_names = dict(world.original_names)
        serials: dict[str, set[int]] = {}
        for row in journal:
            name = normalise(row.name or "")
            # After an invitation the serial moves, but not the page. A row that a rename gave another name was read
            # under either name, so it proves nothing about what a mirror should serve.
            if not row.action.startswith("invite ") and original_names[row.serial] == name:
                serials.setdefault(name, set()).add(row.serial)
        self.moments = {name: _moments(entries, serials.get(name, ())) for name, entries in entries_of.items()}
        self._owed: dict[tuple[str, int], list[Content]] = {}

    def owed(self, name: str, claim: int) -> list[Content]:
        """Return all that a mirror which claims `claim` may serve of a project, oldest first."""
        moments = self.moments[name]
        first = max(
            index
            for index, moment in enumerate(moments)
            if moment.claimed_from is not None and moment.claimed_from <= claim
        )
        if (name, first) not in self._owed:
            self._owed[name, first] = [upstream_content(moment.page) for moment in moments[first:]]
        return self._owed[name, first]

    def pages_owed(self, name: str, claim: int) -> list[Page]:
        """Return the pages in `owed`."""
        kept = len(self.owed(name, claim))
        return [moment.page for moment in self.moments[name][-kept:] if moment.page is not None]


def _moments(entries: list[tuple[int, Page | None]], serials: Collection[int]) -> list[Moment]:
    moments, seen = [Moment(None, 0)], set[int]()
    for serial, page in entries:
        moments.append(Moment(page, serial if serial in serials and serial not in seen else None))
        seen.add(serial)
    return moments


def history_of(world: World) -> History:
    """Return the world's history up to now."""
    return _history(world, world.revision)


@functools.lru_cache(maxsize=8)
def _history(world: World, _revision: int) -> History:
    return History(world)


def content(page: PublishedPage | None) -> Content:
    """Return what a mirror's page says, in the form of `upstream_content`."""
    if page is None:
        return None
    return page.status, tuple((link.filename, link.sha256, link.yanked, link.requires_python) for link in page.links)


def upstream_content(page: Page | None) -> Content:
    """Return what upstream's page says."""
    if page is None:
        return None
    return page.status, tuple((file.filename, file.sha256, file.yanked, file.requires_python) for file in page.files)


def fits(shown: Content, owed: list[Content], *, mixed: bool) -> bool:
    """Return whether a page is one of those owed.

    With `mixed` it may also stand between them: each line was true at some moment, and no line is missing that was
    always true. That happens while a sidecar is replaced.
    """
    if shown in owed:
        return True
    if not mixed or shown is None or not any(owed):
        return False
    lines = {line for content in owed if content is not None for line in content[1]}
    constant = set.intersection(*({line[0] for line in content[1]} if content else set[str]() for content in owed))
    statuses = {content[0] for content in owed if content is not None}
    return shown[0] in statuses and lines.issuperset(shown[1]) and constant.issubset(line[0] for line in shown[1])


def short(shown: Content) -> str:
    """Return a page's content for a message."""
    return "no page" if shown is None else f"{shown[0]} {[(line[0], line[2]) for line in shown[1]]}"
