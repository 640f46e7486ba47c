"""Syncing projects: fetch, select, store, encode, publish. Every step is safe to repeat.

Order (I1, I4): files are recorded before they are stored, stored before a page names them, and the page is public
before the outcome is recorded. A step that fails leaves the published page as it was; stored files are found again.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from mirrorsync.errors import MirrorsyncError, ProjectGone, Recovery, TooManyDeletions
from mirrorsync.model.identity import Serial
from mirrorsync.model.outcome import Mirrored, Removed, StoredFile
from mirrorsync.model.page import DistFile, PageRequest, ProjectPage
from mirrorsync.select.rules import without_unstored_sidecars
from mirrorsync.simple.encode import encode_page
from mirrorsync.simple.wire import API_VERSION
from mirrorsync.state.inventory import Intent
from mirrorsync.state.progress import ProjectRow, Weight
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.download import download, replaces_sidecar
from mirrorsync.sync.policy import Policy
from mirrorsync.sync.publish import Object, page_objects, publish_legacy, withdraw_page
from mirrorsync.sync.removal import RemovalBudget, remove_project, second_witness

_STALE_FOR: Final = 25 * 3600.0
"""Seconds for which a stale page is requested again: PyPI's caches serve an old one for a day."""


class PageTask(msgspec.Struct, frozen=True):
    """A due project and the request for its page."""

    row: ProjectRow
    request: PageRequest
    settles: bool
    """The project is met at the page's serial, even if a higher one was wanted."""


class Draft(msgspec.Struct, frozen=True):
    """A fetched page that is not published yet."""

    task: PageTask
    page: ProjectPage
    intent: Intent = Intent()
    stored: tuple[StoredFile, ...] = ()
    """What was downloaded for it, in the order of `intent.needs`."""
    sidecars_retracted: bool = False
    """The published page names fewer sidecars than the recorded one."""


class Publication(msgspec.Struct, frozen=True):
    """A page's objects, encoded, and the outcome once they are public."""

    row: ProjectRow
    objects: tuple[Object, ...]
    """Empty if the published page is the same."""
    outcome: Mirrored


def fetch(row: ProjectRow, now: float) -> PageTask:
    """Return the request for the project's page: which serial it must carry, and whether 304 is an answer."""
    at_least, settles = _wanted(row, now)
    is_valid = row.present and not settles and at_least <= (row.mirrored_serial or 0)
    etag = row.etag if is_valid else None
    return PageTask(row, PageRequest(name=row.name, at_least=at_least, etag=etag, attempt=row.attempts), settles)


async def select(
    context: SyncContext, fetched: Sequence[tuple[PageTask, ProjectPage]], budget: RemovalBudget
) -> list[Draft | MirrorsyncError]:
    """Reduce the pages to what the mirror carries, and record in one transaction which files they need (I4).

    Returns each page's draft or its failure, in order. Raises: StoreError, which concerns all of them.
    """
    pages = [without_unstored_sidecars(page, metadata=context.policy.metadata) for _, page in fetched]
    intents: Sequence[Intent | MirrorsyncError] = [Intent()] * len(pages)
    if context.policy.files:
        intents = await context.state.intend(pages)
    drafts: list[Draft | MirrorsyncError] = []
    for (task, _), page, intent in zip(fetched, pages, intents, strict=True):
        _note_later_version(context, page)
        if isinstance(intent, MirrorsyncError):
            drafts.append(intent)
        else:
            refusal = _exceeds_limits(page, intent, budget, now=context.clock())
            drafts.append(refusal or Draft(task, page, intent))
    return drafts


async def store(context: SyncContext, draft: Draft, *, in_flight: int) -> Draft:
    """Download the files and sidecars that the page needs; return the draft with what is stored durably now.

    Raises: MirrorsyncError; the published page is then valid, and finished downloads are found again.
    """
    _note_replaced_files(context, draft)
    retract = await replaces_sidecar(context, draft.intent.needs)
    if retract:
        await _retract_sidecars(context, draft)
    stored = _all_stored(await download(context, draft.intent.needs, in_flight=in_flight))
    if stored:
        await context.store.settle()  # large files, and those that an earlier process left
    return replace(draft, stored=stored, sidecars_retracted=retract)


