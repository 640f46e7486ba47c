"""Group commit: which callers share a flush, and which must not rely on one."""

import errno
import os
import threading
from pathlib import Path
from unittest.mock import ANY

import pytest
import trio
import trio.testing

from mirrorsync.errors import StoreDenied, StoreFull, WrongSize
from mirrorsync.model.identity import store_path
from mirrorsync.model.objects import Small
from mirrorsync.store.directories import Directory
from mirrorsync.store.durable import GroupSync, flush_file_system
from mirrorsync.store.filesystem import FilesystemStore
from tests.unit.store.kit import BODY, PATH, expect, make_store, names, put


class Gate:
    """A flush that blocks its thread until it is released, and fails if `error` is set."""

    def __init__(self) -> None:
        self.started = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.error = 0

    def flush(self, descriptor: int) -> None:
        self.started.release()
        assert self.go.acquire(timeout=10)
        if self.error:
            raise OSError(self.error, "the disk failed")
        flush_file_system(descriptor)

    async def has_started(self) -> None:
        assert await trio.to_thread.run_sync(lambda: self.started.acquire(timeout=10))


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def sync(gate: Gate, tmp_path: Path) -> GroupSync:
    return GroupSync(Directory(tmp_path), flush_file_system=gate.flush)


async def test_64_simultaneous_commits_share_few_flushes(store: FilesystemStore) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(64):
            nursery.start_soon(put, store, store_path("packages", str(number)), BODY)
    assert 1 <= store.sync.flushes <= 8


async def test_64_simultaneous_flushes_are_one(tmp_path: Path) -> None:
    sync = GroupSync(Directory(tmp_path))
    async with trio.open_nursery() as nursery:
        for _ in range(64):
            nursery.start_soon(sync.flush)
    assert sync.flushes == 1


async def test_a_flush_that_began_before_the_call_does_not_count(gate: Gate, sync: GroupSync) -> None:
    returned = []

    async def flush(caller: str) -> None:
        await sync.flush()
        returned.append(caller)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flush, "first")
        await gate.has_started()
        for _ in range(5):
            nursery.start_soon(flush, "later")
        await trio.testing.wait_all_tasks_blocked()
        gate.go.release()
        await gate.has_started()
        assert returned == ["first"]
        gate.go.release()
    assert returned == ["first"] + ["later"] * 5
    assert sync.flushes == 2


async def test_a_failed_flush_fails_for_its_callers_only(gate: Gate, sync: GroupSync) -> None:
    failed = []

    async def flush() -> None:
        with pytest.raises(OSError, match="the disk failed"):
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


