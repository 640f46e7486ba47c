"""Telling caches and others what changed in public: what waits in the state goes out in batches, to each by itself."""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

from mirrorsync.errors import MirrorsyncError, StoreError
from mirrorsync.model.identity import StorePath
from mirrorsync.model.notification import Announcement, PublicChange
from mirrorsync.simple import gzipped, layout
from mirrorsync.state.clamp_timestamps import LONGEST_SILENCE
from mirrorsync.state.notification_queue import ROOT, Delivery
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.notify_config import Sink
from mirrorsync.sync.policy import Policy

_LAST_WORDS: Final = 10.0
"""Seconds in which the end of a run begins to tell what still waits; the rest is told by the next one."""
_TO_WRITE_DOWN: Final = 5.0
"""Seconds for what is written down of an announcement though its run is cut short."""
_BACK_OFF: Final = (5.0, 15.0, 60.0, 300.0)
"""Seconds between attempts at a sink that fails; the last one repeats."""
_WHOLE_EVERY: Final = 60.0
"""Seconds between two announcements that anything may have changed: a cache that is emptied all the time is none."""

_ROOT_PAGES: Final = layout.root_paths()
_FORMS: Final = (_ROOT_PAGES.index_html, _ROOT_PAGES.html, _ROOT_PAGES.json)


class Notifier:
    """Tells every sink what changed in public. One that fails or hangs holds up neither the others nor the mirror."""

    def __init__(self, context: SyncContext) -> None:
        self._context = context
        self._telling = context.telling
        self._whole_at: dict[str, float] = {}
        self._troubles: dict[str, str] = {}

    async def follow(self, stopping: trio.Event) -> None:
        """Tell whatever is due, as it becomes due, until `stopping`; what has begun by then is told to its end.

        Cancellation: what is being told is cut short, which is written down and said.
        """
        await self._heed_the_clock()
        async with trio.open_nursery() as nursery:
            for sink in self._telling.sinks:
                nursery.start_soon(self._follow, sink, stopping)

    async def finish(self) -> None:
        """Tell what is due now, as far as it can begin within some seconds; the rest waits for the next run.

        What has begun ends within its sink's own bound. Cancellation: as `follow`.
        """
        await self._heed_the_clock()
        begin_by = trio.current_time() + _LAST_WORDS
        async with trio.open_nursery() as nursery:
            for sink in self._telling.sinks:
                nursery.start_soon(self._tell_all, sink, lambda: trio.current_time() < begin_by)

    async def _heed_the_clock(self) -> None:
        """Let nobody wait for a time that a clock gave which was ahead; a pass asks nobody else to."""
        if self._telling.sinks:
            with suppress(StoreError):  # whoever else writes to the state meets it too, and tells it
                await self._context.state.clamp_timestamps(self._context.clock())

    async def _follow(self, sink: Sink, stopping: trio.Event) -> None:
        while not stopping.is_set():
            await self._tell(sink, lambda: not stopping.is_set())
            with trio.move_on_after(self._telling.interval):
                await stopping.wait()

    async def _tell_all(self, sink: Sink, may_begin: Callable[[], bool]) -> None:
        while await self._tell(sink, may_begin):
            pass

    async def _tell(self, sink: Sink, may_begin: Callable[[], bool]) -> bool:
        """Tell `sink` one batch; False when there was none, it was too late to begin, or it failed."""
        outbox = self._context.state.outbox
        try:
            delivery = await outbox.next_delivery(
                sink.name, self._context.clock(), most=sink.most, flood=self._telling.flood
            )
            if delivery is None or (delivery.everything and self._is_told_of_all(sink)) or not may_begin():
                return False
            try:
                said = await self._announce(sink, delivery)
            except MirrorsyncError as error:
                await self._failed(sink, delivery.attempts, error)
                return False
            await outbox.told(sink.name, delivery, self._context.clock())
        except StoreError as error:  # the state's own: whoever else writes to it meets it too, and ends the run
            self._say_once(sink, f"{error}")
            return False
        self._succeeded(sink, delivery, said)
        return True

    async def _announce(self, sink: Sink, delivery: Delivery) -> str:
        announcement, ended = await self._announcement(delivery), False
        try:
            said = await sink.announce(announcement)
            ended = True
        finally:
            if not ended and trio.current_effective_deadline() == -math.inf:  # by whoever ends the run
                await self._cut_short(sink)
        return said

    async def _announcement(self, delivery: Delivery) -> Announcement:
        return Announcement(
            changes=tuple(describe(subject, self._context.policy) for subject in delivery.subjects),
            everything=delivery.everything,
            serial=await self._context.state.synced_serial(),
        )

    def _is_told_of_all(self, sink: Sink) -> bool:
        return trio.current_time() - self._whole_at.get(sink.name, -_WHOLE_EVERY) < _WHOLE_EVERY

    def _succeeded(self, sink: Sink, delivery: Delivery, said: str) -> None:
        if delivery.everything:
            self._whole_at[sink.name] = trio.current_time()
        if self._troubles.pop(sink.name, ""):
            self._context.audience.mentions(f"{sink.name} is told of changes again; nothing was lost")
        if said:
            self._context.audience.mentions(f"{sink.name}: {said}")

    async def _failed(self, sink: Sink, attempts: int, error: MirrorsyncError) -> None:
        wait = max(_BACK_OFF[min(attempts, len(_BACK_OFF) - 1)], min(error.retry_after or 0.0, LONGEST_SILENCE))
        await self._context.state.outbox.not_told(sink.name, str(error), self._context.clock() + wait)
        hint = f" {error.hint}." if error.hint else ""
        self._say_once(sink, f"{error}. The changes wait, and are told again by themselves.{hint}")

    async def _cut_short(self, sink: Sink) -> None:
        """Write down, for a while even where the task is cancelled, that nobody knows whether `sink` was told.

        It is tried again at once: that we end is no fault of its own.
        """
        reason = f"{sink.name} was cut short: mirrorsync ended while it was being told"
        self._say_once(sink, f"{reason}. The changes wait, and are told again at the next start.")
        with trio.CancelScope(deadline=trio.current_time() + _TO_WRITE_DOWN, shield=True):
            try:
                await self._context.state.outbox.not_told(sink.name, reason, self._context.clock())
            except StoreError as error:
                self._say_once(sink, f"{error}")

    def _say_once(self, sink: Sink, text: str) -> None:
        if self._troubles.get(sink.name) != text:
            self._troubles[sink.name] = text
            self._context.audience.notes(text)


def describe(subject: StorePath, policy: Policy) -> PublicChange:
    """Return what clients see differently when `subject`, as the state has it, has changed."""
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
