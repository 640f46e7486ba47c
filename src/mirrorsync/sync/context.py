"""What the pipeline is given: its ports, its memory, its policy, its clock and its audience."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from mirrorsync.model.identity import ProjectName
from mirrorsync.observe.run_observer import RunObserver
from mirrorsync.ports import Store, Upstream
from mirrorsync.runtime.heartbeat import Heartbeats
from mirrorsync.state.ledger import State
from mirrorsync.status.host import Host
from mirrorsync.status.snapshot import Site
from mirrorsync.sync.limits import RemovalBudget
from mirrorsync.sync.notify_config import NotifyConfig
from mirrorsync.sync.policy import Policy

Clock = Callable[[], float]
"""Seconds since the epoch."""
Sleep = Callable[[float], Awaitable[None]]
"""Waits until the clock has gone on by so many seconds."""


async def _unseen() -> Host:
    return Host()


@dataclass(frozen=True)
class SyncContext:
    """All that a step of the pipeline may touch."""

    upstream: Upstream
    store: Store
    state: State
    policy: Policy
    clock: Clock
    audience: RunObserver
    sleep: Sleep = trio.sleep
    in_flight: set[ProjectName] = field(default_factory=set)
    """Projects that a worker has; nobody else takes them up meanwhile."""
    budget: RemovalBudget = field(init=False)
    """What pages may still lose in this run."""
    sweep_budget: RemovalBudget = field(init=False)
    """What may still be deleted in this run."""
    pulses: Heartbeats = field(default_factory=Heartbeats)
    """Who is at work, and whether each gets on."""
    told: set[str] = field(default_factory=set)
    """What this process has told once, and need not tell every minute."""
    telling: NotifyConfig = field(default_factory=NotifyConfig)
    """Who is told of what changes in public."""
    site: Site = field(default_factory=Site)
    """What the published status needs of the configuration."""
    inspect_host: Callable[[], Awaitable[Host]] = _unseen
    """Returns the host's facts for the published status."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "budget", RemovalBudget(self.policy))
        object.__setattr__(self, "sweep_budget", RemovalBudget(self.policy))

    def tell_once(self, topic: str, text: str) -> None:
        """Tell an operator something that stays as it is."""
        if topic not in self.told:
            self.told.add(topic)
            self.audience.notes(text)
