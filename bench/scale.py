"""The state at PyPI's size: 750,000 projects and 16 million files, made by SQL and kept in bench/work/.

There are two: a complete one, and one at the start of a first sync, when every project is due and no file is known.

.venv/bin/python -m bench.scale            the table; making the states takes some minutes and 5 GB
.venv/bin/python -m bench.scale --quick    small: does it still work?
"""

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec
import trio

from bench import measure, upstreams
from bench.ledgers import schema_digest
from mirrorsync.app.mirror_directory import state_path
from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.model.outcome import Mirrored, StoredFile
from mirrorsync.model.page import DistFile, Hashes, ProjectPage
from mirrorsync.state.connection import connect
from mirrorsync.state.ledger import State, open_state
from mirrorsync.state.runs import Totals
from mirrorsync.state.schema import migrate

_ROUNDS: Final = 5
_NEW_FILES: Final = 12
_NUMBERS: Final = "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :count)"
_PROJECTS: Final = f"""
{_NUMBERS}
INSERT INTO project (id, name, display_name, wanted_serial, content_serial, mirrored_serial, page_serial, present,
    status, unmet_since, etag, page_digest)
SELECT n, 'parcel-' || n, 'Parcel-' || n, 10000000 + n, 10000000 + n,
    iif(:owed, NULL, 10000000 + n), iif(:owed, NULL, 10000000 + n), NOT :owed, iif(:owed, NULL, 'active'),
    iif(:owed, 1, NULL), '"' || hex(randomblob(8)) || '"', randomblob(32) FROM number
"""  # noqa: S608 -- constants
# A project's files are next to each other, as after a first sync.
_FILES: Final = f"""
{_NUMBERS}
INSERT INTO file (project_id, place, filename, size, sha256, metadata_sha256, stored_at, metadata_stored_at)
SELECT 1 + (n - 1) * :projects / :count, randomblob(32), 'parcel_' || n || '-1.0.' || n || '-py3-none-any.whl', 50000,
    randomblob(32), iif(n % 2, randomblob(32), NULL), 1700000000.0, iif(n % 2, 1700000000.0, NULL) FROM number
"""  # noqa: S608 -- constants
_CONDEMNED: Final = f"""
{_NUMBERS}
INSERT INTO condemned SELECT randomblob(32), 'old-' || n || '.whl', 50000, 9999999999.0, 'old' FROM number
"""  # noqa: S608 -- constants


class Size(msgspec.Struct, frozen=True):
    projects: int
    files: int
    owed: bool = False
    """Nothing is mirrored yet and every project is due, as in a first sync."""

    @property
    def name(self) -> str:
        return f"scale-{self.projects}-{self.files}-{'owed' if self.owed else 'complete'}"


