"""Checks, refusals and clean-up of `check`; and disks that are full or read-only."""

import logging
import re
from pathlib import Path

import pytest
import trio

from mirrorsync.errors import LowSpace, StoreDenied, StoreFull
from mirrorsync.model.identity import store_path
from mirrorsync.model.objects import Expect
from mirrorsync.store.filesystem import FilesystemStore
from tests.unit.store.kit import BODY, MIB, PATH, expect, make_read_only, make_store, mounted, names, put

EXBIBYTE = 1 << 60


async def test_check_makes_web_and_staging_and_nothing_else(tmp_path: Path) -> None:
    await make_store(tmp_path).check()
    assert names(tmp_path) == {"web", "staging"}
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("web", "staging")] == [0o755, 0o755]


async def test_check_does_not_make_a_missing_mirror_directory(tmp_path: Path) -> None:
    with pytest.raises(StoreDenied, match="the mirror directory must exist") as caught:
        await make_store(tmp_path / "srv").check()
    assert "mkdir -p" in caught.value.hint
    assert names(tmp_path) == set()


async def test_check_empties_staging_and_keeps_served_files(
    store: FilesystemStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await put(store, PATH, BODY)
    for number in range(3):
        (tmp_path / "staging" / f"{number:016x}").write_bytes(b"half")
    with caplog.at_level(logging.INFO):
        await store.check()
    assert names(tmp_path / "staging") == set()
    assert (tmp_path / "web" / PATH).read_bytes() == BODY
    assert "removed 3 partial files" in caplog.text


async def test_a_staging_directory_in_the_served_tree_is_refused(tmp_path: Path) -> None:
    (tmp_path / "web" / "simple").mkdir(parents=True)
    store = make_store(tmp_path)
    store._staging.path = tmp_path / "web" / "staging"
    with pytest.raises(StoreDenied, match="is in the served tree"):
        await store.check()


async def test_a_file_where_web_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "web").write_bytes(BODY)
    with pytest.raises(StoreDenied, match="not a directory"):
        await make_store(tmp_path).check()


async def test_two_file_systems_are_refused(tmp_path: Path) -> None:
    (tmp_path / "staging").mkdir()
    with mounted(tmp_path / "staging", "-t", "tmpfs", "none"):
        with pytest.raises(StoreDenied, match="not on one file system") as caught:
            await make_store(tmp_path).check()
        assert caught.value.hint


async def test_two_mounts_of_one_file_system_are_refused(tmp_path: Path) -> None:
    for name in ("staging", "elsewhere"):
        (tmp_path / name).mkdir()
    with (
        mounted(tmp_path / "staging", "--bind", str(tmp_path / "elsewhere")),
        pytest.raises(StoreDenied, match="not on one file system"),
    ):
        await make_store(tmp_path).check()


async def test_check_and_every_write_report_a_read_only_disk(tmp_path: Path) -> None:
    with mounted(tmp_path, "-t", "tmpfs", "none"):
        store = make_store(tmp_path)
        await store.check()
        await put(store, PATH, BODY)
        make_read_only(tmp_path)
        with pytest.raises(StoreDenied, match="cannot be written") as caught:
            await store.check()
        assert caught.value.hint
        for work in (put(store, PATH, BODY), store.publish(PATH, b"new"), store.delete(PATH)):
            with pytest.raises(StoreDenied, match="Read-only") as caught:
                await work
            assert "writable again" in caught.value.hint
        assert [found.path async for found in store.list(store_path())] == [PATH]


async def test_a_full_disk_leaves_no_partial_file_and_writes_work_later(tmp_path: Path) -> None:
    with mounted(tmp_path, "-t", "tmpfs", "-o", "size=1m", "none"):
        store = make_store(tmp_path)
        await store.check()
        await put(store, PATH, b"x" * (MIB // 2))
        unknown = Expect(size=None, sha256=None)
        async with store.stage(store_path("packages", "more"), unknown) as staged:
            with pytest.raises(StoreFull, match="No space left") as caught:
                await staged.write(b"y" * MIB)
        assert "by itself" in caught.value.hint
        with pytest.raises(StoreFull):
            await store.publish(store_path("simple", "page"), b"y" * MIB)
        assert names(tmp_path / "staging") == set()
        assert [found.path async for found in store.list(store_path())] == [PATH]
        await store.delete(PATH)
        await put(store, store_path("packages", "more"), b"y" * (MIB // 2))


async def test_a_partly_failed_write_cannot_be_committed(tmp_path: Path) -> None:
    with mounted(tmp_path, "-t", "tmpfs", "-o", "size=1m", "none"):
        store = make_store(tmp_path)
        await store.check()
        await put(store, store_path("packages", "ballast"), b"x" * (MIB // 2))
        async with store.stage(PATH, Expect(size=None, sha256=None)) as staged:
            with pytest.raises(StoreFull):
                await staged.write(b"y" * MIB)
            await store.delete(store_path("packages", "ballast"))
            with pytest.raises(trio.ClosedResourceError):
                await staged.commit()
        assert await store.stat(PATH) is None


async def test_below_min_free_only_pages_and_removals_work(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = make_store(tmp_path, min_free=EXBIBYTE)
    await store.check()
    assert "less than min-free (1 EiB)" in caplog.text
    with pytest.raises(LowSpace, match="min-free") as caught:
        await put(store, PATH, BODY)
    assert "1 EiB must stay free" in caught.value.why
    assert await store.publish(PATH, BODY)
    await store.delete(PATH)
    await store.settle()


async def test_low_space_is_never_reported_as_zero(tmp_path: Path) -> None:
    with mounted(tmp_path, "-t", "tmpfs", "-o", "size=8m", "none"):
        store = make_store(tmp_path, min_free=5 * MIB)
        await store.check()
        with pytest.raises(LowSpace) as caught:
            await put(store, PATH, b"x" * (4 * MIB + 512))
    message = f"{caught.value}"
    assert "MiB free, and 4.0 MiB are to be written" in message
    assert "5 MiB must stay free" in message
    assert not re.search(r"(?<![\d.])0 [KMGTPE]?i?B", message)


async def test_reserved_space_is_not_reserved_twice(tmp_path: Path) -> None:
    with mounted(tmp_path, "-t", "tmpfs", "-o", "size=8m", "none"):
        store = make_store(tmp_path, min_free=MIB)
        await store.check()
        body = b"x" * 4 * MIB
        async with store.stage(PATH, expect(body)) as staged:
            with pytest.raises(LowSpace):
                await put(store, store_path("packages", "other"), body)
            await staged.write(body)
            with pytest.raises(LowSpace):
                await put(store, store_path("packages", "other"), body)
            await put(store, store_path("packages", "small"), BODY)
        # Reserved space is released a second after it is written, or when free space is measured.
        await store.free_bytes()
        await put(store, store_path("packages", "other"), body)
