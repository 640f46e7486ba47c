"""Every kind of trouble has the same level and the same reasons wherever the mirror's health is shown."""

import html
import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from mirrorsync.app.listener import respond
from mirrorsync.app.mirror_directory import state_path
from mirrorsync.app.monitoring import Monitor
from mirrorsync.cli.status import status
from mirrorsync.config.load import load
from mirrorsync.observe.metrics import Metrics
from mirrorsync.state.audit import AuditReport
from mirrorsync.state.connection import connect
from mirrorsync.state.report import Growth
from mirrorsync.state.runs import Totals, log
from mirrorsync.state.schema import migrate
from mirrorsync.status import page, tunasync
from mirrorsync.status.document import operator_document, public_document
from mirrorsync.status.gauges import Queue, gauges
from mirrorsync.status.health import Health, Level, ReasonKind, judge
from mirrorsync.status.public import public_texts
from mirrorsync.status.snapshot import Site, Snapshot
from mirrorsync.status.text import all_well, headline, readiness, rows
from tests.unit.state.ledgers import fill
from tests.unit.status.mirrors import DAY, GIB, HOUR, NOW, disk, failing, host, mirror, run, sink, untried

OK, WARNING, CRITICAL, UNKNOWN = Level
IDLE: Final = host(at_work=False)
SECRETS: Final = ("/srv/pypi", "cache.internal", "403 Forbidden", "secret-host", "allow-removals")
"""What the operator reads and the public does not."""
REFUSED: Final = AuditReport(None, 0, None, NOW - 60, "the root list names 3 projects, this mirror serves 5000")


def late(age: float, **facts: Any) -> dict[str, Any]:
    return {"polled_at": NOW - age, "complete_at": NOW - age, **facts}


def many(number: int) -> Iterator[Any]:
    return (failing(f"p-{each}", since=NOW - 2 * DAY) for each in range(number))


TROUBLES: Final[Mapping[str, tuple[Snapshot, Level, tuple[ReasonKind, ...]]]] = {
    "complete": (mirror(), OK, ()),
    "complete, no daemon": (mirror(around=IDLE), OK, ()),
    "recent changes are unmet": (mirror(untried(), waiting_after=NOW - 40), OK, ()),
    "never synced": (mirror(polled_at=None, complete_at=None, projects=0, runs=()), CRITICAL, (ReasonKind.NOT_BEGUN,)),
    "never complete": (mirror(untried(), complete_at=None), CRITICAL, (ReasonKind.INCOMPLETE,)),
    "never complete, upstream is silent": (
        mirror(untried(), complete_at=None, polled_at=NOW - HOUR),
        CRITICAL,
        (ReasonKind.SILENT,),
    ),
    "lag above the warning limit": (mirror(untried(), complete_at=NOW - 2 * HOUR), WARNING, (ReasonKind.BEHIND,)),
    "lag above the critical limit": (mirror(untried(), complete_at=NOW - 2 * DAY), CRITICAL, (ReasonKind.BEHIND,)),
    "upstream is silent for two hours": (mirror(**late(2 * HOUR)), WARNING, (ReasonKind.SILENT,)),
    "upstream is silent for two days": (mirror(**late(2 * DAY)), CRITICAL, (ReasonKind.SILENT,)),
    "no daemon and late": (mirror(around=IDLE, **late(2 * HOUR)), WARNING, (ReasonKind.SILENT,)),
    "a daemon and late": (mirror(untried(), complete_at=NOW - 3 * HOUR), WARNING, (ReasonKind.BEHIND,)),
    "unknown whether a daemon runs, and late": (
        mirror(around=host(at_work=None), **late(2 * HOUR)),
        WARNING,
        (ReasonKind.SILENT,),
    ),
    "a slow poller, two hours after its poll": (
        mirror(site=Site(poll_interval=6 * HOUR), **late(2 * HOUR)),
        OK,
        (),
    ),
    "halted, nothing runs": (
        mirror(around=IDLE, runs=(run("/srv/pypi: no space on secret-host", needs_person=True),)),
        CRITICAL,
        (ReasonKind.HALTED,),
    ),
    "halted, another run is under way": (
        mirror(runs=(run("/srv/pypi: no space on secret-host", needs_person=True),)),
        WARNING,
        (ReasonKind.HALTED,),
    ),
    "ended by upstream": (mirror(around=IDLE, runs=(run("no connection to secret-host"),)), OK, ()),
    "the disk is full": (mirror(around=host(disk(0))), CRITICAL, (ReasonKind.DISK_FULL,)),
    "the disk of the state is full": (
        mirror(around=host(disk(), disk(0, path="/srv/pypi/state"))),
        CRITICAL,
        (ReasonKind.DISK_FULL,),
    ),
    "hardly any inodes": (mirror(around=host(disk(inodes=12))), CRITICAL, (ReasonKind.DISK_FULL,)),
    "less than min-free": (mirror(around=host(disk(19 * GIB))), CRITICAL, (ReasonKind.LOW_ROOM,)),
    "the disk is full within a week": (
        mirror(growth=Growth(DAY, 40 * GIB), bytes=1000 * GIB, around=host(disk(260 * GIB))),
        WARNING,
        (ReasonKind.DISK_FILLING,),
    ),
    "the root list was refused": (mirror(audit=REFUSED), WARNING, (ReasonKind.LIST_REFUSED,)),
    "one project fails": (mirror(failing(), complete_at=NOW - 9 * DAY), WARNING, (ReasonKind.FAILING,)),
    "40 of 5,000 fail, complete a minute ago": (mirror(*many(40)), WARNING, (ReasonKind.FAILING,)),
    "40 of 5,000 fail, complete 25 h ago": (
        mirror(*many(40), complete_at=NOW - 25 * HOUR),
        CRITICAL,
        (ReasonKind.BEHIND, ReasonKind.FAILING),
    ),
    "a page is held back for ten minutes": (
        mirror(failing(since=NOW - 600, stale=True), complete_at=NOW - 600),
        OK,
        (),
    ),
    "a page is held back for two hours": (
        mirror(failing(since=NOW - 2 * HOUR, stale=True), complete_at=NOW - 2 * HOUR),
        WARNING,
        (ReasonKind.HELD_BACK,),
    ),
    "a sink failed three times": (mirror(sinks=(sink(3),)), OK, ()),
    "two sinks fail": (mirror(sinks=(sink(4), sink(9))), WARNING, (ReasonKind.SINK,)),
    "everything at once": (
        mirror(*many(40), complete_at=NOW - 25 * HOUR, audit=REFUSED, sinks=(sink(4),), around=host(disk(0))),
        CRITICAL,
        (ReasonKind.DISK_FULL, ReasonKind.BEHIND, ReasonKind.LIST_REFUSED, ReasonKind.FAILING, ReasonKind.SINK),
    ),
}


