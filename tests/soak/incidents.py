"""Faults of upstream, disk and process: what happens, when and for how long, drawn from a seed, each at least once."""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final

import msgspec

from tests.crash.disk import SmallDisk
from tests.crash.restless import Sometimes
from tests.soak.changes import Changes
from tests.soak.daemon import Daemon
from tests.support.process.launch import wait_until
from tests.support.pypi.faults import (
    DelayHeaders,
    Drip,
    Fault,
    RateLimitFault,
    Reset,
    Stale,
    Status,
    Throttle429,
    Truncate,
    WrongBytes,
)
from tests.support.pypi.server import PyPI

Inject = Callable[["Site"], AbstractContextManager[None]]
"""The fault lasts while the context is open."""

_PAGES: Final = r"^/simple/"
_FILES: Final = r"^/packages/"
_POISONED: Final = "poisoned"
_SHORTEST: Final = 3.0
"""Seconds in which a daemon that polls every second is certain to meet a fault."""
_PAUSE: Final = 0.2
"""The longest pause between two incidents of the first round, as a part of their length."""
_CALM: Final = 1.5
"""The longest pause between two incidents after the first round, as a part of their length."""
_REFILLED_EVERY: Final = 0.25
"""Seconds."""
_KILLED_WITHIN: Final = 1.5
"""The longest time in seconds from a scrape of a process until it is killed."""
MIN_FREE: Final = 24 * 2**20
"""Bytes that the mirror is configured to leave free."""


class Site:
    """What incidents can act on."""

    def __init__(
        self, pypi: PyPI, changes: Changes, disk: SmallDisk | None, service: Daemon, chance: random.Random
    ) -> None:
        self.pypi = pypi
        self.changes = changes
        self.disk = disk
        self.service = service
        self.chance = chance

    @contextmanager
    def fault(self, *rules: tuple[str, Fault, str | None]) -> Iterator[None]:
        """Inject faults: each rule is a pattern, the fault and the method."""
        added = [self.pypi.faults.add(pattern, fault, method=method) for pattern, fault, method in rules]
        try:
            yield
        finally:
            for rule in added:
                self.pypi.faults.remove(rule)

    def sometimes(self, percent: int, fault: Fault) -> Fault:
        return Sometimes(fault, percent, self.chance)


@contextmanager
def _outage(site: Site) -> Iterator[None]:
    site.pypi.stop()
    try:
        yield
    finally:
        site.pypi.start()


@contextmanager
def _throttled(site: Site) -> Iterator[None]:
    asked = site.chance.randrange(1, 6)
    with site.fault((r"^/pypi", Throttle429(asked), "POST"), (_PAGES, site.sometimes(60, Throttle429(asked)), "GET")):
        yield


@contextmanager
def _changelog_faults(site: Site) -> Iterator[None]:
    with site.fault((r"^/pypi", site.sometimes(50, RateLimitFault(2)), "POST"), (r"^/pypi", Status(500), "POST")):
        yield


@contextmanager
def _server_errors(site: Site) -> Iterator[None]:
    with site.fault((_PAGES, site.sometimes(50, Status(503)), "GET"), (_FILES, site.sometimes(50, Status(502)), "GET")):
        yield


@contextmanager
def _stale_pages(site: Site) -> Iterator[None]:
    with site.fault((_PAGES + "[^/]+/$", site.sometimes(50, Stale()), "GET")):
        yield


@contextmanager
def _broken_files(site: Site) -> Iterator[None]:
    after = site.chance.randrange(500, 5000)
    resets = site.sometimes(40, Reset(after))
    with site.fault((_FILES + r".*\.whl", resets, "GET"), (_FILES, site.sometimes(40, Truncate(after)), "GET")):
        yield


@contextmanager
def _slow_drip(site: Site) -> Iterator[None]:
    slow = site.sometimes(50, DelayHeaders(1.5))
    with site.fault((_FILES, site.sometimes(70, Drip(3000, 0.05)), "GET"), (_PAGES, slow, "GET")):
        yield


@contextmanager
def _wrong_bytes(site: Site) -> Iterator[None]:
    with site.fault((f"/{_POISONED}-", WrongBytes(), "GET")):
        site.changes.upload_beside(_POISONED)
        yield


@contextmanager
def _cut_root_list(site: Site) -> Iterator[None]:
    site.pypi.truncate_root(5)
    try:
        yield
    finally:
        site.pypi.release_root()


