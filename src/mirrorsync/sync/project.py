"""Bringing up one project: page, intentions, files, publication. Every step is safe to repeat."""

from typing import Final

import msgspec

from mirrorsync.errors import MirrorsyncError, ProjectGone, Recovery
from mirrorsync.model.identity import Serial
from mirrorsync.model.outcome import Confirmed, Mirrored, Outcome, Removed, StoredFile
from mirrorsync.model.page import DistFile, ProjectPage, Unchanged
from mirrorsync.select import content
from mirrorsync.simple.encode_json import content_digest
from mirrorsync.state.inventory import Intent
from mirrorsync.state.progress import Work
from mirrorsync.sync.download import fetch_all
from mirrorsync.sync.parts import Parts
from mirrorsync.sync.publish import publish_legacy, publish_page, withdraw_page

REPEAT_AFTER: Final = 180.0
"""Seconds after which a second 404 is another answer and not the same cached one (PyPI's CDN: 60 s a layer)."""


async def bring_up(parts: Parts, work: Work) -> Outcome:
    """Make the served tree say of one project what upstream says; the outcome is what may be recorded.

    Order (invariants I1, I4): intend, store, settle, publish, settle. Nothing is recorded here.
    Raises: MirrorsyncError; the project's page is then as it was, and what came in is found again.
    Cancel-safe at every step.
    """
    # Never below what is served (I6). Rows of roles and invitations ask for nothing that a page could show.
    at_least = Serial(max(work.content_serial, work.mirrored_serial or 0))
    etag = work.etag if work.present and work.mirrored_serial is not None and at_least <= work.mirrored_serial else None
    try:
        page = await parts.upstream.page(work.name, at_least=at_least, etag=etag, attempt=work.attempts)
    except ProjectGone as gone:
        return await _gone(parts, work, gone)
    if isinstance(page, Unchanged):
        return Confirmed(name=work.name)
    return await _mirror(parts, work, content.apply(page, metadata=parts.policy.metadata))


async def _mirror(parts: Parts, work: Work, page: ProjectPage) -> Outcome:
    if parts.policy.files:
        intent = await parts.state.intend(work.name, page.files)
        stored = await _fetched(parts, intent)
        page = _as_stored(page, stored, intent)
        if stored:
            await parts.store.settle()
    else:
        intent, stored = Intent(needs=(), vanished=(), sizes={}), []
    digest = content_digest(page, parts.policy.link)
    stands = work.present and digest == work.page_digest
    if not stands:
        await publish_page(parts, page)
    if parts.policy.legacy_json or (work.present and work.page_digest is None):
        await publish_legacy(parts, work.name)
    if parts.policy.legacy_json or not stands:
        await parts.store.settle()
    lost = sum(held.metadata_sha256 != need.file.core_metadata for held, need in zip(stored, intent.needs, strict=True))
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
        bytes_fetched=sum(file.size for file in stored if file.file_is_new),
        sidecars_untold=page.sidecars_untold if parts.policy.metadata else 0,
        sidecars_lost=lost,
    )


async def _fetched(parts: Parts, intent: Intent) -> list[StoredFile]:
    """Bring in what is lacking. Raises: the first failure, with the number of the others."""
    results = await fetch_all(parts, intent.needs)
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


async def _gone(parts: Parts, work: Work, gone: ProjectGone) -> Removed:
    """Decide on a 404, which a cache may have kept from before the project was made (I5).

    Raises: ProjectGone, while there is but one witness.
    """
    reason = await _second_witness(parts, work)
    if not reason:
        raise gone
    await withdraw_page(parts, work.name)
    await parts.store.settle()
    return Removed(name=work.name, reason=reason)


async def _second_witness(parts: Parts, work: Work) -> str:
    if work.said_removed:
        return "removed upstream: the journal says so and the page is gone"
    repeated = work.gone_at is not None and parts.clock() - work.gone_at >= REPEAT_AFTER
    if not repeated:
        return ""
    if work.unlisted:
        return "removed upstream: the root list leaves it out and the page is gone"
    if parts.policy.selection.names_only and not work.present:
        return ""  # a name that never was: the operator's spelling, to be seen in `status` until it is mended
    if await parts.upstream.is_absent(work.name):
        return "removed upstream: neither page nor release data is there any more"
    return ""
