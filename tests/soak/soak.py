"""The soak: a daemon, an upstream that never rests and often fails, and someone who watches both.

Warm up; then troubles, while things change; then none, and the lag must fall while things go on changing; and when
nothing changes any more the tree must be true.
"""

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from mirrorsync.errors import ExitCode
from tests.crash.disk import SmallDisk, small_disk
from tests.soak.alerts import ALERTS, FRESH_WITHIN, Monitoring, Record
from tests.soak.changes import Changes
from tests.soak.daemon import Daemon, Life
from tests.soak.troubles import MIN_FREE, Site, Spell, Suffering, schedule
from tests.support.oracle.watcher import Watcher
from tests.support.process.cli import Operator
from tests.support.process.launch import free_port
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

LAG_LIMIT: Final = 5.0
"""Seconds."""
_PATIENCE: Final = 240.0
"""Seconds that we wait for what should take one minute, to be able to say how long it took."""
_CALM: Final = 10.0
"""Seconds of calm, in which memory and descriptors are compared with those of the beginning."""


class Plan(msgspec.Struct, frozen=True):
    """What is to be done."""

    minutes: float
    seed: int
    projects: int = 100
    changes_a_second: float = 5.0
    waits: bool = True
    """Whether the daemon is given the time to catch up by itself; else a person hurries it by `mirrorsync sync`."""

    @property
    def warm_up(self) -> float:
        """Seconds before the first trouble."""
        return min(60.0, self.minutes * 60 * 0.2)

    @property
    def troubled(self) -> float:
        """Seconds for troubles."""
        return self.minutes * 60 - self.warm_up


class Sample(msgspec.Struct, frozen=True):
    """One second of it."""

    at: float
    """Seconds since the beginning."""
    process: int | None
    resident: int | None
    """KiB."""
    descriptors: int | None
    threads: int | None
    lag: float | None
    """Seconds, None where nobody told."""
    unmet: float | None
    troubles: tuple[str, ...]
    alerts: tuple[str, ...]
    changes: bool
    """Whether things went on changing."""


class Findings(msgspec.Struct):
    """What was seen."""

    plan: Plan
    has_small_disk: bool
    spells: list[Spell] = []
    samples: list[Sample] = []
    lives: list[Life] = []
    alerts: dict[str, Record] = {}
    changes: dict[str, int] = {}
    requests: int = 0
    reader_passes: int = 0
    troubles_ended: float = 0.0
    """Seconds since the beginning, as the next two."""
    held_up: dict[str, str] = {}
    """Why each project that was still unmet when a minute had passed after the last trouble."""
    lag_fell: float | None = None
    """When the lag was first below the limit after the last trouble."""
    caught_up: float | None = None
    """Seconds from the last change until the tree was true."""
    problems: list[str] = []
    """How the last tree differs from upstream."""
    violations: list[str] = []
    """What the reader saw that it should not."""
    failures: list[str] = []
    """What the soak itself failed in."""


