"""How strictly a mirror is judged, and in what it may differ from upstream by its configuration."""

import enum
from collections.abc import Collection
from typing import Final

import msgspec

from tests.support.pypi.values import Expected, Shape, normalise


class Level(enum.Enum):
    """Each level but the first compares the tree with what upstream has now; they go from lenient to strict."""

    ALWAYS = enum.auto()
    """Holds at every instant, in the middle of a sync and after any crash: I1, I2, I4 and I6."""
    OFFERED = enum.auto()
    """After a complete sync by any program: a client gets the same projects, files, digests, yanks and root list."""
    SETTLED = enum.auto()
    """After a complete sync by mirrorsync: each form of each page says what upstream says, and nothing is stray."""
    SWEPT = enum.auto()
    """After a complete sync with the removal grace over: also, no file without a page and no lagging claim."""


class Terms(msgspec.Struct, frozen=True):
    """What the configuration of the mirror, or of the test, allows. The defaults allow nothing."""

    shape: Shape = Shape()
    """Upstream's."""
    projects: Collection[str] | None = None
    """The projects that the mirror selects; None: all."""
    files: bool = True
    """False: an index-only mirror, whose links are upstream's own."""
    sidecars: bool = True
    """False: the mirror serves no `.metadata` files."""
    extras: bool = False
    """True: `pypi/<name>/json` may be there."""
    root_url: str = "http://mirror.test"
    """Where absolute links lead."""
    quarantined_may_be_absent: bool = False
    """True: the mirror began from the root list, which does not name quarantined projects."""
    mixed_pages: bool = False
    """True: sidecars change, so a page may hold lines of several of upstream's pages (I2)."""
    serials_restart: bool = False
    """True: a project that was removed may come back with an older serial (I6)."""

    def expected(self, expected: Expected) -> Expected:
        """Return the part of `expected` that the mirror selects."""
        if self.projects is None:
            return expected
        names = {normalise(name) for name in self.projects}
        pages = {name: page for name, page in expected.pages.items() if name in names}
        return Expected(pages, tuple(listed for listed in expected.root if listed.name in names), expected.serial)


STRICT: Final = Terms()
