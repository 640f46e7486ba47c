"""Paths and permissions of files and directories, and changes by a person at the same time."""

import gc
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trio

from mirrorsync.errors import StoreDenied
from mirrorsync.model.identity import StorePath, store_path
from mirrorsync.model.objects import Small
from mirrorsync.store.filesystem import FilesystemStore
from tests.unit.store.kit import BODY, MIB, PATH, expect, names, put


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o077, 0o022, 0])
async def test_files_are_0644_and_directories_0755_whatever_the_umask(
    mask: int, store: FilesystemStore, tmp_path: Path
) -> None:
    with umask(mask):
        await put(store, PATH, BODY)
        await store.publish(store_path("simple", "sample", "index.html"), BODY)
        for number in range(3):
            beside = [store_path("packages", "aa", f"{number}{end}", "name") for end in ("", "b")]
            await store.store_all([Small(path=path, expect=expect(BODY), body=BODY) for path in beside])
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "web").rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o755}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o644}


async def test_a_partial_file_has_a_short_random_name(store: FilesystemStore, tmp_path: Path) -> None:
    async with store.stage(store_path("packages", "x" * 255), expect(b"x" * 2 * MIB)) as staged:
        await staged.write(b"x" * 2 * MIB)
        (name,) = names(tmp_path / "staging")
        assert len(name) <= 32
        assert int(name, 16)
        assert names(tmp_path / "web") == set()


async def test_a_small_body_makes_no_file_before_its_commit(store: FilesystemStore, tmp_path: Path) -> None:
    async with store.stage(PATH, expect(BODY)) as staged:
        await staged.write(BODY)
        assert names(tmp_path / "staging") == set()


async def test_a_committed_file_cannot_be_written(store: FilesystemStore) -> None:
    async with store.stage(PATH, expect(BODY)) as staged:
        await staged.write(BODY)
        await staged.commit()
        with pytest.raises(trio.ClosedResourceError):
            await staged.write(BODY)
        with pytest.raises(trio.ClosedResourceError):
            await staged.commit()


async def test_delete_removes_empty_directories_except_the_topmost(store: FilesystemStore, tmp_path: Path) -> None:
    neighbour = store_path("packages", "aa", "neighbour")
    await put(store, PATH, BODY)
    await put(store, neighbour, BODY)
    await store.delete(PATH)
    assert names(tmp_path / "web") == {"packages", "packages/aa", "packages/aa/neighbour"}
    await store.delete(neighbour)
    assert names(tmp_path / "web") == {"packages"}


async def test_a_repeated_delete_removes_leftover_empty_directories(store: FilesystemStore, tmp_path: Path) -> None:
    (tmp_path / "web" / PATH).parent.mkdir(parents=True)
    await store.delete(PATH)
    assert names(tmp_path / "web") == {"packages"}


async def test_directories_removed_meanwhile_are_made_again(store: FilesystemStore, tmp_path: Path) -> None:
    for _ in range(2):
        await put(store, PATH, BODY)
        assert (tmp_path / "web" / PATH).read_bytes() == BODY
        shutil.rmtree(tmp_path / "web" / "packages")


class Remover:
    """Removes a directory whenever it is empty, `left` more times."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.left = 0
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(0.0001):
            if self.left:
                with suppress(OSError):
                    self.directory.rmdir()
                    self.left -= 1


async def test_directories_removed_before_the_rename_are_made_again(store: FilesystemStore, tmp_path: Path) -> None:
    page = store_path("packages", "aa", "x")
    remover = Remover((tmp_path / "web" / page).parent)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, remover.run)
        try:
            for _ in range(200):
                remover.left = 5
                await store.publish(page, BODY)
                remover.left = 0
                await store.delete(page)
        finally:
            remover.stop.set()
    assert names(tmp_path / "web") == {"packages"}


async def test_a_missing_web_directory_is_an_error_and_not_made(store: FilesystemStore, tmp_path: Path) -> None:
    await put(store, PATH, BODY)
    shutil.rmtree(tmp_path / "web")
    with pytest.raises(StoreDenied) as caught:
        await put(store, PATH, BODY)
    assert "mounted" in caught.value.hint
    assert not (tmp_path / "web").exists()
    assert names(tmp_path / "staging") == set()
    await store.check()
    await put(store, PATH, BODY)


@pytest.mark.parametrize("operation", ["commit", "publish", "delete"])
async def test_a_directory_in_the_place_of_an_object_is_an_error(
    operation: str, store: FilesystemStore, tmp_path: Path
) -> None:
    (tmp_path / "web" / PATH / "below").mkdir(parents=True)
    with pytest.raises(StoreDenied) as caught:
        await {"commit": put, "publish": publish, "delete": delete}[operation](store, PATH, BODY)
    assert "directory" in caught.value.hint
    assert (tmp_path / "web" / PATH / "below").is_dir()
    assert names(tmp_path / "staging") == set()


async def publish(store: FilesystemStore, path: StorePath, body: bytes) -> None:
    await store.publish(path, body)


async def delete(store: FilesystemStore, path: StorePath, _: bytes) -> None:
    await store.delete(path)


async def test_a_pipe_in_the_place_of_an_object_does_not_block(store: FilesystemStore, tmp_path: Path) -> None:
    (tmp_path / "web" / "packages").mkdir()
    os.mkfifo(tmp_path / "web" / "packages" / "pipe")
    path = store_path("packages", "pipe")
    with trio.fail_after(5):
        with pytest.raises(StoreDenied):
            await anext(aiter(store.read(path)))
        assert await store.stat(path) is None
        assert await store.publish(path, BODY)


async def test_listing_omits_names_that_are_not_store_paths(store: FilesystemStore, tmp_path: Path) -> None:
    await put(store, PATH, BODY)
    (tmp_path / "web" / "packages" / os.fsdecode(b"\xff")).write_bytes(BODY)
    (tmp_path / "web" / "packages" / "a\\b").write_bytes(BODY)
    assert [found.path async for found in store.list(store_path("packages"))] == [PATH]


async def test_an_abandoned_listing_or_read_closes_its_files(store: FilesystemStore) -> None:
    await put(store, PATH, b"x" * 3 * MIB)
    for number in range(600):
        await store.publish(store_path("packages", str(number)), BODY)
    gc.collect()  # the stores of other tests
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a directory of descriptors, not of files
    async for _ in store.list(store_path("packages")):
        break
    async for _ in store.read(PATH):
        break
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - Path.iterdir holds a descriptor open itself


async def test_an_equal_page_is_not_written_at_all(store: FilesystemStore, tmp_path: Path) -> None:
    page = store_path("simple", "sample", "index.html")
    await store.publish(page, BODY)
    before = (tmp_path / "web" / page).stat()
    await store.publish(page, BODY)
    after = (tmp_path / "web" / page).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
