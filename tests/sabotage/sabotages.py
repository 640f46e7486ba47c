"""Deliberate faults in mirrorsync, and for each the tests that must fail."""

from typing import Final

import msgspec

_HELD: Final = "tests/sync/test_invariants.py::"
_LIMITS: Final = "tests/sync/test_limits.py::"
_BATCHES: Final = "tests/sync/test_batches.py::"
_DURABLE: Final = "tests/unit/store/test_durable.py::"
_STORES: Final = "tests/contract/test_stores.py::TestFilesystemStore::"


class Edit(msgspec.Struct, frozen=True):
    """One edit in src/mirrorsync; `old` occurs there exactly once."""

    file: str
    old: str
    new: str


class Sabotage(msgspec.Struct, frozen=True):
    """A deliberate fault."""

    edits: tuple[Edit, ...]
    caught_by: tuple[str, ...]
    """Node ids: each of them must fail."""


_SETTLED: Final = (
    "    if stored:\n        await context.store.settle()  # large files, and those that an earlier process left\n"
)
_STORED: Final = "    stored = _all_stored(await download(context, draft.intent.needs, in_flight=in_flight))\n"
_PUBLISHED_EARLY: Final = (
    "    await context.store.publish_all("
    "page_objects(context.policy, draft.page.name, encode_page(draft.page, context.policy.link)))\n"
)
_ONE_BY_ONE: Final = "            return [ended for each in publications for ended in await self._publish([each])]\n"
_SHARED_FATE: Final = "            return [(each.row, error) for each in publications]\n"
_RECORDED: Final = "            ended += await self._publish(shared)\n"
_RECORDED_EARLY: Final = """            await self._record([(each.row, each.outcome) for each in shared], began)
            ended += [(row, end) for row, end in await self._publish(shared) if isinstance(end, MirrorsyncError)]
"""
_INTENDED: Final = "            intent = inventory.intend(connection, page.name, page.files)\n"
_REHEARSED: Final = """            connection.execute("SAVEPOINT rehearsal")
            intent = inventory.intend(connection, page.name, page.files)
            connection.execute("ROLLBACK TO rehearsal")
            self.__dict__.setdefault("later", {})[page.name] = page.files
"""
_RECORDED_LATE: Final = """
            for outcome in cleaned:
                files = self.__dict__.get("later", {}).get(outcome.name)
                if files is not None and type(outcome).__name__ == "Mirrored":
                    inventory.intend(connection, outcome.name, files)
            outcomes.record(connection, cleaned, now, grace)
"""

