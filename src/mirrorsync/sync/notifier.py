"""Notifying caches and others of public changes: pending changes go out in batches, to each sink independently."""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

from mirrorsync.errors import MirrorsyncError, StoreError
from mirrorsync.model.identity import StorePath
from mirrorsync.model.notification import Announcement, PublicChange
from mirrorsync.ports import Sink
from mirrorsync.simple import gzipped, layout
from mirrorsync.state.mirror_row import MAX_SINK_WAIT
from mirrorsync.state.notification_queue import ROOT, Delivery
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.policy import Policy

_START_WITHIN: Final = 10.0
"""Seconds at the end of a run within which announcements are started; the next run sends the rest."""
_RECORD_WITHIN: Final = 5.0
"""Seconds to record an announcement that was cut short."""
_BACK_OFF: Final = (5.0, 15.0, 60.0, 300.0)
"""Seconds between attempts at a sink that fails; the last one repeats."""
_EVERYTHING_EVERY: Final = 60.0
"""Seconds between two announcements that anything may have changed: a cache that is always emptied is useless."""

_ROOT_PAGES: Final = layout.root_paths()
_FORMS: Final = (_ROOT_PAGES.index_html, _ROOT_PAGES.html, _ROOT_PAGES.json)


class Notifier:
    """Notifies every sink of public changes. A sink that fails or hangs delays neither the others nor the mirror."""

    def __init__(self, context: SyncContext) -> None:
        self._context = context
        self._config = context.notify
        self._everything_at: dict[str, float] = {}
        self._failures: dict[str, str] = {}

    async def run(self, stopping: trio.Event) -> None:
        """Send announcements as they become due, until `stopping`; those that have started then are completed.

        Cancellation: an announcement is cut short, which is recorded and logged.
        """
        await self._clamp_timestamps()
        async with trio.open_nursery() as nursery:
            for sink in self._config.sinks:
                nursery.start_soon(self._run, sink, stopping)

    async def finish(self) -> None:
        """Send what is due, as far as it can start within some seconds; the rest waits for the next run.

        An announcement that has started ends within its sink's time limit. Cancellation: as `run`.
        """
        await self._clamp_timestamps()
        start_by = trio.current_time() + _START_WITHIN
        async with trio.open_nursery() as nursery:
            for sink in self._config.sinks:
                nursery.start_soon(self._drain, sink, lambda: trio.current_time() < start_by)

    async def _clamp_timestamps(self) -> None:
        """Correct attempts that a wrong clock put too far ahead; in a single pass nothing else does it."""
        if self._config.sinks:
            with suppress(StoreError):  # the next write to the state fails too, and reports it
                await self._context.state.clamp_timestamps(self._context.clock())

    async def _run(self, sink: Sink, stopping: trio.Event) -> None:
        while not stopping.is_set():
            await self._deliver(sink, lambda: not stopping.is_set())
            with trio.move_on_after(self._config.interval):
                await stopping.wait()

    async def _drain(self, sink: Sink, may_start: Callable[[], bool]) -> None:
        while await self._deliver(sink, may_start):
            pass

    async def _deliver(self, sink: Sink, may_start: Callable[[], bool]) -> bool:
        """Send one announcement; return False if none was due, it was too late to start, or it failed."""
        outbox = self._context.state.outbox
        try:
            delivery = await outbox.next_delivery(
                sink.name, self._context.clock(), most=sink.max_changes, flood=self._config.flood
            )
            if delivery is None or (delivery.everything and self._had_everything(sink)) or not may_start():
                return False
            try:
                text = await self._announce(sink, delivery)
            except MirrorsyncError as error:
                await self._failed(sink, delivery.attempts, error)
                return False
            await outbox.delivered(sink.name, delivery, self._context.clock())
        except StoreError as error:  # of the state: the next write to it fails too, and ends the run
            self._log_failure(sink, f"{error}")
            return False
        self._succeeded(sink, delivery, text)
        return True

    async def _announce(self, sink: Sink, delivery: Delivery) -> str:
        announcement, ended = await self._announcement(delivery), False
        try:
            text = await sink.announce(announcement)
            ended = True
        finally:
            if not ended and trio.current_effective_deadline() == -math.inf:  # the run was cancelled
                await self._cut_short(sink)
        return text

    async def _announcement(self, delivery: Delivery) -> Announcement:
        return Announcement(
            changes=tuple(describe(subject, self._context.policy) for subject in delivery.subjects),
            everything=delivery.everything,
            serial=await self._context.state.synced_serial(),
        )

    def _had_everything(self, sink: Sink) -> bool:
        return trio.current_time() - self._everything_at.get(sink.name, -_EVERYTHING_EVERY) < _EVERYTHING_EVERY

    def _succeeded(self, sink: Sink, delivery: Delivery, text: str) -> None:
        if delivery.everything:
            self._everything_at[sink.name] = trio.current_time()
        if self._failures.pop(sink.name, ""):
            self._context.observer.info(f"{sink.name} receives changes again; none was lost")
        if text:
            self._context.observer.info(f"{sink.name}: {text}")

    async def _failed(self, sink: Sink, attempts: int, error: MirrorsyncError) -> None:
        wait = max(_BACK_OFF[min(attempts, len(_BACK_OFF) - 1)], min(error.retry_after or 0.0, MAX_SINK_WAIT))
        await self._context.state.outbox.failed(sink.name, str(error), self._context.clock() + wait)
        hint = f" {error.hint}." if error.hint else ""
        self._log_failure(sink, f"{error}. The changes are kept, and sent again automatically.{hint}")

    async def _cut_short(self, sink: Sink) -> None:
        """Record, for some seconds even in a cancelled task, that it is unknown whether `sink` was notified.

        The next attempt is due at once, because the sink did not cause the failure.
        """
        reason = f"{sink.name} was cut short: mirrorsync ended during the announcement"
        self._log_failure(sink, f"{reason}. The changes are kept, and sent again at the next start.")
        with trio.CancelScope(deadline=trio.current_time() + _RECORD_WITHIN, shield=True):
            try:
                await self._context.state.outbox.failed(sink.name, reason, self._context.clock())
            except StoreError as error:
                self._log_failure(sink, f"{error}")

    def _log_failure(self, sink: Sink, text: str) -> None:
        """Log a failure, but not again while it stays the same."""
        if self._failures.get(sink.name) != text:
            self._failures[sink.name] = text
            self._context.observer.warn(text)


def describe(subject: StorePath, policy: Policy) -> PublicChange:
    """Return the addresses whose content changes for clients when `subject`, a path in the state, has changed."""
    if subject == ROOT:
        return PublicChange(kind="root", name="", paths=_page_paths("/simple/", policy), key="simple-root")
    top, _, name = subject.partition("/")
    if top == ROOT:
        legacy = (f"/pypi/{name}/json",) if policy.legacy_json else ()
        paths = (*_page_paths(f"/{subject}/", policy), *legacy)
        return PublicChange(kind="project", name=name, paths=paths, key=f"simple-{name}")
    place, filename = layout.parse_file_path(subject)
    path = f"/{subject.removesuffix(filename)}{layout.quote_segment(filename)}"
    return PublicChange(kind="file", name=subject, paths=(path,), key=f"file-{place.hex()}")


def _page_paths(directory: str, policy: Policy) -> tuple[str, ...]:
    """Return the addresses of a page: its own, where the web server negotiates, and those of its forms."""
    forms = [*_FORMS, *((gzipped.sibling(form) for form in _FORMS) if policy.gzip else ())]
    return (directory, *(f"{directory}{form.rpartition('/')[2]}" for form in forms))
