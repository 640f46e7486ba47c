"""`status` on any damaged state, and on a lock that others need."""

import fcntl
import os
import random
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mirrorsync.app.mirror_directory import hold_lock, lock_path
from mirrorsync.cli.status import status
from mirrorsync.state.connection import connect
from mirrorsync.state.runs import Totals, log
from mirrorsync.state.schema import migrate
from mirrorsync.status.host import inspect_host
from tests.unit.state.ledgers import fill

_TRIALS = int(os.environ.get("MIRRORSYNC_DAMAGES", "300"))


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A mirror with a few projects, its configuration beside its state."""
    path = tmp_path / "state" / "mirrorsync.sqlite3"
    path.parent.mkdir()
    with closing(connect(path)) as connection:
        migrate(connection)
        fill(connection, 5, owed=False)
        log(connection, 1.0, Totals(projects=5), 2.0)
        connection.execute("PRAGMA journal_mode = DELETE")  # one file, to be damaged whole
    (tmp_path / "mirrorsync.toml").write_text(
        f'[mirror]\ndirectory = "{tmp_path}"\ncontact = "test@operator.test"\n[limits]\nmin-free = "0"\n'
    )
    return tmp_path


def end_of(mirror: Path) -> int:
    with pytest.raises(SystemExit) as ended:
        status(config=mirror / "mirrorsync.toml")
    assert isinstance(ended.value.code, int)
    return ended.value.code


def damages(whole: bytes, rng: random.Random) -> Iterator[bytes]:
    """Yield the file with some bytes changed, a piece of it lost, or one piece written over another."""
    for _ in range(_TRIALS):
        body = bytearray(whole)
        match rng.randrange(3):
            case 0:
                for _ in range(rng.randrange(1, 50)):
                    body[rng.randrange(len(body))] = rng.randrange(256)
            case 1:
                del body[rng.randrange(len(body)) :]
            case _:
                start, to, size = rng.randrange(len(body)), rng.randrange(len(body)), rng.randrange(1, 5000)
                body[to : to + size] = body[start : start + size]
        yield bytes(body)


def test_status_reports_a_level_for_any_damaged_state(mirror: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = mirror / "state" / "mirrorsync.sqlite3"
    whole = path.read_bytes()
    for trial, body in enumerate(damages(whole, random.Random(_TRIALS))):  # noqa: S311 -- damages, no secret
        path.write_bytes(body)
        for left in ("-wal", "-shm", "-journal"):
            path.with_name(f"{path.name}{left}").unlink(missing_ok=True)
        assert end_of(mirror) in range(4), trial
        assert capsys.readouterr().out.startswith("MIRRORSYNC "), trial


def test_inspecting_the_lock_does_not_block_a_run(tmp_path: Path) -> None:
    lock = lock_path(tmp_path)
    lock.parent.mkdir()
    looking = os.open(lock, os.O_RDONLY | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_SH)
    instant = threading.Timer(0.02, os.close, (looking,))
    instant.start()
    with hold_lock(tmp_path):
        instant.join()


def test_a_held_lock_and_a_free_lock_are_told_apart(tmp_path: Path) -> None:
    assert inspect_host(tmp_path).at_work is False
    with hold_lock(tmp_path):
        assert inspect_host(tmp_path).at_work is True
    assert inspect_host(tmp_path).at_work is False