def encode(policy: Policy, draft: Draft) -> Publication:
    """Encode the page as stored; a page that is published with the same content has no objects."""
    row, needs = draft.task.row, draft.intent.needs
    page = _as_stored(draft)
    lost = sum(got.metadata_sha256 != need.file.core_metadata for got, need in zip(draft.stored, needs, strict=True))
    encoded = encode_page(page, policy.link)
    is_ahead = None not in (page.serial, row.page_serial) and (row.page_serial or 0) > (page.serial or 0)
    is_same = row.present and encoded.content_digest == row.page_digest
    is_public = is_same and not draft.sidecars_retracted and not is_ahead
    outcome = Mirrored(
        name=row.name,
        serial=page.serial,
        page_serial=row.page_serial if is_public else page.serial,
        page_digest=encoded.content_digest,
        # Without a sidecar that upstream promised the page is incomplete: the next request is not conditional.
        etag=None if lost else page.etag,
        status=page.status,
        stored=draft.stored,
        vanished=draft.intent.vanished,
        settles=draft.task.settles,
        bytes_fetched=sum(file.size for file in draft.stored if file.file_is_new),
        sidecars_untold=page.sidecars_untold if policy.metadata else 0,
        sidecars_lost=lost,
    )
    return Publication(row, () if is_public else tuple(page_objects(policy, page.name, encoded)), outcome)


async def publish(context: SyncContext, publications: Sequence[Publication]) -> None:
    """Make the pages public, with one transaction and one write for all of them.

    Raises: MirrorsyncError; any of the pages may be public then. Cancellation: as for an error.
    """
    changed = [each for each in publications if each.objects]
    # A page that was never recorded needs no mark; what files it has, their intent has marked it.
    marked = [each for each in changed if each.row.page_digest is not None or not context.policy.files]
    if marked:
        await context.state.about_to_publish([(each.row.name, each.outcome.serial) for each in marked])
    if changed:
        await context.store.publish_all([item for each in changed for item in each.objects])
    for each in publications:
        if has_legacy_document(context.policy, each.row):
            if not each.objects:
                await context.state.outbox.intend_change(each.row.name)
            await publish_legacy(context, each.row.name)
            await context.store.settle()  # where it deletes the document


def has_legacy_document(policy: Policy, row: ProjectRow) -> bool:
    """Whether the mirror has a legacy document of the project, or may have had one before."""
    return policy.legacy_json or (row.present and row.page_digest is None)


async def remove(context: SyncContext, row: ProjectRow, gone: ProjectGone, budget: RemovalBudget) -> Removed:
    """Remove a project whose page is 404, if a second witness agrees: a cache may have kept the 404 (I5).

    Raises: ProjectGone, while there is only one witness; TooManyDeletions; what the witness or the store raises.
    """
    reason = await second_witness(context, row)
    if not reason:
        raise gone
    return await remove_project(context, row, budget, reason=reason)


def _wanted(row: ProjectRow, now: float) -> tuple[Serial, bool]:
    """Return the serial that a page must carry, and whether the page's own serial meets the project.

    It is never below the published serial (I6), unless upstream itself provably went back, or no cache can be the
    reason any more. Journal rows about roles and invitations change nothing in a page.
    """
    if row.regressed_to is not None and row.wanted_serial <= (row.mirrored_serial or 0):
        return row.regressed_to, True
    # A page from before a removal is never accepted: it would restore what upstream removed, usually malware.
    may_be_stale = row.stale_since is None or now - row.stale_since < _STALE_FOR
    if not may_be_stale and not row.said_removed:
        return Serial(0), True
    return Serial(max(row.content_serial, row.mirrored_serial or 0, row.attempted_serial or 0)), False


