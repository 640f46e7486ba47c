"""Bringing up one project: page, intentions, files, publication. Every step is safe to repeat."""

from typing import Final

import msgspec

from mirrorsync.errors import MirrorsyncError, ProjectGone, Recovery
from mirrorsync.model.identity import Serial
from mirrorsync.model.outcome import Confirmed, Mirrored, Outcome, Removed, StoredFile
from mirrorsync.model.page import DistFile, PageRequest, PageResult, ProjectPage, Unchanged
from mirrorsync.select import content
from mirrorsync.simple.encode_json import encode_page
from mirrorsync.simple.wire import API_VERSION
from mirrorsync.state.inventory import Intent
from mirrorsync.state.progress import ProjectRow, Weight
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.download import fetch_all, replaces_sidecar
from mirrorsync.sync.publish import publish_legacy, publish_page, withdraw_page
from mirrorsync.sync.removal import second_witness

_PATIENCE: Final = 25 * 3600.0
"""Seconds for which a page that stays behind is asked for again: PyPI's caches serve an old one for a day."""


class PageTask(msgspec.Struct, frozen=True):
    """A project that is due, and the page that is to be had of it."""

    work: ProjectRow
    request: PageRequest
    settles: bool
    """What the page then carries settles the matter, whatever was wanted."""


def errand(work: ProjectRow, now: float) -> PageTask:
    """Return how the page of `work` is asked for."""
    at_least, settles = _wanted(work, now)
    trusted = work.present and not settles and at_least <= (work.mirrored_serial or 0)
    request = PageRequest(name=work.name, at_least=at_least, etag=work.etag if trusted else None, attempt=work.attempts)
    return PageTask(work=work, request=request, settles=settles)


async def bring_up(context: SyncContext, errand: PageTask, result: PageResult) -> Outcome:
    """Make the served tree say of one project what upstream says; the outcome is what may be recorded.

    Order (invariants I1, I4): intend, store, publish. Nothing is recorded here.
    Raises: MirrorsyncError; the project's page is then as it was, and what came in is found again.
    Cancel-safe at every step.
    """
    work = errand.work
    try:
        if isinstance(result.outcome, MirrorsyncError):
            raise result.outcome
    except ProjectGone as gone:
        return await _gone(context, work, gone)
    page = result.outcome
    if isinstance(page, Unchanged):
        return Confirmed(name=work.name, content_serial=work.content_serial)
    if page.later_version is not None:
        context.tell_once(
            f"version {page.later_version}",
            f"upstream speaks version {page.later_version} of the Simple API, this mirrorsync {API_VERSION}: what it"
            " does not know is passed on as it is; look for a newer mirrorsync",
        )
    return await _mirror(context, work, content.apply(page, metadata=context.policy.metadata), settles=errand.settles)


def _wanted(work: ProjectRow, now: float) -> tuple[Serial, bool]:
    """Return the serial that a page must carry, and whether what it then carries settles the matter.

    Never below what is served (I6), but where upstream itself provably went back, or where no cache can be the
    reason any more. Rows of roles and invitations ask for nothing that a page could show.
    """
    if work.regressed_to is not None and work.wanted_serial <= (work.mirrored_serial or 0):
        return work.regressed_to, True
    # A page from before a removal is never accepted: it would bring back what upstream took away, malware mostly.
    patient = work.stale_since is None or now - work.stale_since < _PATIENCE
    if not patient and not work.said_removed:
        return Serial(0), True
    return Serial(max(work.content_serial, work.mirrored_serial or 0, work.attempted_serial or 0)), False


async def _mirror(context: SyncContext, work: ProjectRow, page: ProjectPage, *, settles: bool) -> Outcome:
    intent, stored, replaces = Intent(), list[StoredFile](), False
    if context.policy.files:
        intent = await context.state.intend(work.name, page.files, page.serial)
        _afford(context, work, page, intent)
        _tell_replaced(context, work, intent)
        replaces = await replaces_sidecar(context, intent.needs)
        if replaces:
            await _retract_sidecars(context, work, page, intent)
        stored = await _fetched(context, intent)
        page = _as_stored(page, stored, intent)
        if stored:
            await context.store.settle()  # the large ones, and those that an earlier life left
    lost = sum(held.metadata_sha256 != need.file.core_metadata for held, need in zip(stored, intent.needs, strict=True))
    encoded = encode_page(page, context.policy.link)
    digest = encoded.content_digest
    leads = None not in (page.serial, work.page_serial) and (work.page_serial or 0) > (page.serial or 0)
    stands = work.present and digest == work.page_digest and not replaces and not leads
    await _publish(context, work, page, None if stands else encoded.body)
    return Mirrored(
        name=work.name,
        serial=page.serial,
        page_serial=work.page_serial if stands else page.serial,
        page_digest=digest,
        # Without a sidecar that upstream promised the page is not yet what it could be: it is asked for in full.
        etag=None if lost else page.etag,
        status=page.status,
        stored=tuple(stored),
        vanished=intent.vanished,
        settles=settles,
        bytes_fetched=sum(file.size for file in stored if file.file_is_new),
        sidecars_untold=page.sidecars_untold if context.policy.metadata else 0,
        sidecars_lost=lost,
    )