@contextmanager
def _low_disk(site: Site) -> Iterator[None]:
    with _ballast(site, leaving=MIN_FREE // 2):
        yield


@contextmanager
def _full_disk(site: Site) -> Iterator[None]:
    with _ballast(site, leaving=0):
        yield


@contextmanager
def _ballast(site: Site, *, leaving: int) -> Iterator[None]:
    """Fill the disk except for `leaving` bytes, and fill it again when space becomes free."""
    assert site.disk is not None
    place = site.disk.place / f"ballast that leaves {leaving}"
    ended = threading.Event()

    def fill(descriptor: int) -> None:
        while not ended.wait(_REFILLED_EVERY):
            status = os.statvfs(place.parent)
            more = status.f_bavail * status.f_frsize - leaving
            # The mirror writes too: the space may be gone before we take it.
            with suppress(OSError):
                if more > 0:
                    os.posix_fallocate(descriptor, os.fstat(descriptor).st_size, more)

    with place.open("wb") as ballast:
        thread = threading.Thread(target=fill, args=(ballast.fileno(),), name="ballast")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            place.unlink()


@contextmanager
def _killed(site: Site) -> Iterator[None]:
    """Kill each process soon after its first scrape, so that monitoring notices each. At least one is killed."""
    killed: list[bool] = []
    ended = threading.Event()

    def keep_killing() -> None:
        while not ended.wait(site.chance.uniform(0, _KILLED_WITHIN)):
            killed.append(site.service.kill())

    thread = threading.Thread(target=keep_killing, name="killer")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if not any(killed):
            wait_until(site.service.kill, "a process that was scraped")


class Kind(msgspec.Struct, frozen=True):
    """A kind of incident."""

    name: str
    make: Inject
    shortest: float
    """Seconds."""
    longest: float
    lane: int
    """Incidents of one lane follow each other; those of two lanes overlap."""
    needs_disk: bool = False
    turn: int = 0
    """Its place in the first round of its lane; kinds with the same turn come in any order."""
    comes_again: bool = True
    """Whether it may come again after the first round."""


FULL_DISK: Final = Kind("full disk", _full_disk, 60, 60, 0, needs_disk=True, turn=-2, comes_again=False)
KILLED: Final = Kind("killed again and again", _killed, 40, 40, 0, turn=-1, comes_again=False)
KINDS: Final[Sequence[Kind]] = (
    FULL_DISK,
    KILLED,
    Kind("outage", _outage, 20, 60, 0),
    Kind("429 for journal and pages", _throttled, 10, 30, 0),
    Kind("journal fails", _changelog_faults, 15, 30, 0),
    Kind("cut root list", _cut_root_list, 30, 40, 0),
    Kind("low disk", _low_disk, 20, 40, 1, needs_disk=True),
    Kind("5xx for pages and files", _server_errors, 10, 30, 1),
    Kind("stale pages", _stale_pages, 15, 40, 1),
    Kind("resets and truncations", _broken_files, 15, 40, 1),
    Kind("slow drip", _slow_drip, 15, 40, 1),
    Kind("wrong bytes for one project", _wrong_bytes, 15, 40, 1),
)


class Incident(msgspec.Struct, frozen=True):
    """One incident; times are in seconds from the beginning of all incidents."""

    kind: Kind
    begins: float
    ends: float


def schedule(seconds: float, chance: random.Random, *, with_disk: bool) -> list[Incident]:
    """Return incidents that fill `seconds`: each kind once, then more at random; shorter if time is short.

    Incidents that end processes come first in their lane, and once: the last process must live long enough to judge
    its memory. The cut root list is in the same lane, because only a process that lives for a while reads that list.
    """
    kinds = [kind for kind in KINDS if with_disk or not kind.needs_disk]
    found: list[Incident] = []
    for lane in {kind.lane for kind in kinds}:
        found += _fill([kind for kind in kinds if kind.lane == lane], seconds, chance)
    return sorted(found, key=lambda incident: incident.begins)


def _fill(kinds: Sequence[Kind], seconds: float, chance: random.Random) -> Iterator[Incident]:
    shrink = min(1.0, seconds / (sum(kind.longest for kind in kinds) * (1 + _PAUSE)))

    def draw(kind: Kind) -> float:
        return max(_SHORTEST, shrink * chance.uniform(kind.shortest, kind.longest))

    order = sorted(chance.sample(kinds, len(kinds)), key=lambda kind: kind.turn)
    lengths = [draw(kind) for kind in order]
    longest_pause = max(0.0, seconds - sum(lengths)) / len(order)
    now = 0.0
    for kind, length in zip(order, lengths, strict=True):
        begins = now + min(longest_pause, length * _PAUSE) * chance.random()
        now = min(seconds, begins + length)
        yield Incident(kind, begins, now)
    again = [kind for kind in kinds if kind.comes_again]
    while True:
        kind = chance.choice(again)
        length = draw(kind)
        begins = now + length * _CALM * chance.random()
        now = begins + length
        if now > seconds:
            return
        yield Incident(kind, begins, now)


class Injector:
    """Carries out a schedule."""

    def __init__(self, site: Site, incidents: Sequence[Incident]) -> None:
        self._site = site
        self._spells = incidents
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._current: dict[int, str] = {}
        self.failures: list[str] = []
        """Errors in the injection itself."""

    @property
    def current(self) -> list[str]:
        """The names of the current incidents."""
        return sorted(self._current.values())

    @property
    def is_over(self) -> bool:
        """Whether the last incident has ended."""
        return not any(thread.is_alive() for thread in self._threads)

    @contextmanager
    def injecting(self) -> Iterator[None]:
        """Inject incidents while the body runs; at its end the remaining ones are ended."""
        self._threads = [
            threading.Thread(target=self._run, args=(lane,), name=f"incidents {lane}")
            for lane in {incident.kind.lane for incident in self._spells}
        ]
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()

    def _run(self, lane: int) -> None:
        began = time.monotonic()
        for incident in (incident for incident in self._spells if incident.kind.lane == lane):
            if self._stop.wait(max(0.0, began + incident.begins - time.monotonic())):
                return
            self._current[lane] = incident.kind.name
            try:
                with incident.kind.make(self._site):
                    self._stop.wait(max(0.0, began + incident.ends - time.monotonic()))
            except Exception as error:  # noqa: BLE001 - the test must see a failure of the thread
                self.failures.append(f"{incident.kind.name}: {error!r}")
            del self._current[lane]
