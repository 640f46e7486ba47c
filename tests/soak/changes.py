"""Upstream changes during the soak: a fixed number a second, the same for the same seed."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from tests.support.pypi.world import World

_MOST_PROJECTS: Final = 300
_MOST_RELEASES: Final = 4
"""A project with more releases loses one: the mirror keeps its size, so that memory can be compared."""
_CACHED: Final = 25
"""Changes after which the caches fetch pages that were not purged: an invitation moves only the serial."""
_KIB: Final = 1024
_PREFIX: Final = "soak"
"""Of the names of the projects that take part."""


class Changes:
    """Changes `world`. Each choice is drawn from `chance`; the caller makes no other changes."""

    def __init__(self, world: World, chance: random.Random, *, projects: int) -> None:
        self.world = world
        self.happened: dict[str, int] = {}
        self.are_going_on = False
        self.renames = False
        """Whether projects may be renamed: mirrors remove the old name, which no row mentions, minutes later."""
        self._chance = chance
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._names = 0
        self._version = 0
        self._beside = 0
        self._kinds: Mapping[Callable[[str], str], int] = {
            self._upload: 45,
            self._new_project: 8,
            self._register_again: 6,
            self._yank: 10,
            self._remove_file: 6,
            self._remove_project: 4,
            self._quarantine: 4,
            self._quarantine_release: 5,
            self._change_roles: 6,
            self._rename: 1,
        }
        self._removed: list[str] = []
        self._invited: list[str] = []
        for _ in range(projects):
            self._new_project("")

    @property
    def count(self) -> int:
        """The number of changes, without the first uploads."""
        return sum(self.happened.values())

    @contextmanager
    def changing(self, *, a_second: float) -> Iterator[None]:
        """Make `a_second` changes a second, evenly spaced, while the body runs."""

        def keep_changing() -> None:
            began = time.monotonic()
            number = 0
            while not self._stop.wait(max(0.0, began + number / a_second - time.monotonic())):
                self.change()
                number += 1

        thread = threading.Thread(target=keep_changing, name="changes")
        thread.start()
        self.are_going_on = True
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            self._stop.clear()
            self._expire(leaving=0)
            self.are_going_on = False

    def change(self) -> None:
        """Make one change."""
        with self._lock, self.world.lock:
            name = self._chance.choice([name for name in sorted(self.world.projects) if name.startswith(_PREFIX)])
            kind = self._chance.choices(list(self._kinds), list(self._kinds.values()))[0]
            project = self.world.projects[name]
            if project.status == "quarantined":
                self.world.clear_quarantine(name)
                done = "quarantine lifted"
            elif len(project.releases) > _MOST_RELEASES:
                self.world.remove_release(name, self._chance.choice(list(project.releases)))
                done = "release removed"
            else:
                done = kind(name)
            self.happened[done] = self.happened.get(done, 0) + 1
            if self.count % _CACHED == 0:
                self._expire(leaving=_CACHED // 10)

    def upload_beside(self, name: str) -> None:
        """Upload one more file to `name`, which may not exist; the sequence of other changes stays the same."""
        with self._lock, self.world.lock:
            self._beside += 1
            self.world.upload(name, f"0.{self._beside}", body=b"x" * 20 * _KIB)

    def _upload(self, name: str) -> str:
        self._version += 1
        kind = self._chance.choice(("wheel", "wheel", "sdist"))
        body = self._chance.randbytes(self._size())
        self.world.upload(name, f"{self._version}.0", kind=kind, body=body)  # type: ignore[arg-type]  # one of the two
        return "upload"

    def _size(self) -> int:
        """Return a size in bytes: as on PyPI, most files are small, and a few large ones are most of the bytes."""
        draw = self._chance.random()
        if draw < 0.75:
            return self._chance.randrange(_KIB, 20 * _KIB)
        return self._chance.randrange(20 * _KIB, 300 * _KIB) if draw < 0.98 else 3 * _KIB * _KIB

    def _new_project(self, name: str) -> str:
        if len(self.world.projects) >= _MOST_PROJECTS:
            return self._remove_project(name)
        self._names += 1
        self._upload(f"{_PREFIX}{self._names:04d}")
        return "new project"

    def _register_again(self, name: str) -> str:
        if not self._removed:
            return self._upload(name)
        self._upload(self._removed.pop(self._chance.randrange(len(self._removed))))
        return "registered again"

    def _yank(self, name: str) -> str:
        project = self.world.project(name)
        if not project.files:
            return self._upload(name)
        version = self._chance.choice(project.files).version
        if project.releases[version].yanked:
            self.world.unyank(name, version)
        else:
            self.world.yank(name, version, "a mistake")
        return "yank or its end"

    def _remove_file(self, name: str) -> str:
        files = self.world.project(name).files
        if not files:
            return self._upload(name)
        self.world.remove_file(name, self._chance.choice(files).filename)
        return "file removed"

    def _remove_project(self, name: str) -> str:
        self.world.remove_project(name)
        self._removed.append(name)
        return "project removed"

    def _quarantine(self, name: str) -> str:
        self.world.quarantine(name)
        return "quarantine"

    def _quarantine_release(self, name: str) -> str:
        releases = self.world.project(name).releases
        if not releases:
            return self._upload(name)
        version = self._chance.choice(list(releases))
        if releases[version].quarantined:
            self.world.clear_release_quarantine(name, version)
        else:
            self.world.quarantine_release(name, version)
        return "release quarantined or its end"

    def _change_roles(self, name: str) -> str:
        if self._chance.random() < 0.5:
            self.world.add_role(name)
            return "role"
        self.world.invite(name)
        self._invited.append(name)
        return "invitation"

    def _expire(self, *, leaving: int) -> None:
        """Purge the cached pages of projects with an invitation, except the last ones."""
        while len(self._invited) > leaving:
            self.world.purge(self._invited.pop(0))

    def _rename(self, name: str) -> str:
        if not self.renames:
            return self._upload(name)
        self._names += 1
        self.world.rename(name, f"{_PREFIX}{self._names:04d}")
        return "rename"