async def _publish(context: SyncContext, work: ProjectRow, page: ProjectPage, json: bytes | None) -> None:
    """Publish what is to be: the page, encoded as `json`, unless that is None because it stands."""
    if json is not None:
        if work.page_digest is not None or not context.policy.files:
            await context.state.about_to_publish(work.name, page.serial)
        await publish_page(context, page, json)
    if context.policy.legacy_json or (work.present and work.page_digest is None):
        if json is None:
            await context.state.outbox.about_to_change(work.name)
        await publish_legacy(context, work.name)
        await context.store.settle()  # for where it makes the document absent


def _afford(context: SyncContext, work: ProjectRow, page: ProjectPage, intent: Intent) -> None:
    """Hold the page back when it takes away more than a person would expect. Raises: TooManyDeletions.

    What is quarantined leaves the page whatever its weight: the sweep counts it before anything is deleted.
    """
    if intent.vanished and page.status != "quarantined":
        weight = Weight(projects=0, files=len(intent.vanished), size=intent.vanished_size)
        context.budget.spend(weight, str(work.name), now=context.clock())


def _tell_replaced(context: SyncContext, work: ProjectRow, intent: Intent) -> None:
    """Tell an operator of names that stand for other bytes from now on: PyPI gives no name twice."""
    gone = {filename for _, filename in intent.vanished}
    for file in (need.file for need in intent.needs if need.lacks_file and need.file.filename in gone):
        digest = file.hashes.sha256.hex()
        context.tell_once(
            f"replaced {file.filename} {digest}",
            f"{work.name}: {file.filename} has other bytes now (sha256 {digest}). Both are verified, and the old ones"
            " stay for the grace; on PyPI no file of today can change, so ask its authors before you trust it",
        )


async def _retract_sidecars(context: SyncContext, work: ProjectRow, page: ProjectPage, intent: Intent) -> None:
    """Let no page promise a sidecar's old digest while the new sidecar takes its place (I1)."""
    lacking = {(need.file.place, need.file.filename): need for need in intent.needs}
    needs = [(file, lacking.get((file.place, file.filename))) for file in page.files]
    files = [
        file if need is None else msgspec.structs.replace(file, core_metadata=None)
        for file, need in needs
        if need is None or not need.lacks_file
    ]
    await context.state.about_to_publish(work.name, None)
    if work.present:
        known = [serial for serial in (work.page_serial, work.attempted_serial) if serial is not None]
        serial = max(known, default=None)
        without = msgspec.structs.replace(page, serial=serial, files=tuple(files))
        await publish_page(context, without, encode_page(without, context.policy.link).body)
    else:
        await withdraw_page(context, work.name)  # a page that no record tells of, whose run died before it was made
        await context.store.settle()


async def _fetched(context: SyncContext, intent: Intent) -> list[StoredFile]:
    """Bring in what is lacking. Raises: the first failure, with the number of the others."""
    results = await fetch_all(context, intent.needs)
    failures = [result for result in results if isinstance(result, MirrorsyncError)]
    if failures:
        worst = next((failure for failure in failures if failure.recovery is Recovery.HALT), failures[0])
        if len(failures) > 1:
            worst.why = f"{worst.why} (and {len(failures) - 1} more of its files)".lstrip()
        raise worst
    return [result for result in results if isinstance(result, StoredFile)]


def _as_stored(page: ProjectPage, stored: list[StoredFile], intent: Intent) -> ProjectPage:
    """Let the page say what the store really holds: no sidecar that is not there, and sizes that were not told."""
    held = {(file.place, file.filename): file for file in stored}

    def as_held(file: DistFile) -> DistFile:
        key = (file.place, file.filename)
        now = held.get(key)
        metadata = file.core_metadata if now is None else now.metadata_sha256
        size = file.size
        if size is None:
            size = now.size if now is not None and now.size else intent.sizes.get(key)
        if metadata == file.core_metadata and size == file.size:
            return file
        return msgspec.structs.replace(file, core_metadata=metadata, size=size)

    return msgspec.structs.replace(page, files=tuple(as_held(file) for file in page.files))


async def _gone(context: SyncContext, work: ProjectRow, gone: ProjectGone) -> Removed:
    """Decide on a 404, which a cache may have kept from before the project was made (I5).

    Raises: ProjectGone, while there is but one witness; TooManyDeletions.
    """
    reason = await second_witness(context, work)
    if not reason:
        raise gone
    context.budget.spend(await context.state.weigh([work.name]), str(work.name), now=context.clock())
    if work.present:
        await context.state.about_to_publish(work.name, None)
    await withdraw_page(context, work.name)
    await context.store.settle()
    return Removed(name=work.name, reason=reason, wanted_serial=work.wanted_serial)
