"""Group commit: who shares a flush, and who must not trust one."""

import errno
import threading
from pathlib import Path

import pytest
import trio
import trio.testing

from mirrorsync.errors import StoreDenied, StoreFull
from mirrorsync.model.identity import store_path
from mirrorsync.store.directory import Directory
from mirrorsync.store.durable import GroupSync, flush_file_system
from mirrorsync.store.filesystem import FilesystemStore
from tests.unit.store.kit import BODY, PATH, expect, make_store, names, put


class Gate:
    """A flush that waits in its thread until it is let go, and fails when it is told to."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.error = 0

    def flush(self, descriptor: int) -> None:
        self.begun.release()
        assert self.go.acquire(timeout=10)
        if self.error:
            raise OSError(self.error, "the disk says no")
        flush_file_system(descriptor)

    async def has_begun(self) -> None:
        assert await trio.to_thread.run_sync(lambda: self.begun.acquire(timeout=10))


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def sync(gate: Gate, tmp_path: Path) -> GroupSync:
    return GroupSync(Directory(tmp_path), flush_file_system=gate.flush)


async def test_64_commits_at_a_time_share_a_handful_of_flushes(store: FilesystemStore) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(64):
            nursery.start_soon(put, store, store_path("packages", str(number)), BODY)
    assert 1 <= store.sync.flushes <= 8


async def test_64_who_flush_at_once_share_one_flush(tmp_path: Path) -> None:
    sync = GroupSync(Directory(tmp_path))
    async with trio.open_nursery() as nursery:
        for _ in range(64):
            nursery.start_soon(sync.flush)
    assert sync.flushes == 1


async def test_a_flush_that_began_before_the_call_does_not_count(gate: Gate, sync: GroupSync) -> None:
    returned = []

    async def flush(who: str) -> None:
        await sync.flush()
        returned.append(who)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flush, "first")
        await gate.has_begun()
        for _ in range(5):
            nursery.start_soon(flush, "later")
        await trio.testing.wait_all_tasks_blocked()
        gate.go.release()
        await gate.has_begun()
        assert returned == ["first"]
        gate.go.release()
    assert returned == ["first"] + ["later"] * 5
    assert sync.flushes == 2


async def test_a_flush_that_fails_fails_for_all_who_shared_it_and_not_for_who_comes_later(
    gate: Gate, sync: GroupSync
) -> None:
    failed = []

    async def flush() -> None:
        with pytest.raises(OSError, match="the disk says no"):
            await sync.flush()
        failed.append(True)

    gate.error = errno.EIO
    gate.go.release()
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(flush)
    assert len(failed) == 3
    gate.error = 0
    gate.go.release()
    await sync.flush()
    assert (sync.flushes, sync.failures) == (2, 1)


async def test_who_wrote_before_a_failed_flush_is_refused_by_the_next_that_succeeds(
    gate: Gate, store: FilesystemStore, tmp_path: Path
) -> None:
    store.sync._flush_file_system = gate.flush
    gate.go.release(2)
    async with store.stage(PATH, expect(BODY)) as staged:
        await staged.write(BODY)
        gate.error = errno.ENOSPC
        with pytest.raises(StoreFull):
            await store.settle()
        gate.error = 0
        with pytest.raises(StoreFull):
            await staged.commit()
    assert names(tmp_path / "web") == set()
    assert names(tmp_path / "staging") == set()
    gate.go.release()
    await put(store, PATH, BODY)


async def test_a_waiter_that_is_cancelled_leaves_at_once_and_the_others_are_served(gate: Gate, sync: GroupSync) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sync.flush)
        await gate.has_begun()
        with trio.move_on_after(0.01) as scope:
            await sync.flush()
        assert scope.cancelled_caught
        nursery.start_soon(sync.flush)
        await trio.testing.wait_all_tasks_blocked()
        gate.go.release(2)
    assert sync.flushes == 2


async def test_a_flush_that_runs_is_never_abandoned(gate: Gate, sync: GroupSync) -> None:
    returned = []

    async def flush() -> None:
        await sync.flush()
        returned.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flush)
        await gate.has_begun()
        nursery.cancel_scope.cancel()
        gate.go.release()
    assert returned == [True]


async def test_a_store_that_cannot_flush_says_so_in_words(gate: Gate, store: FilesystemStore) -> None:
    store.sync._flush_file_system = gate.flush
    gate.error = errno.EIO
    gate.go.release()
    with pytest.raises(StoreDenied) as caught:
        await store.settle()
    assert "web cannot be flushed" in caught.value.what
    assert caught.value.hint


async def test_the_syncfs_of_a_closed_descriptor_is_an_error() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        flush_file_system(-1)


def test_a_store_can_be_made_before_trio_runs(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    trio.run(store.check)
    trio.run(store.settle)