async def test_a_writer_before_a_failed_flush_fails_at_the_next_one(
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


class FlushRecorder:
    """A flush that records the files present at its start, and fails at the given indexes."""

    def __init__(self, web: Path, *fails_at: int) -> None:
        self.seen: list[set[str]] = []
        self._web = web
        self._fails_at = fails_at

    def flush(self, _descriptor: int) -> None:
        self.seen.append({path.name for path in self._web.rglob("*") if path.is_file()})
        if len(self.seen) - 1 in self._fails_at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def record_flushes(store: FilesystemStore, web: Path, *fails_at: int) -> FlushRecorder:
    recorder = FlushRecorder(web, *fails_at)
    store.sync._flush_file_system = recorder.flush
    return recorder


def small(name: str, body: bytes = BODY) -> Small:
    return Small(path=store_path("packages", "aa", name), expect=expect(BODY), body=body)


async def test_files_are_flushed_before_and_after_their_rename(store: FilesystemStore, tmp_path: Path) -> None:
    recorder = record_flushes(store, tmp_path / "web")
    assert await store.store_all([small("x"), small("wrong", b"else"), small("y")]) == [len(BODY), ANY, len(BODY)]
    assert recorder.seen == [set(), {"x", "y"}]


async def test_pages_are_flushed_before_and_after_their_rename(store: FilesystemStore, tmp_path: Path) -> None:
    recorder = record_flushes(store, tmp_path / "web")
    assert await store.publish_all([(store_path("simple", "x"), BODY), (store_path("simple", "y"), BODY)]) == 2
    assert recorder.seen == [set(), {"x", "y"}]


async def test_an_equal_page_is_flushed_too(store: FilesystemStore, tmp_path: Path) -> None:
    page = store_path("simple", "x")
    await store.publish(page, BODY)
    again = make_store(tmp_path)
    recorder = record_flushes(again, tmp_path / "web")
    assert not await again.publish(page, BODY)
    assert recorder.seen == [{"x"}]


async def test_a_file_that_fails_verification_costs_no_flush(store: FilesystemStore, tmp_path: Path) -> None:
    recorder = record_flushes(store, tmp_path / "web")
    (result,) = await store.store_all([small("x", b"else")])
    assert isinstance(result, WrongSize)
    assert recorder.seen == []


async def test_a_failed_flush_before_the_renames_stores_nothing(store: FilesystemStore, tmp_path: Path) -> None:
    record_flushes(store, tmp_path / "web", 0)
    results = await store.store_all([small("x"), small("wrong", b"else"), small("y")])
    assert [type(result) for result in results] == [StoreDenied, WrongSize, StoreDenied]
    assert names(tmp_path / "web") == set()
    assert names(tmp_path / "staging") == set()


async def test_unflushed_renames_fail_for_all_and_settle_flushes_them(store: FilesystemStore, tmp_path: Path) -> None:
    recorder = record_flushes(store, tmp_path / "web", 2)
    await store.settle()
    results = await store.store_all([small("x"), small("wrong", b"else"), small("y")])
    assert [type(result) for result in results] == [StoreDenied, WrongSize, StoreDenied]
    assert recorder.seen[-1] == {"x", "y"}
    assert names(tmp_path / "staging") == set()
    await store.settle()
    assert len(recorder.seen) == 4
    record_flushes(store, tmp_path / "web", 1)
    with pytest.raises(StoreDenied, match="cannot be flushed"):
        await store.publish(store_path("simple", "page"), BODY)


async def test_renames_fail_if_another_flush_failed_meanwhile(store: FilesystemStore, tmp_path: Path) -> None:
    recorder = record_flushes(store, tmp_path / "web")
    flush = recorder.flush

    def another_fails(descriptor: int) -> None:
        flush(descriptor)
        store.sync.failures += 1

    store.sync._flush_file_system = another_fails
    (result,) = await store.store_all([small("x")])
    assert isinstance(result, StoreDenied)


async def test_settle_flushes_only_unflushed_changes(store: FilesystemStore, tmp_path: Path) -> None:
    recorder = record_flushes(store, tmp_path / "web")

    async def flushes_of_settling() -> int:
        before = len(recorder.seen)
        await store.settle()
        return len(recorder.seen) - before

    assert await flushes_of_settling() == 1, "changes of an earlier process"
    assert await flushes_of_settling() == 0
    await store.store_all([small("x")])
    await store.publish(store_path("simple", "page"), BODY)
    assert await flushes_of_settling() == 0
    await put(store, PATH, BODY)
    assert await flushes_of_settling() == 1
    await store.delete(PATH)
    assert await flushes_of_settling() == 1
    assert await flushes_of_settling() == 0


async def test_a_failed_settle_is_repeated(store: FilesystemStore, tmp_path: Path) -> None:
    recorder = record_flushes(store, tmp_path / "web", 0)
    with pytest.raises(StoreDenied):
        await store.settle()
    await store.settle()
    assert len(recorder.seen) == 2


async def test_a_cancelled_waiter_returns_at_once_and_others_are_served(gate: Gate, sync: GroupSync) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sync.flush)
        await gate.has_started()
        with trio.move_on_after(0.01) as scope:
            await sync.flush()
        assert scope.cancelled_caught
        nursery.start_soon(sync.flush)
        await trio.testing.wait_all_tasks_blocked()
        gate.go.release(2)
    assert sync.flushes == 2


async def test_a_running_flush_is_never_abandoned(gate: Gate, sync: GroupSync) -> None:
    returned = []

    async def flush() -> None:
        await sync.flush()
        returned.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flush)
        await gate.has_started()
        nursery.cancel_scope.cancel()
        gate.go.release()
    assert returned == [True]


async def test_a_failed_flush_is_a_store_error(gate: Gate, store: FilesystemStore) -> None:
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