FULL: Final = (Size(750_000, 16_000_000), Size(750_000, 0, owed=True))
QUICK: Final = (Size(2_000, 40_000), Size(2_000, 0, owed=True))


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    if options.step:
        print(json.dumps(trio.run(_STEPS[options.step], options.state)))
        return
    print(f"{'what':54}{'wall':>11}{'CPU':>11}{'peak RSS':>11}")
    for size in QUICK if options.quick else FULL:
        mirror = make(size, options.work)
        for name, wall, cpu, peak in figures(mirror, options.work, rounds=1 if options.quick else _ROUNDS):
            print(f"{name:54}{wall:>11}{cpu:>11}{peak:>11}", flush=True)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("bench.scale", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes: a smoke test, whose figures mean nothing")
    parser.add_argument("--work", type=Path, default=upstreams.WORK, help="directory that keeps the states")
    parser.add_argument("--step", choices=tuple(_STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--state", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def make(size: Size, work: Path) -> Path:
    """Return a mirror's directory with a state of that size; make it if it is absent."""
    mirror = work / f"{size.name}-{schema_digest()}"
    state = state_path(mirror)
    if not state.exists():
        begun = time.perf_counter()
        state.parent.mkdir(parents=True, exist_ok=True)
        partial = state.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        with closing(connect(partial)) as connection:
            migrate(connection)
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            with _unindexed(connection):
                _fill(connection, size)
        partial.rename(state)
        took = time.perf_counter() - begun
        print(f"made {size.name}: {state.stat().st_size / 1e9:.2f} GB in {took:.0f} s", file=sys.stderr, flush=True)
    return mirror


@contextmanager
def _unindexed(connection: sqlite3.Connection) -> Iterator[None]:
    """Drop indices and triggers and restore them at the end, so that 16 million rows take minutes."""
    found = connection.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
    ).fetchall()
    for row in found:
        connection.execute(f"DROP {row['type']} {row['name']}")
    yield
    for row in found:
        connection.execute(row["sql"])


def _fill(connection: sqlite3.Connection, size: Size) -> None:
    connection.execute(
        "INSERT INTO mirror (id, upstream, selection, content, ingested_serial, upstream_serial, has_journal)"
        " VALUES (1, 'https://index.test', '', '', :last, :last, 1)",
        {"last": 10_000_000 + size.projects},
    )
    connection.execute(_PROJECTS, {"count": size.projects, "owed": size.owed})
    if size.files:
        connection.execute(_FILES, {"count": size.files, "projects": size.projects})
        connection.execute(_CONDEMNED, {"count": size.files // 100})
    counted = {
        "projects": 0 if size.owed else size.projects,
        "files": size.files,
        "bytes": size.files * 50_000,
        "unmet": size.projects if size.owed else 0,
        "waiting": size.projects if size.owed else 0,
        "condemned": size.files // 100,
    }
    columns = {row["name"] for row in connection.execute("PRAGMA table_info(mirror)")}
    for column in columns & set(counted):
        connection.execute(f"UPDATE mirror SET {column} = {counted[column]}")  # noqa: S608 -- constants
    now = time.time()
    connection.execute(
        "UPDATE mirror SET audit_position = 'parcel-5', audit_stepped_at = ?, audit_began_at = ?, list_read_at = ?",
        (now, now, now),
    )


def figures(mirror: Path, work: Path, *, rounds: int) -> Iterator[tuple[str, str, str, str]]:
    """Yield the table's rows: step, wall and CPU milliseconds, peak memory of its process."""
    with tempfile.TemporaryDirectory(prefix="scale-", dir=work) as scratch:
        log = Path(scratch) / "log"
        for step in _STEPS:
            words = [sys.executable, "-m", "bench.scale", "--step", step, "--state", str(state_path(mirror))]
            figure = measure.run(measure.Command(words, directory=Path(__file__).parent.parent), log)
            for what, (wall, cpu) in json.loads(log.read_text().splitlines()[-1]).items():
                yield f"{what}, {mirror.name.split('-')[3]}", _ms(wall), _ms(cpu), _mib(figure.peak)
        configuration = Path(scratch) / "mirrorsync.toml"
        configuration.write_text(f'[mirror]\ndirectory = "{mirror}"\ncontact = "bench@operator.test"\n')
        program = str(Path(sys.executable).with_name("mirrorsync"))
        for words in (["status"], ["status", "--json"]):
            wall, cpu, peak = _process([program, *words, "--config", str(configuration)], rounds)
            yield f"mirrorsync {' '.join(words)}, {mirror.name.split('-')[3]}", _ms(wall), _ms(cpu), _mib(peak)


def _process(words: list[str], rounds: int) -> tuple[float, float, int]:
    """Return wall and CPU seconds and memory of the fastest run; `status` exits 1 or 2 for a mirror in trouble."""
    found = []
    for _ in range(rounds):
        begun = time.perf_counter()
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in {0, 1, 2}:
            raise measure.Failed(f"{' '.join(words)} exited with {process.returncode}")
        found.append((time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024))
    return min(found)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


Timed = dict[str, tuple[float, float]]


async def _timed(found: Timed, what: str, work: Callable[[], Awaitable[object]]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    found[what] = time.perf_counter() - wall, time.process_time() - cpu


async def _report(path: Path) -> Timed:
    found: Timed = {}

    async def work() -> None:
        async with open_state(path) as state:
            await state.report()

    await _timed(found, "opening the state, and its report", work)
    return found


async def _pass(path: Path) -> Timed:
    found: Timed = {}
    async with open_state(path) as state:
        now = time.time()
        # The audit would do work here, and more of it the longer ago the last run was.
        await state.database.write(
            lambda connection: connection.execute("UPDATE mirror SET audit_stepped_at = ?", (now,))
        )
        steps: dict[str, Callable[[], Awaitable[object]]] = {
            "init_mirror": lambda: state.init_mirror("https://index.test", "", "", tree_has_files=True),
            "step_audit": lambda: state.step_audit(now, 7 * 86400.0),
            "due": lambda: state.due(now, 256),
            "waiting": state.waiting,
            "synced_serial": state.synced_serial,
            "weigh_past_grace": lambda: state.weigh_past_grace(now),
            "log_run": lambda: state.log_run(now, Totals(), now),
        }
        for what, step in steps.items():
            await _timed(found, f"pass: {what}", step)
    whole = sum(wall for wall, _ in found.values()), sum(cpu for _, cpu in found.values())
    return found | {"pass: all of these": whole}


async def _project(path: Path) -> Timed:
    found: Timed = {}
    noise, name = os.urandom(32), ProjectName(f"new-{time.time_ns()}")
    files = [_file(name, number) for number in range(_NEW_FILES)]
    outcome = Mirrored(
        name=name,
        serial=Serial(1),
        page_serial=Serial(1),
        page_digest=noise,
        etag=None,
        status="active",
        stored=tuple(
            StoredFile(
                place=file.place,
                filename=file.filename,
                size=1000,
                file_is_new=True,
                metadata_sha256=file.core_metadata,
            )
            for file in files
        ),
    )
    async with open_state(path) as state:
        await state.name_projects([name])
        page = ProjectPage(name=name, serial=Serial(1), files=tuple(files))
        await _timed(found, f"intend, {_NEW_FILES} new files", lambda: state.intend([page]))
        await _timed(found, f"record, {_NEW_FILES} new files", lambda: state.record([outcome], time.time(), 86400.0))
        await _gone(state, name)
    return found


async def _gone(state: State, name: ProjectName) -> None:
    """Delete the project, so that the kept state is unchanged."""

    def forget(connection: sqlite3.Connection) -> None:
        (number,) = connection.execute("SELECT id FROM project WHERE name = ?", (name,)).fetchone()
        connection.execute("UPDATE project SET present = 0 WHERE id = ?", (number,))
        connection.execute("DELETE FROM file WHERE project_id = ?", (number,))
        connection.execute("DELETE FROM project WHERE id = ?", (number,))

    await state.database.write(forget)


def _file(name: str, number: int) -> DistFile:
    return DistFile(
        filename=f"{name}-{number}.0-py3-none-any.whl",
        place=os.urandom(32),
        url="https://files.test/x",
        size=1000,
        hashes=Hashes(sha256=os.urandom(32)),
        core_metadata=os.urandom(32) if number % 2 else None,
    )


_STEPS: Final[dict[str, Callable[[Path], Awaitable[Timed]]]] = {"report": _report, "pass": _pass, "project": _project}


if __name__ == "__main__":
    main()