@pytest.fixture(params=TROUBLES)
def trouble(request: pytest.FixtureRequest) -> tuple[Snapshot, Health, Level, tuple[ReasonKind, ...]]:
    snapshot, level, kinds = TROUBLES[request.param]
    return snapshot, judge(snapshot), level, kinds


Trouble = tuple[Snapshot, Health, Level, tuple[ReasonKind, ...]]


def test_text_and_exit_code(trouble: Trouble) -> None:
    snapshot, health, level, kinds = trouble
    first = headline(health, all_well(snapshot, health))
    assert first.startswith(f"MIRRORSYNC {level.name} - ")
    assert int(health.level) == int(level)  # what `status` exits with
    assert dict(rows(snapshot, health))["state"] == level.name.lower()
    assert tuple(dict.fromkeys(reason.kind for reason in health.reasons)) == kinds
    assert all(reason.text.replace("|", "/") in first for reason in health.reasons)


def test_both_json_documents(trouble: Trouble) -> None:
    snapshot, health, level, kinds = trouble
    for document in (operator_document(snapshot, health), json.loads(public_document(snapshot, health))):
        assert document["state"] == level.name.lower()
        assert document["reason_kinds"] == list(kinds)
    assert operator_document(snapshot, health)["reasons"] == [reason.text for reason in health.reasons]


def test_the_public_page(trouble: Trouble) -> None:
    snapshot, health, level, kinds = trouble
    body = html.unescape(page.render(snapshot, health, ()).decode())
    texts = public_texts(snapshot, health)
    assert f'<section class="state {level.name.lower()}"' in body
    assert tuple(texts) == kinds
    assert all(f"<p>{text.sentence}</p>" in body for text in texts.values())
    shown = texts[kinds[0]].headline if kinds else "Up to date"
    assert f'<h2 id="state">{shown}</h2>' in body
    assert [text for text in (*texts.values(),) if "{" in f"{text.headline}{text.sentence}"] == []


def test_the_metrics(trouble: Trouble) -> None:
    snapshot, health, level, kinds = trouble
    samples = [sample for family in gauges(snapshot, health, Queue(0, 0)) for sample in family.samples]
    assert [sample.value for sample in samples if sample.name == "mirrorsync_health_level"] == [level]
    found = {sample.labels["kind"] for sample in samples if sample.name == "mirrorsync_health_reason" and sample.value}
    assert found == set(kinds)


def test_readyz(trouble: Trouble) -> None:
    snapshot, health, _, kinds = trouble
    why, first = readiness(snapshot, health).splitlines()
    assert first == headline(health, all_well(snapshot, health))
    is_late = bool({ReasonKind.NOT_BEGUN, ReasonKind.INCOMPLETE, ReasonKind.SILENT, ReasonKind.BEHIND} & set(kinds))
    polls_rarely = snapshot.site.poll_interval > HOUR  # late for fresh-within before it is late for itself
    assert (health.ready, why == "fresh") == (not is_late and not polls_rarely,) * 2


