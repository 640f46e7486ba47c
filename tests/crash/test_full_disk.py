"""Disks that are full, read-only or without inodes: nothing is lost, and a later sync completes the mirror."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from mirrorsync.errors import ExitCode, StoreFull
from mirrorsync.state.database import Database, open_database
from tests.crash.disk import WITHOUT_OVERRIDE, small_disk
from tests.support.oracle.watcher import Watcher
from tests.support.process.cli import Operator, result_of
from tests.support.process.launch import Result, wait_until
from tests.support.pypi.faults import DelayHeaders
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

_LARGE = b"x" * 300_000


def _more(*values: object) -> list[object]:
    """Return parameters for which the test runs only in `make torture`."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


@pytest.fixture
def operator(tmp_path: Path, pypi: PyPI) -> Operator:
    return Operator(tmp_path, pypi)


@contextmanager
def witnessed(operator: Operator) -> Iterator[None]:
    """Check the invariants in the background of the body."""
    watcher = Watcher(operator.web, operator.pypi.world)
    with watcher.watching():
        yield
    watcher.look()
    assert watcher.violations == []
    assert operator.staged() == []
    assert operator.unknown_objects() == []


def refused(result: Result, *words: str) -> None:
    """Assert that the command ended because it cannot write, and that its error message contains `words`."""
    assert result.code == ExitCode.CANNOT_WRITE, result.said
    assert "\nhint: " in f"\n{result.err}", result.err
    assert all(word in result.err for word in words), result.err


def whole(operator: Operator, *names: str) -> None:
    """Assert that a sync completes the mirror, after a sync of `names`, which wait for another attempt."""
    if names:
        assert operator.does("sync", *names).code == ExitCode.OK
    result = operator.does("sync")
    assert result.code == ExitCode.OK, result.said
    assert operator.problems() == []
    assert operator.status()["unmet"] == []


def test_full_disk_ends_a_first_sync_and_more_room_completes_it(operator: Operator, world: World) -> None:
    for number in range(10):
        world.upload(f"project-{number}", "1.0", body=_LARGE)
    with small_disk(operator.directory, "size=2m") as disk:
        with witnessed(operator):
            refused(operator.does("sync"), "hint: free s")
        assert not all(operator.serves(f"project-{number}") for number in range(10))
        shown = operator.does("status")
        assert shown.code == 2, shown.said
        assert disk.remount("size=20m")
        whole(operator, *operator.unmet())


def test_full_disk_stops_a_complete_mirror_which_stays_valid(operator: Operator, world: World) -> None:
    world.upload("alpha", "1.0", body=_LARGE)
    world.upload("beta", "1.0")
    with small_disk(operator.directory, "size=8m") as disk:
        whole(operator)
        ballast = disk.fill(leaving=0)
        world.upload("alpha", "2.0", body=_LARGE)
        world.remove_project("beta")
        with witnessed(operator):
            refused(operator.does("sync"), str(operator.directory))
        assert operator.does("status").code in (0, 1, 2)
        ballast.unlink()
        whole(operator)


@pytest.mark.parametrize("kib", [0, 40, *_more(*range(4, 240, 16))])
def test_full_state_disk_stops_a_first_sync_until_there_is_room(operator: Operator, world: World, kib: int) -> None:
    for number in range(5):
        world.upload(f"project-{number}", "1.0", body=b"x" * 20_000)
    with small_disk(operator.directory, "size=2m") as disk:
        ballast = disk.fill(leaving=kib * 1024)
        with witnessed(operator):
            refused(operator.does("sync"))
        ballast.unlink()
        whole(operator)


def test_too_few_inodes_end_a_first_sync_until_there_are_more(operator: Operator, world: World) -> None:
    for number in range(20):
        world.upload(f"project-{number}", "1.0")
    with small_disk(operator.directory, "size=8m,nr_inodes=70") as disk:
        with witnessed(operator):
            refused(operator.does("sync"), "inodes")
        assert disk.remount("nr_inodes=10000")
        whole(operator)


