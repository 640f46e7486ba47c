"""From `Settings` to objects: the policy, the store, the upstream, the secrets, and the context of a run."""

import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio
from msgspec.structs import replace

from mirrorsync.app.mirror_directory import hold_lock, staging_directory, state_path, web_directory
from mirrorsync.app.sinks import notify_config
from mirrorsync.config.schema import Settings
from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.identity import StorePath
from mirrorsync.notify.errors import NotifyError
from mirrorsync.notify.secret import read_secret
from mirrorsync.observe.redaction import SHORTEST_SECRET, mask, secrets_of
from mirrorsync.observe.run_observer import RunObserver
from mirrorsync.ports import Upstream
from mirrorsync.select.rules import Selection
from mirrorsync.state.connection import copy_database
from mirrorsync.state.ledger import open_state
from mirrorsync.status.host import inspect_host
from mirrorsync.status.snapshot import site_of
from mirrorsync.store.filesystem import FilesystemStore
from mirrorsync.sync.context import Clock, Sleep, SyncContext
from mirrorsync.sync.policy import Policy
from mirrorsync.sync.single_pass import note_halt, prepare
from mirrorsync.upstream.build import open_upstream
from mirrorsync.upstream.http.client import NO_METRICS

if TYPE_CHECKING:
    from mirrorsync.observe.metrics import Metrics

_DISK_THREADS: Final = 8
"""Threads that wait for the disk at the same time."""
_SECRET_PATH: Final = re.compile(r"(?=.{12}).*[/0-9]", re.DOTALL)
"""A webhook's path that is a secret by itself. A short word such as "mirror" is not, and occurs in other texts."""


def secrets_in(settings: Settings) -> frozenset[str]:
    """Return the proxy's password, the webhooks' addresses and all tokens, in every form that a text may contain."""
    found = set(secrets_of(settings.upstream.proxy))
    for url in settings.notify.webhooks:
        _, _, address = url.partition("://")
        path = address.partition("/")[2]
        found |= {address} if path else set()
        found |= {path} if _SECRET_PATH.match(path) else set()
    files = (settings.notify.webhook_secret_file, settings.fastly.token_file, settings.cloudflare.token_file)
    for file in filter(None, files):
        with suppress(NotifyError):  # the first use of the file reports that it cannot be read
            found.add(read_secret(file, "mirrorsync"))
    return frozenset(one for one in found if len(one) >= SHORTEST_SECRET)


def cleaner(settings: Settings) -> Callable[[str], str]:
    """Return a function that masks the current secrets of `settings`, and what looks like a secret, in a text."""
    return partial(mask, secrets=sorted(secrets_in(settings), key=len, reverse=True))


def policy_of(settings: Settings) -> Policy:
    """Return the part of the configuration that the pipeline uses."""
    return Policy(
        selection=Selection(projects=frozenset(settings.select.projects), exclude=frozenset(settings.select.exclude)),
        files=settings.content.files,
        metadata=settings.content.metadata,
        legacy_json=settings.content.legacy_json,
        gzip=settings.content.gzip,
        root_url=settings.content.root_url,
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
    observer: RunObserver,
    clock: Clock = time.time,
    sleep: Sleep = trio.sleep,
    *,
    allow_removals: bool = False,
    notes_halt: bool = True,
    metrics: "Metrics | None" = None,
) -> AsyncIterator[SyncContext]:
    """Hold the lock, check the store, and open the state and the upstream. `metrics` counts the work.

    `notes_halt`: record a failure to open for `status`, as the end of a run. Callers with a fallback leave it out.
    Raises: AlreadyRunning, StoreError, SetupError, DifferentUpstream.
    """
    directory = settings.mirror.directory
    policy = replace(policy_of(settings), allow_removals=allow_removals)
    with hold_lock(directory):
        opening = open_state(state_path(directory), clean=cleaner(settings))
        async with opening as state, _upstream(settings, metrics) as upstream:
            context = SyncContext(
                upstream,
                _store(settings),
                state,
                policy,
                clock,
                observer,
                sleep,
                notify=notify_config(settings),
                site=site_of(settings),
                inspect_host=partial(trio.to_thread.run_sync, inspect_host, directory),
            )
            await context.store.check()
            await state.outbox.set_sinks([sink.name for sink in context.notify.sinks])
            context = await _prepare(context, notes_halt=notes_halt)
            yield context


async def _prepare(context: SyncContext, *, notes_halt: bool) -> SyncContext:
    tree_has_files = await anext(aiter(context.store.list(StorePath("packages"))), None) is not None
    try:
        return await prepare(context, tree_has_files=tree_has_files)
    except MirrorsyncError as error:
        if notes_halt:
            await note_halt(context, error)
        raise


@asynccontextmanager
async def open_dry_run(settings: Settings, observer: RunObserver, scratch: Path) -> AsyncIterator[SyncContext]:
    """Open a context with a copy of the state in `scratch`. It needs no lock."""
    original = state_path(settings.mirror.directory)
    copy = scratch / "state.sqlite3"
    await trio.to_thread.run_sync(copy_database, original, copy)
    async with open_state(copy) as state, _upstream(settings) as upstream:
        context = SyncContext(upstream, _store(settings), state, policy_of(settings), time.time, observer)
        context = await prepare(context, is_dry_run=True)
        yield context


def _store(settings: Settings) -> FilesystemStore:
    directory = settings.mirror.directory
    return FilesystemStore(
        web_directory(directory),
        staging_directory(directory),
        disk=trio.CapacityLimiter(_DISK_THREADS),
        min_free=settings.limits.min_free,
    )


def _upstream(settings: Settings, metrics: "Metrics | None" = None) -> AbstractAsyncContextManager[Upstream]:
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
        metrics=NO_METRICS if metrics is None else metrics,
    )
