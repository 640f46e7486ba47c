"""From a configuration to the context that the pipeline works with."""

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import trio
from msgspec.structs import replace

from mirrorsync.app.lock import hold
from mirrorsync.app.notify import telling_of
from mirrorsync.app.redaction import cleaner
from mirrorsync.config.schema import Settings
from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.identity import StorePath
from mirrorsync.observe.counters import Counters
from mirrorsync.observe.run_observer import RunObserver
from mirrorsync.ports import Upstream
from mirrorsync.select.rules import Selection
from mirrorsync.state.connection import copy_database
from mirrorsync.state.ledger import open_state
from mirrorsync.store.filesystem import FilesystemStore
from mirrorsync.sync.context import Clock, Sleep, SyncContext
from mirrorsync.sync.policy import Policy
from mirrorsync.sync.single_pass import note_halt, prepare
from mirrorsync.upstream.build import open_upstream
from mirrorsync.upstream.http.request_metrics import NO_METRICS

_DISK_THREADS = 8
"""Threads that wait for the disk at the same time."""


def web_directory(directory: Path) -> Path:
    """Return the document root."""
    return directory / "web"


def state_path(directory: Path) -> Path:
    """Return the database's path."""
    return directory / "state" / "mirrorsync.sqlite3"


def lock_path(directory: Path) -> Path:
    """Return the path of the lock that a run holds for its life."""
    return directory / "state" / "lock"


def name_of(settings: Settings) -> str:
    """Return what the mirror calls itself: its name, else the host of its address, else the host of its contact."""
    contact = settings.mirror.contact
    address = settings.content.root_url or (contact if "://" in contact else f"//{contact}")
    return settings.mirror.name or urlsplit(address).hostname or "this mirror"


def policy_of(settings: Settings) -> Policy:
    """Return what the pipeline needs to know of the configuration."""
    return Policy(
        selection=Selection(projects=frozenset(settings.select.projects), exclude=frozenset(settings.select.exclude)),
        files=settings.content.files,
        metadata=settings.content.metadata,
        legacy_json=settings.content.legacy_json,
        gzip=settings.content.gzip,
        root_url=settings.content.root_url,
        name=name_of(settings),
        removal_grace=settings.limits.removal_grace,
        max_removed_projects=settings.limits.max_removed_projects,
        max_removed_files=settings.limits.max_removed_files,
        max_removed_bytes=settings.limits.max_removed_bytes,
        needs_journal=settings.upstream.feed == "xmlrpc",
        audit_period=settings.audit.period,
        poll_interval=settings.upstream.poll_interval,
        list_interval=settings.audit.list_interval,
        workers=4 * settings.upstream.connections,
    )


@asynccontextmanager
async def open_context(
    settings: Settings,
    audience: RunObserver,
    clock: Clock = time.time,
    sleep: Sleep = trio.sleep,
    *,
    allow_removals: bool = False,
    notes_halt: bool = True,
    tally: Counters | None = None,
) -> AsyncIterator[SyncContext]:
    """Hold the lock, prove the store, open the state and the upstream: ready to work. `tally` counts what is done.

    `notes_halt`: what hinders that is noted for `status`, as the end of a run; no run ends where another way is left.
    Raises: AlreadyRunning, StoreError, SetupError, DifferentUpstream.
    """
    directory = settings.mirror.directory
    policy = replace(policy_of(settings), allow_removals=allow_removals)
    with hold(lock_path(directory)):
        state_there = open_state(state_path(directory), clean=cleaner(settings))
        async with state_there as state, _upstream(settings, tally) as upstream:
            context = SyncContext(
                upstream,
                _store(settings),
                state,
                policy,
                clock,
                audience,
                sleep,
                telling=telling_of(settings),
            )
            await context.store.check()
            await state.outbox.keep_for([sink.name for sink in context.telling.sinks])
            await _prepare(context, notes_halt=notes_halt)
            yield context


async def _prepare(context: SyncContext, *, notes_halt: bool) -> None:
    tree_has_files = await anext(aiter(context.store.list(StorePath("packages"))), None) is not None
    try:
        await prepare(context, tree_has_files=tree_has_files)
    except MirrorsyncError as error:
        if notes_halt:
            await note_halt(context, error)
        raise


@asynccontextmanager
async def open_rehearsal(settings: Settings, audience: RunObserver, scratch: Path) -> AsyncIterator[SyncContext]:
    """Open context whose state is a copy in `scratch`: what is written there is nobody's truth. No lock is needed."""
    original = state_path(settings.mirror.directory)
    copy = scratch / "state.sqlite3"
    await trio.to_thread.run_sync(copy_database, original, copy)
    async with open_state(copy) as state, _upstream(settings) as upstream:
        context = SyncContext(upstream, _store(settings), state, policy_of(settings), time.time, audience)
        await prepare(context, rehearses=True)
        yield context


def _store(settings: Settings) -> FilesystemStore:
    directory = settings.mirror.directory
    return FilesystemStore(
        web_directory(directory),
        directory / "staging",
        disk=trio.CapacityLimiter(_DISK_THREADS),
        min_free=settings.limits.min_free,
    )


def _upstream(settings: Settings, tally: Counters | None = None) -> AbstractAsyncContextManager[Upstream]:
    upstream = settings.upstream
    return open_upstream(
        index=upstream.index,
        feed=upstream.feed,
        connections=trio.CapacityLimiter(upstream.connections),
        contact=settings.mirror.contact,
        allow_http=upstream.allow_http,
        file_hosts=upstream.file_hosts or (),
        proxy=upstream.proxy,
        ca_file=None if upstream.ca_file is None else str(upstream.ca_file),
        meter=NO_METRICS if tally is None else tally,
    )