class Soak:
    """One soak in `home`, from beginning to end."""

    def __init__(self, home: Path, plan: Plan, tell: Callable[[str], None]) -> None:
        self._plan = plan
        self._home = home
        self._tell = tell
        self._began = time.monotonic()

    def run(self) -> Findings:
        """Do it; return what was seen."""
        with ExitStack() as stack:
            world = World()
            changes = Changes(world, self._chance(0), projects=self._plan.projects)
            pypi = stack.enter_context(PyPI(world))
            self._operator = _operator(self._home, pypi, port := free_port())
            disk = stack.enter_context(_small_disk(self._operator.directory))
            self._found = Findings(self._plan, has_small_disk=disk is not None)
            self._service = Daemon(self._operator.config, self._home / "daemon.log")
            alerts = [alert for alert in ALERTS if disk is not None or not alert.needs_disk]
            self._monitoring = Monitoring(f"http://127.0.0.1:{port}", _textfile(self._home), alerts)
            self._watcher = Watcher(self._operator.web, world)
            self._site = Site(pypi, changes, disk, self._service, self._chance(1))
            with self._watcher.watching(pause=1.0, share=4.0), self._service.running():
                self._live_through()
            self._conclude()
        return self._found

    def _chance(self, number: int) -> random.Random:
        return random.Random(self._plan.seed * 10 + number)  # noqa: S311 - repeatable, and no secret

    def _live_through(self) -> None:
        found, changes = self._found, self._site.changes
        self._began = time.monotonic()
        with changes.changing(a_second=self._plan.changes_a_second):
            self._watch(self._plan.warm_up, lambda: False)
            found.spells = schedule(self._plan.troubled, self._chance(2), with_disk=found.has_small_disk)
            suffering = Suffering(self._site, found.spells)
            with suffering.suffering():
                self._watch(self._plan.troubled + _PATIENCE, lambda: suffering.is_over, suffering)
            found.failures += suffering.failures
            found.troubles_ended = self._now
            if not self._plan.waits:
                return
            if self._watch(60.0, self._lag_is_low) or self._watch(_PATIENCE, self._lag_is_low_at_last):
                found.lag_fell = self._now
            self._watch(_CALM, lambda: False)
            self._watch(_CALM * 2, lambda: not self._monitoring.firing)
        stopped = self._now
        if self._watch(_PATIENCE, lambda: not self._differences()):
            found.caught_up = self._now - stopped

    @property
    def _now(self) -> float:
        return time.monotonic() - self._began

    def _watch(self, seconds: float, until: Callable[[], bool], suffering: Suffering | None = None) -> bool:
        """Note everything once a second; return when `until` holds (then True) or the time is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            self._sample(tuple(suffering.current) if suffering else ())
            if until():
                return True
            time.sleep(max(0.0, began + 1.0 - time.monotonic()))
        return until()

    def _sample(self, troubles: tuple[str, ...]) -> None:
        # The life before the look: whoever takes its place meanwhile was not seen.
        life, vitals, seen = self._service.living, self._service.observe(), self._monitoring.look(time.time())
        if life is not None and seen.is_up:
            life.scrapes += 1
        self._found.requests += len(self._site.pypi.requests)
        self._site.pypi.clear_requests()
        sample = Sample(
            at=self._now,
            process=None if vitals is None else vitals.process,
            resident=None if vitals is None else vitals.resident,
            descriptors=None if vitals is None else vitals.descriptors,
            threads=None if vitals is None else vitals.threads,
            lag=seen.values.get("lag"),
            unmet=seen.values.get("unmet"),
            troubles=troubles,
            alerts=tuple(self._monitoring.firing),
            changes=self._site.changes.are_going_on,
        )
        self._found.samples.append(sample)
        self._tell(_line(sample))

    def _status(self) -> dict[str, Any]:
        """Return what the status in the tree says."""
        told: dict[str, Any] = json.loads((self._operator.web / "mirrorsync/status.json").read_text())
        return told

    def _lag_is_low(self) -> bool:
        lag = self._found.samples[-1].lag
        return lag is not None and lag < LAG_LIMIT

    def _lag_is_low_at_last(self) -> bool:
        for row in self._status()["unmet"]:
            if row["error"] is not None:
                self._found.held_up[row["name"]] = f"{row['error']} (attempt {row['attempts']})"
        return self._lag_is_low()

    def _differences(self) -> list[str]:
        status = self._status()
        if status["unmet_count"] or status["synced_serial"] != self._site.pypi.world.last_serial:
            return [f"serial {status['synced_serial']} of {self._site.pypi.world.last_serial}"]
        return self._operator.problems()

    def _conclude(self) -> None:
        found = self._found
        if not self._plan.waits:
            self._operator.does("sync", *self._operator.unmet())
            told = self._operator.does("sync")
            if told.code != ExitCode.OK:
                found.failures.append(f"`mirrorsync sync` ended with {told.code}: {told.said}")
        self._watcher.look()
        found.lives, found.alerts = self._service.lives, self._monitoring.records
        found.changes = dict(self._site.changes.happened)
        found.reader_passes, found.violations = self._watcher.passes, self._watcher.violations
        found.problems = self._operator.problems()
        found.problems += self._operator.unknown_objects()
        found.problems += [f"{name}: left in staging" for name in self._operator.staged()]
        if "Traceback" in self._service.log.read_text(errors="replace"):
            found.failures.append("the daemon's log shows a traceback")


def _line(sample: Sample) -> str:
    lag = "?" if sample.lag is None else f"{sample.lag:.1f}"
    unmet = "?" if sample.unmet is None else f"{sample.unmet:.0f}"
    resident = "-" if sample.resident is None else f"{sample.resident / 1024:.1f}"
    return (
        f"{sample.at:6.1f} s  lag {lag:>6} s  unmet {unmet:>4}  {resident:>6} MiB  {sample.descriptors or 0:>3} open"
        f"  {', '.join(sample.troubles) or 'calm'}  [{', '.join(sample.alerts)}]"
    )


@contextmanager
def _small_disk(place: Path) -> Iterator[SmallDisk | None]:
    """Mount a small disk at `place`, where that is permitted."""
    with ExitStack() as stack:
        disk = None
        with suppress(pytest.skip.Exception):
            disk = stack.enter_context(small_disk(place, "size=320m"))
        yield disk


def _operator(home: Path, pypi: PyPI, port: int) -> Operator:
    return Operator(
        home,
        pypi,
        upstream={"poll-interval": "1s"},
        limits={"min-free": f"{MIN_FREE >> 20} MiB", "removal-grace": "20s"},
        audit={"list-interval": "10s", "period": "1h"},
        metrics={
            "listen": f"127.0.0.1:{port}",
            "textfile": str(_textfile(home)),
            "fresh-within": f"{FRESH_WITHIN:g}s",
        },
    )


def _textfile(home: Path) -> Path:
    """Return where node-exporter would look: on another disk than the mirror's."""
    return home / "mirrorsync.prom"
