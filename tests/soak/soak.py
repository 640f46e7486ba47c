"""The soak: a daemon, an upstream that changes all the time and often fails, and a watcher.

After a warm-up come faults while upstream changes. Then the faults end, and the lag must fall while upstream goes on
changing. When the changes end, the tree must become equal to upstream.
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
from tests.soak.incidents import MIN_FREE, Incident, Injector, Site, schedule
from tests.support.oracle.watcher import Watcher
from tests.support.process.cli import Operator
from tests.support.process.launch import free_port
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

LAG_LIMIT: Final = 5.0
"""Seconds."""
_LONGEST: Final = 240.0
"""Seconds to wait for what should take one minute, so that the report can say how long it took."""
_CALM: Final = 10.0
"""Seconds without faults, in which memory and descriptors are compared with those of the beginning."""


class Plan(msgspec.Struct, frozen=True):
    """The parameters of a soak."""

    minutes: float
    seed: int
    projects: int = 100
    changes_a_second: float = 5.0
    waits: bool = True
    """Whether the daemon gets the time to catch up by itself; otherwise `mirrorsync sync` runs at the end."""

    @property
    def warm_up(self) -> float:
        """Seconds before the first fault."""
        return min(60.0, self.minutes * 60 * 0.2)

    @property
    def with_incidents(self) -> float:
        """Seconds with faults."""
        return self.minutes * 60 - self.warm_up


class Sample(msgspec.Struct, frozen=True):
    """The state in one second."""

    at: float
    """Seconds since the beginning."""
    process: int | None
    resident: int | None
    """KiB."""
    descriptors: int | None
    threads: int | None
    lag: float | None
    """Seconds, None where it was not exported."""
    unmet: float | None
    incidents: tuple[str, ...]
    alerts: tuple[str, ...]
    changes: bool
    """Whether upstream was changing."""


class Findings(msgspec.Struct):
    """The result of a soak."""

    plan: Plan
    has_small_disk: bool
    incidents: list[Incident] = []
    samples: list[Sample] = []
    lives: list[Life] = []
    alerts: dict[str, Record] = {}
    changes: dict[str, int] = {}
    requests: int = 0
    reader_passes: int = 0
    incidents_ended: float = 0.0
    """Seconds since the beginning."""
    held_up: dict[str, str] = {}
    """The errors of the projects that were unmet a minute after the last fault."""
    lag_fell: float | None = None
    """When the lag was below the limit after the last fault, in seconds since the beginning."""
    caught_up: float | None = None
    """Seconds from the last change until the tree equalled upstream."""
    problems: list[str] = []
    """Differences of the final tree from upstream."""
    violations: list[str] = []
    """Violations that the watcher saw."""
    failures: list[str] = []
    """Failures of the soak itself."""


class Soak:
    """One soak in the directory `home`."""

    def __init__(self, home: Path, plan: Plan, log: Callable[[str], None]) -> None:
        self._plan = plan
        self._home = home
        self._log = log
        self._began = time.monotonic()

    def run(self) -> Findings:
        """Run the soak."""
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
                self._run()
            self._conclude()
        return self._found

    def _chance(self, number: int) -> random.Random:
        return random.Random(self._plan.seed * 10 + number)  # noqa: S311 - repeatable, and no secret

    def _run(self) -> None:
        found, changes = self._found, self._site.changes
        self._began = time.monotonic()
        with changes.changing(a_second=self._plan.changes_a_second):
            self._watch(self._plan.warm_up, lambda: False)
            found.incidents = schedule(self._plan.with_incidents, self._chance(2), with_disk=found.has_small_disk)
            injector = Injector(self._site, found.incidents)
            with injector.injecting():
                self._watch(self._plan.with_incidents + _LONGEST, lambda: injector.is_over, injector)
            found.failures += injector.failures
            found.incidents_ended = self._now
            if not self._plan.waits:
                return
            if self._watch(60.0, self._lag_is_low) or self._watch(_LONGEST, self._lag_is_low_or_explained):
                found.lag_fell = self._now
            self._watch(_CALM, lambda: False)
            self._watch(_CALM * 2, lambda: not self._monitoring.firing)
        stopped = self._now
        if self._watch(_LONGEST, lambda: not self._differences()):
            found.caught_up = self._now - stopped

    @property
    def _now(self) -> float:
        return time.monotonic() - self._began

    def _watch(self, seconds: float, until: Callable[[], bool], injector: Injector | None = None) -> bool:
        """Take a sample a second; return when `until` holds (True) or the time is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            self._sample(tuple(injector.current) if injector else ())
            if until():
                return True
            time.sleep(max(0.0, began + 1.0 - time.monotonic()))
        return until()

    def _sample(self, incidents: tuple[str, ...]) -> None:
        # Take the life before the scrape: a process that starts in between was not scraped.
        life, vitals, seen = self._service.living, self._service.observe(), self._monitoring.scrape(time.time())
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
            incidents=incidents,
            alerts=tuple(self._monitoring.firing),
            changes=self._site.changes.are_going_on,
        )
        self._found.samples.append(sample)
        self._log(_line(sample))

    def _status(self) -> dict[str, Any]:
        """Return the status document in the tree."""
        status: dict[str, Any] = json.loads((self._operator.web / "mirrorsync/status.json").read_text())
        return status

    def _lag_is_low(self) -> bool:
        lag = self._found.samples[-1].lag
        return lag is not None and lag < LAG_LIMIT

    def _lag_is_low_or_explained(self) -> bool:
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
            result = self._operator.does("sync")
            if result.code != ExitCode.OK:
                found.failures.append(f"`mirrorsync sync` exited with {result.code}: {result.said}")
        self._watcher.look()
        found.lives, found.alerts = self._service.lives, self._monitoring.records
        found.changes = dict(self._site.changes.happened)
        found.reader_passes, found.violations = self._watcher.passes, self._watcher.violations
        found.problems = self._operator.problems()
        found.problems += self._operator.unknown_objects()
        found.problems += [f"{name}: left in staging" for name in self._operator.staged()]
        if "Traceback" in self._service.log.read_text(errors="replace"):
            found.failures.append("the daemon's log has a traceback")


def _line(sample: Sample) -> str:
    lag = "?" if sample.lag is None else f"{sample.lag:.1f}"
    unmet = "?" if sample.unmet is None else f"{sample.unmet:.0f}"
    resident = "-" if sample.resident is None else f"{sample.resident / 1024:.1f}"
    return (
        f"{sample.at:6.1f} s  lag {lag:>6} s  unmet {unmet:>4}  {resident:>6} MiB  {sample.descriptors or 0:>3} open"
        f"  {', '.join(sample.incidents) or 'calm'}  [{', '.join(sample.alerts)}]"
    )


@contextmanager
def _small_disk(place: Path) -> Iterator[SmallDisk | None]:
    """Mount a small disk at `place` if that is permitted."""
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
    """Return the path of the textfile, on another disk than the mirror's."""
    return home / "mirrorsync.prom"