def _note_later_version(context: SyncContext, page: ProjectPage) -> None:
    if page.later_version is not None:
        context.observer.warn_once(
            f"version {page.later_version}",
            f"upstream uses version {page.later_version} of the Simple API, this mirrorsync {API_VERSION}: unknown"
            " keys are passed on unchanged; look for a newer mirrorsync",
        )


def _exceeds_limits(page: ProjectPage, intent: Intent, budget: RemovalBudget, *, now: float) -> TooManyDeletions | None:
    """Return the refusal of a page that removes more than the limits allow.

    Quarantined files leave the page whatever their weight: the sweep counts them before anything is deleted.
    """
    if not intent.vanished or page.status == "quarantined":
        return None
    weight = Weight(projects=0, files=len(intent.vanished), size=intent.vanished_size)
    try:
        budget.spend(weight, str(page.name), now=now)
    except TooManyDeletions as refusal:
        return refusal
    return None


def _note_replaced_files(context: SyncContext, draft: Draft) -> None:
    """Log file names that have other bytes than before: PyPI never reuses a name."""
    gone = {filename for _, filename in draft.intent.vanished}
    for file in (need.file for need in draft.intent.needs if need.lacks_file and need.file.filename in gone):
        digest = file.hashes.sha256.hex()
        context.observer.warn_once(
            f"replaced {file.filename} {digest}",
            f"{draft.page.name}: {file.filename} has other bytes now (sha256 {digest}). Both are verified, and the old"
            " ones are kept for the grace; on PyPI no file of today can change, so ask its authors before you trust it",
        )


async def _retract_sidecars(context: SyncContext, draft: Draft) -> None:
    """Publish a page without the sidecars that are about to be replaced, so that no page names an old digest (I1)."""
    row, page = draft.task.row, draft.page
    lacking = {(need.file.place, need.file.filename): need for need in draft.intent.needs}
    needs = [(file, lacking.get((file.place, file.filename))) for file in page.files]
    files = [
        file if need is None else replace(file, core_metadata=None)
        for file, need in needs
        if need is None or not need.lacks_file
    ]
    await context.state.about_to_publish([(row.name, None)])
    if row.present:
        known = [serial for serial in (row.page_serial, row.attempted_serial) if serial is not None]
        without = replace(page, serial=max(known, default=None), files=tuple(files))
        encoded = encode_page(without, context.policy.link)
        await context.store.publish_all(page_objects(context.policy, page.name, encoded))
    else:
        await withdraw_page(context, row.name)  # an unrecorded page, left by a process that died
        await context.store.settle()


def _all_stored(results: Sequence[StoredFile | MirrorsyncError]) -> tuple[StoredFile, ...]:
    """Return the files if all are stored. Raises: the worst failure, with the number of the others."""
    failures = [result for result in results if isinstance(result, MirrorsyncError)]
    if failures:
        worst = next((failure for failure in failures if failure.recovery is Recovery.HALT), failures[0])
        if len(failures) > 1:
            worst.why = f"{worst.why} (and {len(failures) - 1} more of its files)".lstrip()
        raise worst
    return tuple(result for result in results if isinstance(result, StoredFile))


def _as_stored(draft: Draft) -> ProjectPage:
    """Return the page with the sidecars that the store has, and with sizes that upstream does not state."""
    held = {(file.place, file.filename): file for file in draft.stored}
    sizes = draft.intent.sizes
    if not held and not sizes:
        return draft.page

    def as_stored(file: DistFile) -> DistFile:
        key = (file.place, file.filename)
        now = held.get(key)
        metadata = file.core_metadata if now is None else now.metadata_sha256
        size = file.size
        if size is None:
            size = now.size if now is not None and now.size else sizes.get(key)
        if metadata == file.core_metadata and size == file.size:
            return file
        return replace(file, core_metadata=metadata, size=size)

    return replace(draft.page, files=tuple(as_stored(file) for file in draft.page.files))