def test_read_only_disk_ends_the_sync_and_a_later_one_completes(operator: Operator, world: World) -> None:
    world.upload("fast", "1.0")
    world.upload("slow", "1.0")
    operator.pypi.faults.add("/slow-.*whl$", DelayHeaders(2.0), times=1)
    # The state has its own disk here: the kernel cannot make a disk read-only while a file is open for writing.
    with small_disk(operator.directory, "size=8m") as disk, small_disk(operator.directory / "state", "size=8m"):
        with witnessed(operator):
            with operator.doing("sync") as process:
                wait_until(lambda: operator.pypi.seen("/slow-.*whl$"), "the slow file is asked for")
                wait_until(lambda: operator.serves("fast"), "the fast project is served")
                wait_until(lambda: disk.remount("ro"), "the disk is read-only")
                refused(result_of(process), "Read-only file system", "mount it writable again")
            refused(operator.does("sync"), "read-only")
            assert operator.serves("fast")
            assert not operator.serves("slow")
        assert disk.remount("rw")
        whole(operator)


@pytest.mark.parametrize("place", ["web/simple/alpha", "state", *_more("web/simple", "web/packages", "web", "staging")])
def test_unwritable_directory_is_named_and_completed_later(operator: Operator, world: World, place: str) -> None:
    world.upload("alpha", "1.0")
    whole(operator)
    world.upload("alpha", "2.0")
    world.upload("beta", "1.0")
    for log in operator.directory.glob("state/*-[sw]*"):  # empty logs, in which SQLite could continue
        log.unlink()
    (operator.directory / place).chmod(0o555)
    with witnessed(operator):
        refused(operator.does("sync", under=WITHOUT_OVERRIDE), place.rpartition("/")[2])
    (operator.directory / place).chmod(0o755)
    whole(operator)


def test_below_min_free_only_downloads_wait(operator: Operator, world: World) -> None:
    for name in ("alpha", "beta", "gamma"):
        world.upload(name, "1.0")
    with small_disk(operator.directory, "size=20m") as disk:
        operator.configure(limits={"min-free": "10 MiB", "removal-grace": "0s"})
        whole(operator)
        ballast = disk.fill(leaving=5 * 2**20)
        world.upload("alpha", "2.0")
        world.yank("beta", "1.0", "broken")
        world.remove_project("gamma")
        with witnessed(operator):
            result = operator.does("sync")
        assert result.code == ExitCode.UNMET, result.said
        assert all(word in result.err for word in ("space: ", "must stay free (min-free)", "hint: free space")), (
            result.err
        )
        assert "broken" in (operator.web / "simple/beta/index.v1_json").read_text()
        assert operator.stored() == {
            f"{name}-1.0-py3-none-any.whl{end}" for name in ("alpha", "beta") for end in ("", ".metadata")
        }
        assert not operator.serves("gamma")
        assert operator.unmet() == ["alpha"]
        ballast.unlink()
        whole(operator, "alpha")


@pytest.mark.parametrize("files", [20, *_more(13, 14, 15, 17, 24, 28, 32, 40)])
def test_too_few_file_descriptors_leave_a_valid_tree(operator: Operator, world: World, files: int) -> None:
    for number in range(10):
        for version in range(4):
            world.upload(f"project-{number}", f"{version}.0")
    with witnessed(operator):
        result = operator.does("sync", under=("prlimit", f"--nofile={files}:{files}"))
    assert result.code in (ExitCode.OK, ExitCode.UNMET, ExitCode.CANNOT_WRITE, ExitCode.UNAVAILABLE), result.said
    if result.code != ExitCode.OK:
        assert "hint: " in result.err, result.err
    whole(operator, *operator.unmet())


async def test_failed_shared_transaction_fails_every_operation(tmp_path: Path) -> None:
    errors: list[StoreFull] = []

    async def write(database: Database) -> None:
        try:
            await database.write(lambda connection: connection.execute("CREATE TABLE more AS SELECT zeroblob(100000)"))
        except StoreFull as error:
            errors.append(error)

    async with open_database(tmp_path / "state") as database:
        await database.write(lambda connection: connection.execute("PRAGMA max_page_count = 1").fetchone())
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(write, database)
    assert len(errors) == 5
    assert all(error.hint for error in errors)
