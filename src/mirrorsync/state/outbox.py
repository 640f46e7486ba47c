"""The list of what changed in public, kept beside the state's own work, and read by whoever tells of it."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence

from mirrorsync.model.identity import ProjectName
from mirrorsync.model.outcome import Outcome
from mirrorsync.simple import layout
from mirrorsync.state import notification_queue as queue
from mirrorsync.state.condemned import Condemned
from mirrorsync.state.database import Database
from mirrorsync.state.inventory import Need
from mirrorsync.state.notification_queue import Delivery


class Outbox:
    """Nothing is written, and nothing asked, where nobody is told of changes.

    What takes a connection is part of a transaction that is made anyway; the rest are durable transactions themselves.
    """

    def __init__(self, database: Database, clean: Callable[[str], str] = str) -> None:
        self._database = database
        self._clean = clean
        self._is_kept = False

    async def keep_for(self, sinks: Sequence[str]) -> None:
        """From now on write down, for these sinks and no others, what changes in public; at a start, before any work.

        What a dead run may have made public is due to be told again.
        """
        self._is_kept = bool(sinks)
        was_kept = await self._database.read(queue.is_in_use)
        if sinks or was_kept:
            await self._database.write(lambda connection: queue.register(connection, sinks))

    # --- beside the state's own work -------------------------------------------------------------------------

    def takes(self, connection: sqlite3.Connection, name: ProjectName, needs: Iterable[Need]) -> None:
        """Note that a page which nobody knows, and sidecars that take others' places, may come to stand."""
        if self._is_kept:
            files = [need.file for need in needs if need.replaces_sidecar]
            sidecars = [layout.sidecar_path(file.place, file.filename) for file in files]
            queue.intend_new(connection, name, sidecars)

    def doubts(self, connection: sqlite3.Connection, name: ProjectName) -> None:
        """Note that another page may come to stand, or none."""
        if self._is_kept:
            queue.intend(connection, name)

    def recorded(self, connection: sqlite3.Connection, outcome: Outcome) -> None:
        """Let be due what was noted of a project: it is public."""
        if self._is_kept:
            queue.recorded(connection, outcome)

    def root_recorded(self, connection: sqlite3.Connection) -> None:
        """Let be due that the root index has changed."""
        if self._is_kept:
            queue.root_recorded(connection)

    def swept(self, connection: sqlite3.Connection, objects: Iterable[Condemned]) -> None:
        """Let be due that these files are gone."""
        if self._is_kept:
            queue.removed(connection, [layout.file_path(gone.place, gone.filename) for gone in objects])

    async def about_to_change(self, name: ProjectName) -> None:
        """Note that something public of `name` may change, though its page does not."""
        if self._is_kept:
            await self._database.write(lambda connection: queue.intend(connection, name))

    async def about_to_publish_root(self) -> None:
        """Note that the root index may change from now on."""
        if self._is_kept:
            await self._database.write(queue.intend_root)

    # --- for whoever tells of it -----------------------------------------------------------------------------

    async def next_delivery(self, sink: str, now: float, *, most: int, flood: int) -> Delivery | None:
        """Return what `sink` is to be told now, at most `most` subjects; None when nothing is due, or it waits.

        More than `flood` changes that wait become one: that all may have changed.
        """
        if await self._database.read(lambda connection: queue.is_flooded(connection, sink, flood)):
            await self._database.write(lambda connection: queue.collapse(connection, sink))
        return await self._database.read(lambda connection: queue.next_delivery(connection, sink, most, now))

    async def told(self, sink: str, delivery: Delivery, now: float) -> None:
        """Note that `sink` was told."""
        await self._database.write(lambda connection: queue.told(connection, sink, delivery, now))

    async def not_told(self, sink: str, error: str, next_attempt_at: float) -> None:
        """Note that `sink` could not be told, and when it is tried again (seconds since the epoch)."""
        said = self._clean(error)
        await self._database.write(lambda connection: queue.failed(connection, sink, said, next_attempt_at))
