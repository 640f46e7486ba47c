"""What the pipeline is given: its ports, its memory, its policy, its clock and its audience."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec
import trio

from mirrorsync.model.identity import ProjectName
from mirrorsync.model.page import DistFile
from mirrorsync.observe.progress import Audience
from mirrorsync.ports import Store, Upstream
from mirrorsync.select.rules import Selection
from mirrorsync.simple import layout
from mirrorsync.state.ledger import State


class Policy(msgspec.Struct, frozen=True):
    """What the operator wants of the mirror."""

    selection: Selection
    files: bool = True
    metadata: bool = True
    legacy_json: bool = False
    root_url: str | None = None
    removal_grace: float = 86400.0
    """Seconds that an object stays after no page names it."""
    max_removed_projects: int = 1000
    max_removed_bytes: int = 500 * 2**30
    workers: int = 20
    """Projects under way at once: more than connections, since each also waits for the disk."""

    def link(self, file: DistFile) -> str:
        """Return what a page says for `file`: its place in this tree, or upstream's own URL if we hold no files."""
        if not self.files:
            return file.url
        if self.root_url is not None:
            return layout.absolute_link(self.root_url, file)
        return layout.relative_link(file)

    def content_fingerprint(self) -> str:
        """Return a digest of all that changes the pages' text, so that another policy is noticed."""
        return hashlib.sha256(
            repr((1, self.files, self.metadata, self.legacy_json, self.root_url)).encode()
        ).hexdigest()[:16]


Clock = Callable[[], float]
"""Seconds since the epoch."""
Sleep = Callable[[float], Awaitable[None]]
"""Waits until the clock has gone on by so many seconds."""


@dataclass(frozen=True)
class Parts:
    """All that a step of the pipeline may touch."""

    upstream: Upstream
    store: Store
    state: State
    policy: Policy
    clock: Clock
    audience: Audience
    sleep: Sleep = trio.sleep
    in_flight: set[ProjectName] = field(default_factory=set)
    """Projects that a worker has; nobody else takes them up meanwhile."""
    told: set[str] = field(default_factory=set)
    """What this process has told once, and need not tell every minute."""

    def tell_once(self, topic: str, text: str) -> None:
        """Tell an operator something that stays as it is."""
        if topic not in self.told:
            self.told.add(topic)
            self.audience.notes(text)
