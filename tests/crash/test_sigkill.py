"""Real processes, killed at random while upstream changes: the invariants hold at every moment."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from mirrorsync.errors import ExitCode
from tests.crash.restless import Restless, Sometimes
from tests.support.oracle.watcher import Watcher
from tests.support.process.cli import Operator, result_of
from tests.support.pypi.faults import Drip, Status
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

if TYPE_CHECKING:
    import subprocess

_ROUNDS = 12
_MANY_ROUNDS = int(os.environ.get("MIRRORSYNC_TORTURE_KILLS", "300"))
_SEED = int(os.environ.get("MIRRORSYNC_TORTURE_SEED", "20261122"))
_LATEST = 1.5
"""Seconds after which a process is killed if it did not get as far as intended."""
_PATIENT = 20.0
"""Seconds for processes that should complete a pass and publish its serial."""


class KillCounts(msgspec.Struct):
    """What happened in all rounds."""

    killed: int = 0
    ended_first: int = 0
    """Processes that ended before they were killed."""
    unknown: list[str] = []

    def __str__(self) -> str:
        return f"{self.killed} killed, {self.ended_first} had ended"


class Killer:
    """Starts mirrorsync, and kills it a moment after a certain number of requests."""

    def __init__(self, operator: Operator, chance: random.Random) -> None:
        self.operator = operator
        self.chance = chance
        self.counts = KillCounts()

    def round(self, number: int) -> None:
        self.operator.pypi.clear_requests()
        follows, concludes = number % 3 == 2, number % 4 == 1
        with self.operator.doing("run" if follows else "sync") as process:
            if concludes:
                stood = self._root()
                self._wait(process, lambda: self._root() != stood, longest=_PATIENT)
            else:
                asked = self.chance.choice((0, 1, 2, 3, 4, 6, 8, 10, 15, 20, 30))
                self._wait(process, lambda: len(self.operator.pypi.requests) >= asked, longest=_LATEST)
            # Most kills are close to a step, some anywhere.
            time.sleep(self.chance.choice((self.chance.uniform(0, 0.4), *[self.chance.expovariate(1 / 0.02)] * 4)))
            if process.poll() is None:
                process.kill()
                self.counts.killed += 1
                process.communicate()
            else:
                self.counts.ended_first += 1
                result = result_of(process)
                assert result.code in (ExitCode.OK, ExitCode.UNMET), result.said
        self.counts.unknown += self.operator.unknown_objects()

    def _root(self) -> int:
        """Return when the root index was last replaced."""
        path = self.operator.web / "simple" / "index.v1_json"
        return path.stat().st_mtime_ns if path.exists() else 0

    def _wait(self, process: "subprocess.Popen[str]", holds: Callable[[], bool], *, longest: float) -> None:
        end = time.monotonic() + longest
        while not holds() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.001)


def torture(directory: Path, rounds: int, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable, and no secret
    world = World()
    restless = Restless(world, random.Random(seed + 1))  # noqa: S311 - a seed makes it the same again
    for _ in range(20):
        restless.happen()
    with PyPI(world) as pypi:
        pypi.faults.add(r"^/packages/", Drip(20_000, 0.01), Sometimes(Status(404), 8, random.Random(seed + 2)))  # noqa: S311 - a seed makes it the same again
        operator = Operator(directory, pypi, limits={"min-free": "0", "removal-grace": "0s"})
        watcher, killer = Watcher(operator.web, world), Killer(operator, chance)
        with watcher.watching():
            for number in range(rounds):
                for _ in range(chance.randrange(6)):
                    restless.happen()
                with restless.changing(every=0.05):
                    killer.round(number)
                assert watcher.violations == [], f"round {number}, seed {seed}"
            pypi.faults.clear()
            # Failed projects wait for their next attempt; named ones are tried at once.
            operator.does("sync", *operator.unmet())
            end = operator.does("sync")
        print(f"{killer.counts}; {restless.happened} changes, {watcher.passes} passes of the watcher, seed {seed}")  # noqa: T201 - pytest -rP shows it
        assert watcher.violations == [], f"seed {seed}"
        assert killer.counts.unknown == [], f"seed {seed}"
        assert end.code == ExitCode.OK, end.said
        assert operator.staged() == []
        assert operator.problems() == []
        assert operator.unknown_objects() == []
        assert operator.status()["synced_serial"] == world.last_serial
        assert killer.counts.killed > rounds / 2
        assert watcher.passes > rounds


def test_invariants_hold_through_a_dozen_kills(tmp_path: Path) -> None:
    torture(tmp_path, _ROUNDS, _SEED)


@pytest.mark.slow
def test_invariants_hold_through_hundreds_of_kills(tmp_path: Path) -> None:
    torture(tmp_path, _MANY_ROUNDS, _SEED + 1)
