"""The readable state of an index: journal, projects, the history of pages, objects. One lock."""

import bisect
import dataclasses
import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from tests.support.pypi.values import Expected, Listed, Page, Row, WorldFile, normalise, version_key

P = ParamSpec("P")
R = TypeVar("R")


def locked(method: Callable[P, R]) -> Callable[P, R]:
    """Run a Ledger's method under its lock."""

    @functools.wraps(method)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with cast("Ledger", args[0]).lock:
            return method(*args, **kwargs)

    return run


@dataclasses.dataclass
class Release:
    """A release's properties; its files have copies of the first two."""

    requires_python: str | None = None
    yanked: bool | str = False
    quarantined: bool = False


@dataclasses.dataclass
class Project:
    """A project in the database."""

    display_name: str
    last_serial: int = 0
    status: str = "active"
    files: list[WorldFile] = dataclasses.field(default_factory=list)
    releases: dict[str, Release] = dataclasses.field(default_factory=dict)

    def page(self, revision: int) -> Page:
        """Return the page as the origin renders it now."""
        visible = [version for version, release in self.releases.items() if not release.quarantined]
        files: tuple[WorldFile, ...] = ()
        if self.status == "quarantined":
            visible = []
        elif len(visible) == len(self.releases):
            files = tuple(self.files)
        else:
            files = tuple(file for file in self.files if not self.releases[file.version].quarantined)
        return Page(
            revision=revision,
            name=normalise(self.display_name),
            display_name=self.display_name,
            serial=self.last_serial,
            status=self.status,
            files=files,
            releases=tuple(sorted(visible, key=version_key)),
        )


class Ledger:
    """The reading half of a World; every method may be called from any thread."""

    def __init__(self, *, serial: int = 0) -> None:
        self.lock = threading.RLock()
        self.revision = 0
        """Increases with each row and with each change to a page or the root list."""
        self.journal: list[Row] = []
        self.projects: dict[str, Project] = {}
        """By normalised name."""
        self.history: dict[str, list[tuple[int, Page | None]]] = {}
        self.original_names: dict[int, str] = {}
        """The normalised project name of each row when it was written: a rename changes the names of old rows."""
        """What the CDN has served, by normalised name: (the journal's last serial at that time, the page)."""
        self.objects: dict[str, bytes] = {}
        """The file host, by path: objects are never removed."""
        self._issued = serial

    @property
    def last_serial(self) -> int | None:
        """The journal's last serial, None if the journal is empty."""
        with self.lock:
            return self.journal[-1].serial if self.journal else None

    @locked
    def rows_since(self, serial: int, limit: int) -> list[Row]:
        """Return at most `limit` rows above `serial`, ascending."""
        start = bisect.bisect_right(self.journal, serial, key=lambda row: row.serial)
        return self.journal[start : start + limit]

    @locked
    def page(self, name: str) -> Page | None:
        """Return the page as the CDN serves it, None for 404."""
        entries = self.history.get(normalise(name))
        return entries[-1][1] if entries else None

    @locked
    def page_before(self, name: str, serial: int | None) -> Page | None:
        """Return the page as it was served before `serial`; None: before the last change."""
        entries = self.history.get(normalise(name), [])
        earlier = entries[:-1] if serial is None else [entry for entry in entries if entry[0] < serial]
        return earlier[-1][1] if earlier else None

    @locked
    def listing(self, *, with_quarantined: bool = False) -> tuple[Listed, ...]:
        """Return the root list, in order of the normalised name."""
        return tuple(
            Listed(name, project.display_name, project.last_serial)
            for name, project in sorted(self.projects.items())
            if with_quarantined or project.status != "quarantined"
        )

    @locked
    def expected(self) -> Expected:
        """Return what a complete mirror serves now, apart from caches."""
        pages = {name: project.page(self.revision) for name, project in self.projects.items()}
        return Expected(pages, self.listing(), self.last_serial or 0)

    @locked
    def project(self, name: str) -> Project:
        """Return the project. Raises: KeyError."""
        return self.projects[normalise(name)]

    @locked
    def file(self, name: str, filename: str) -> WorldFile:
        """Return a live file. Raises: KeyError."""
        for file in self.project(name).files:
            if file.filename == filename:
                return file
        raise KeyError(filename)