def test_tunasync(trouble: Trouble) -> None:
    snapshot, health, level, kinds = trouble
    (job,) = json.loads(tunasync.document(snapshot, health))
    harmless = not set(kinds) - {ReasonKind.SINK, ReasonKind.LIST_REFUSED, ReasonKind.DISK_FILLING}
    assert (job["status"] == "success") == harmless
    if level is OK:
        assert job["status"] == "success"


def test_nothing_public_names_the_operators_hosts_and_paths(trouble: Trouble) -> None:
    snapshot, health, _, _ = trouble
    public = b"".join(
        (public_document(snapshot, health), page.render(snapshot, health, ()), tunasync.document(snapshot, health))
    ).decode()
    assert [secret for secret in SECRETS if secret in public] == []


# --- a state that cannot be read -----------------------------------------------------------------------------------


@pytest.fixture
def operated(tmp_path: Path) -> Path:
    """A mirror with a few projects, its configuration beside its state."""
    path = state_path(tmp_path)
    path.parent.mkdir()
    (tmp_path / "web" / "simple").mkdir(parents=True)
    with closing(connect(path)) as connection:
        migrate(connection)
        fill(connection, 5, owed=False)
        log(connection, 1.0, Totals(projects=5), 2.0)
    (tmp_path / "mirrorsync.toml").write_text(
        f'[mirror]\ndirectory = "{tmp_path}"\ncontact = "test@operator.test"\n[limits]\nmin-free = "0"\n'
    )
    return tmp_path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("UPDATE mirror SET files = files")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def newer(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    yield


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    for left in ("-wal", "-shm"):
        path.with_name(f"{path.name}{left}").unlink(missing_ok=True)
    path.write_bytes(b"garbage " * 4096)
    yield


@contextmanager
def absent(path: Path) -> Iterator[None]:
    shutil.rmtree(path.parent)
    shutil.rmtree(path.parent.parent / "web")
    yield


@contextmanager
def lost(path: Path) -> Iterator[None]:
    shutil.rmtree(path.parent)
    yield


UNREADABLE: Final[Mapping[str, tuple[Callable[[Path], Any], Level, str]]] = {
    "locked": (locked, UNKNOWN, "is locked by another program"),
    "a newer schema": (newer, UNKNOWN, "has schema 99"),
    "absent": (absent, UNKNOWN, "no mirror yet"),
    "damaged": (damaged, CRITICAL, "is damaged"),
    "lost": (lost, CRITICAL, "is lost"),
}


def said_by_status(config: Path, capsys: pytest.CaptureFixture[str], *, as_json: bool) -> tuple[Any, str]:
    with pytest.raises(SystemExit) as ended:
        status(config=config, as_json=as_json)
    return ended.value.code, capsys.readouterr().out


async def answered(directory: Path, path: str) -> tuple[int, str]:
    """Return what the listener answers of the mirror in `directory`."""
    context: Any = SimpleNamespace(in_flight=(), clock=lambda: NOW)
    monitor = Monitor(load(directory / "mirrorsync.toml"), context, Metrics())
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "method": "GET", "headers": ()}
    await respond(monitor, scope, None, send)  # type: ignore[arg-type]  # a GET has no body to receive
    return sent[0]["status"], sent[1]["body"].decode()


@pytest.mark.parametrize("kind", UNREADABLE)
async def test_an_unreadable_state_has_one_level_and_reason(
    operated: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    trouble, level, what = UNREADABLE[kind]
    with trouble(state_path(operated)):
        code, shown = said_by_status(operated / "mirrorsync.toml", capsys, as_json=False)
        first = shown.splitlines()[0]
        assert code == int(level)
        assert re.fullmatch(f"MIRRORSYNC {level.name} - .*{what}.*", first)
        code, shown = said_by_status(operated / "mirrorsync.toml", capsys, as_json=True)
        document = json.loads(shown)
        assert (code, document["state"], document["reason_kinds"]) == (level, level.name.lower(), ["unreadable"])
        assert await answered(operated, "/readyz") == (503, f"{first}\n")
        refused, body = await answered(operated, "/metrics")
        assert (refused, what in body) == (503, True)


async def test_a_readable_state_is_answered_by_the_listener(operated: Path) -> None:
    code, body = await answered(operated, "/readyz")
    assert (code, body.splitlines()[1][:21]) == (503, "MIRRORSYNC CRITICAL -")
    code, body = await answered(operated, "/metrics")
    assert code == 200
    assert "mirrorsync_health_level 2.0\n" in body
