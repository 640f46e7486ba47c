"""A busy upstream: uploads, removals, quarantines, one every few hundredths of a second."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support.pypi.exchange import Answer, Request
from tests.support.pypi.faults import Ask, Fault
from tests.support.pypi.world import World

_NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
_SIZES = (0, 2_000, 2_000, 30_000, 200_000, 1_500_000)
"""Bytes: below and above what the store writes in one short hop, and in one long one."""
_MOST_RELEASES = 3


class Sometimes(Fault, frozen=True):
    """Another fault, for a percentage of requests."""

    fault: Fault
    percent: int
    chance: random.Random

    def apply(self, answer: Answer, request: Request, ask: Ask, /) -> Answer:
        strikes = self.chance.randrange(100) < self.percent
        return self.fault.apply(answer, request, ask) if strikes else answer


class Restless:
    """Makes random changes in `world`, each with its journal row."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance
        self.happened = 0
        self._stop = threading.Event()
        self._version = 0

    @contextmanager
    def changing(self, *, every: float) -> Iterator[None]:
        """Make changes at an interval in the background of the body."""

        def change_on() -> None:
            while not self._stop.wait(every * self.chance.uniform(0.2, 1.8)):
                self.happen()

        thread = threading.Thread(target=change_on, name="restless")
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            self._stop.clear()

    def happen(self) -> None:
        """Make one change to one project."""
        name = self.chance.choice(_NAMES)
        with self.world.lock:
            project = self.world.projects.get(name)
            if project is None or not project.files:
                self._upload(name)
            elif project.status == "quarantined":
                self.world.clear_quarantine(name)
            elif len(project.releases) > _MOST_RELEASES:
                self.world.remove_release(name, self.chance.choice(list(project.releases)))
            else:
                self.chance.choice(self._possible())(name)
        self.happened += 1

    def _possible(self) -> list[Callable[[str], None]]:
        rare = [self._remove_project, self.world.quarantine, self._remove_file, self.world.add_role]
        return [self._upload, self._upload, self._upload, self._upload, self._yank, self._quarantine_release, *rare]

    def _upload(self, name: str) -> None:
        self._version += 1
        kind = self.chance.choice(("wheel", "wheel", "sdist"))
        body = self.chance.randbytes(self.chance.choice(_SIZES))
        self.world.upload(name, f"{self._version}.0", kind=kind, body=body)  # type: ignore[arg-type]  # one of the two

    def _remove_project(self, name: str) -> None:
        self.world.remove_project(name)

    def _remove_file(self, name: str) -> None:
        self.world.remove_file(name, self.chance.choice(self.world.project(name).files).filename)

    def _yank(self, name: str) -> None:
        version = self.chance.choice(self.world.project(name).files).version
        if self.world.project(name).releases[version].yanked:
            self.world.unyank(name, version)
        else:
            self.world.yank(name, version, "a mistake")

    def _quarantine_release(self, name: str) -> None:
        version, release = self.chance.choice(list(self.world.project(name).releases.items()))
        if release.quarantined:
            self.world.clear_release_quarantine(name, version)
        else:
            self.world.quarantine_release(name, version)
