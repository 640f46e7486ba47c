"""The one judge of mirrors in tests: it reads a tree and returns what is false of it."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from tests.support.oracle.instant import SerialWatch, claims, overclaims, serials, strays, unknown_objects
from tests.support.oracle.links import broken_links, partial_objects
from tests.support.oracle.offered import offer_differences
from tests.support.oracle.settled import differences, remains
from tests.support.oracle.terms import STRICT, Level, Terms
from tests.support.oracle.trees import Folder, Tree
from tests.support.pypi.world import World


def _no_state() -> sqlite3.Connection | None:
    return None


class Oracle:
    """Judges one mirror of `world`; an empty list means that the mirror is true.

    It knows nothing of how the tree was made. `state` returns the mirror's database where the test can read it; the
    state's own claim and its record of the files are judged only then. It may judge while the mirror is at work.
    """

    def __init__(
        self,
        tree: Tree | Path,
        world: World,
        terms: Terms = STRICT,
        state: Callable[[], sqlite3.Connection | None] = _no_state,
    ) -> None:
        self.tree = Folder(tree) if isinstance(tree, Path) else tree
        self.world = world
        self.terms = terms
        self.excused: set[str] = set()
        """Projects whose pages are not judged by the claimed serial (I2)."""
        self._state = state
        self._serials = SerialWatch()

    def problems(self, level: Level) -> list[str]:
        """Return what does not hold at this level, one sentence each."""
        match level:
            case Level.ALWAYS:
                return self._always()
            case Level.OFFERED:
                return list(offer_differences(self.tree, self.world, self.terms))
            case Level.SETTLED:
                return self._settled()
            case Level.SWEPT:
                return self._settled() + list(remains(self.tree, self.world, self.terms, self._state()))

    def restart(self) -> None:
        """Begin to compare serials anew, with what is served now: a power cut may take back what was not durable."""
        self._serials.newest = serials(self.tree)

    def _always(self) -> list[str]:
        # The claims before the pages: both only move on, so each page must be at least what was claimed of it.
        claimed = claims(self.tree, self._state())
        found = list(broken_links(self.tree, self.terms)) if self.terms.files else []
        found += self._serials.look(self.tree, self.terms)
        found += overclaims(self.tree, self.world, self.terms, claimed, excused=self.excused, seen=self._serials.newest)
        found += [*partial_objects(self.tree), *strays(self.tree, self.terms)]
        state = self._state()
        return found if state is None else found + list(unknown_objects(self.tree, state))

    def _settled(self) -> list[str]:
        found = [*differences(self.tree, self.world, self.terms), *strays(self.tree, self.terms)]
        if self.terms.files:
            found += broken_links(self.tree, self.terms)
        state = self._state()
        return sorted(found if state is None else [*found, *unknown_objects(self.tree, state)])