SABOTAGES: Final[dict[str, Sabotage]] = {
    "digests are not verified": Sabotage(
        edits=(Edit("store/verifier.py", "expect.sha256 is not None and digest != expect.sha256", "False"),),
        caught_by=(
            _STORES + "test_wrong_digest_leaves_the_previous_object",
            _STORES + "test_small_objects_fail_independently",
        ),
    ),
    "a page is published before its files are there": Sabotage(
        edits=(Edit("sync/project.py", _STORED, _PUBLISHED_EARLY + _STORED),),
        caught_by=(
            _HELD + "test_no_page_names_a_file_before_it_is_stored",
            _HELD + "test_failed_download_leaves_the_page_unchanged",
        ),
    ),
    "a page is published although a file failed": Sabotage(
        edits=(
            Edit("sync/project.py", "        raise worst\n", "        pass\n"),
            Edit("sync/project.py", "zip(draft.stored, needs, strict=True)", "zip(draft.stored, needs, strict=False)"),
        ),
        caught_by=(
            _HELD + "test_failed_download_leaves_the_page_unchanged",
            _HELD + "test_failure_holds_back_only_the_claimed_serial",
        ),
    ),
    "the cursor is claimed although something is unmet": Sabotage(
        edits=(Edit("state/mirror_row.py", "cursor if unmet is None else min(cursor, unmet - 1)", "cursor"),),
        caught_by=(_HELD + "test_failure_holds_back_only_the_claimed_serial",),
    ),
    "files are stored before they are intended": Sabotage(
        edits=(
            Edit("state/ledger.py", _INTENDED, _REHEARSED),
            Edit("state/ledger.py", "\n            outcomes.record(connection, cleaned, now, grace)\n", _RECORDED_LATE),
        ),
        caught_by=(_HELD + "test_stored_file_without_a_page_is_swept_when_upstream_drops_it",),
    ),
    "one 404 is believed": Sabotage(
        edits=(
            Edit(
                "sync/removal.py",
                '    if row.gone_at is None or context.clock() - row.gone_at < REPEAT_AFTER:\n        return ""\n',
                '    if row.name:\n        return "removed upstream: its page is gone"\n',
            ),
        ),
        caught_by=(_HELD + "test_404s_of_one_cache_remove_nothing",),
    ),
    "many 404s are believed without a second witness": Sabotage(
        edits=(
            Edit("sync/removal.py", "if await context.upstream.is_absent(row.name):", "if row.name:"),
            Edit("sync/removal.py", "    if row.unlisted:\n", "    if not row.unlisted:\n"),
        ),
        caught_by=(_HELD + "test_404s_of_one_cache_remove_nothing",),
    ),
    "the serial that was asked for is recorded": Sabotage(
        edits=(
            Edit(
                "sync/project.py",
                "        serial=page.serial,\n        page_serial",
                "        serial=row.wanted_serial,\n        page_serial",
            ),
        ),
        caught_by=(_HELD + "test_recorded_serial_is_the_one_in_the_page",),
    ),
    "files are not settled before a page names them": Sabotage(
        edits=(Edit("sync/project.py", _SETTLED, ""),),
        caught_by=(_HELD + "test_files_are_durable_before_pages_and_pages_before_records",),
    ),
    "names are not flushed": Sabotage(
        edits=(
            Edit(
                "store/batch.py",
                "if any(batch.has_success for batch in batches) and not self._flushed(batches, failures_before):",
                "if not batches:",
            ),
        ),
        caught_by=(
            _DURABLE + "test_files_are_flushed_before_and_after_their_rename",
            _DURABLE + "test_pages_are_flushed_before_and_after_their_rename",
        ),
    ),
    "names are given before the bytes are flushed": Sabotage(
        edits=(
            Edit(
                "store/batch.py",
                "                if not self._flushed(batches, failures_before):\n",
                "                if not batches:\n",
            ),
        ),
        caught_by=(
            _DURABLE + "test_files_are_flushed_before_and_after_their_rename",
            _DURABLE + "test_a_failed_flush_before_the_renames_stores_nothing",
        ),
    ),
    "the recorded page is not cleared before its replacement is published": Sabotage(
        edits=(Edit("sync/project.py", "    if marked:\n", "    if not changed:\n"),),
        caught_by=(_HELD + "test_unrecorded_page_is_compared_with_upstream_after_a_death",),
    ),
    "the sweep deletes a file that returned upstream": Sabotage(
        edits=(
            Edit(
                "state/inventory.py",
                "DELETE FROM condemned WHERE place = ? AND filename = ?",
                "DELETE FROM condemned WHERE 0 AND place = ? AND filename = ?",
            ),
        ),
        caught_by=(_HELD + "test_file_that_returns_within_its_grace_is_not_swept",),
    ),
    "a sidecar that is missing is advertised": Sabotage(
        edits=(
            Edit(
                "sync/project.py",
                "metadata = file.core_metadata if now is None else now.metadata_sha256",
                "metadata = file.core_metadata",
            ),
        ),
        caught_by=("tests/sync/test_indexes.py::test_lost_sidecar_is_not_advertised_and_delays_nothing",),
    ),
    "the limits on removals are ignored": Sabotage(
        edits=(Edit("sync/removal.py", "if exceeds and not policy.allow_removals:", "if not exceeds and exceeds:"),),
        caught_by=(
            _LIMITS + "test_removals_beyond_the_project_limit_wait_for_consent",
            _LIMITS + "test_page_that_removes_too_much_is_held_back_whole",
        ),
    ),
    "a failure of one page fails the pages that are published with it": Sabotage(
        edits=(Edit("sync/worker_pool.py", _ONE_BY_ONE, _SHARED_FATE),),
        caught_by=(_BATCHES + "test_page_that_cannot_be_written_fails_alone",),
    ),
    "the pages of a batch are recorded before they are published": Sabotage(
        edits=(Edit("sync/worker_pool.py", _RECORDED, _RECORDED_EARLY),),
        caught_by=(_BATCHES + "test_batch_is_recorded_after_it_is_published",),
    ),
}
"""By what they break."""
