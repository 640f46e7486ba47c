"""What the steps of a sync work with."""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import trio

from mirrorsync.observe.run_observer import RunObserver, Step
from mirrorsync.ports import Store, Upstream
from mirrorsync.runtime.heartbeat import Heartbeats
from mirrorsync.state.ledger import State
from mirrorsync.state.progress import NOTHING, Weight
from mirrorsync.status.host import Host
from mirrorsync.status.snapshot import Site
from mirrorsync.sync.policy import NotifyConfig, Policy

Clock = Callable[[], float]
"""Returns the seconds since the epoch."""
Sleep = Callable[[float], Awaitable[None]]
"""Waits until the clock has advanced by so many seconds."""


async def _unseen() -> Host:
    return Host()


@dataclass(frozen=True)
class SyncContext:
    """The ports, the state, and what the operator wants."""

    upstream: Upstream
    store: Store
    state: State
    policy: Policy
    clock: Clock
    observer: RunObserver
    sleep: Sleep = trio.sleep
    heartbeats: Heartbeats = field(default_factory=Heartbeats)
    notify: NotifyConfig = field(default_factory=NotifyConfig)
    site: Site = field(default_factory=Site)
    """What the published status needs of the configuration."""
    inspect_host: Callable[[], Awaitable[Host]] = _unseen
    """Returns the host's facts for the published status."""
    removed: Weight = NOTHING
    """What was removed before the run; it counts towards the run's limits."""

    @contextmanager
    def timed(self, step: Step) -> Iterator[None]:
        """Report the duration of the body as `step`, also when it fails."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.observer.took(step, time.perf_counter() - began)
