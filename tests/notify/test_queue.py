"""The notification queue: no change is delivered before it is public, none is lost, and the queue is bounded."""

from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from mirrorsync.model.identity import Serial, StorePath
from mirrorsync.model.notification import FILES, INDEX
from mirrorsync.model.outcome import Confirmed, Failed, Removed
from mirrorsync.state.condemned import Condemned
from mirrorsync.state.connection import connect
from mirrorsync.state.database import Database, open_database
from mirrorsync.state.ledger import State, open_state
from mirrorsync.state.notification_queue import ROOT, Delivery, report
from mirrorsync.state.schema import _FIRST
from tests.unit.state.ledgers import GRACE, fill, intend, mirrored, name_of, page, raised
from tests.unit.state.test_size import unbounded

A, B = "cache a", "cache b"
NOW = 1000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite3"


@pytest.fixture
async def state(path: Path) -> AsyncIterator[State]:
    async with open_database(path) as database:
        fill(database._connection, 5, owed=False)
    async with open_state(path) as state:
        yield await with_delivered_sinks(state, A, B)


async def with_delivered_sinks(state: State, *sinks: str) -> State:
    """Register the sinks and deliver their first announcement of everything."""
    await state.outbox.set_sinks(sinks)
    for sink in sinks:
        await deliver(state, sink)
    return state


async def due(state: State, sink: str = A, *, most: int = 100, flood: int = 1000) -> Delivery | None:
    return await state.outbox.next_delivery(sink, NOW, most=most, flood=flood)


async def waiting(state: State, sink: str = A) -> Sequence[str]:
    delivery = await due(state, sink)
    return () if delivery is None else delivery.subjects


async def deliver(state: State, sink: str = A) -> Sequence[str]:
    delivery = await due(state, sink)
    if delivery is None:
        return ()
    await state.outbox.delivered(sink, delivery, NOW)
    return delivery.subjects


async def publish(state: State, number: int, serial: int = 50) -> None:
    await state.about_to_publish([(name_of(number), Serial(serial))])
    await state.record([mirrored(number, serial, ())], NOW, GRACE)


def subject(number: int) -> str:
    return f"simple/{name_of(number)}"


async def test_new_sink_gets_an_announcement_of_all_pages(path: Path) -> None:
    async with open_state(path) as state:
        await state.outbox.set_sinks([A])
        assert await due(state) == Delivery(subjects=(), everything=(INDEX,), upto=0, attempts=0)
        await deliver(state)
        assert await due(state) is None
        await state.outbox.set_sinks([A, B])
        assert await due(state, A) is None
        assert (await due(state, B)).everything == (INDEX,)  # type: ignore[union-attr] # or the test fails


async def test_change_is_not_queued_before_it_is_recorded(state: State) -> None:
    await state.about_to_publish([(name_of(1), Serial(50))])
    assert await waiting(state) == ()
    await state.record([mirrored(1, 50, ())], NOW, GRACE)
    assert await waiting(state) == (subject(1),)


async def test_new_project_is_queued_when_it_is_recorded(state: State) -> None:
    await state.raise_wanted([raised(9, 60)], Serial(60))
    intent = await intend(state, 9, page(9, 2), 60)
    assert await waiting(state) == ()
    await state.record([mirrored(9, 60, [need.file for need in intent.needs])], NOW, GRACE)
    assert await waiting(state) == (subject(9),)


async def test_unchanged_page_is_not_queued(state: State) -> None:
    intent = await intend(state, 1, page(1, 3), 50)
    assert intent.needs == ()
    await state.record([mirrored(1, 50, ())], NOW, GRACE)
    await state.record([Confirmed(name=name_of(2), content_serial=Serial(99))], NOW, GRACE)
    assert await waiting(state) == ()


async def test_removal_is_queued(state: State) -> None:
    await state.record([Removed(name=name_of(3), reason="gone", wanted_serial=None)], NOW, GRACE)
    assert await waiting(state) == (subject(3),)


async def test_failure_of_a_new_project_is_not_queued(state: State) -> None:
    await state.raise_wanted([raised(9, 60)], Serial(60))
    await intend(state, 9, page(9, 2), 60)
    failure = Failed(name=name_of(9), error="no", hint="", delay=None)
    await state.record([failure], NOW, GRACE)
    assert await waiting(state) == ()


async def test_failure_after_a_possible_publish_is_queued(state: State) -> None:
    await state.about_to_publish([(name_of(1), Serial(50))])
    await state.record([Failed(name=name_of(1), error="half of it", hint="", delay=None)], NOW, GRACE)
    assert await waiting(state) == (subject(1),)


async def test_replaced_sidecar_is_queued_with_its_page(state: State) -> None:
    old = page(1, 3)
    wheel = next(file for file in old if file.core_metadata is not None)
    other = msgspec.structs.replace(wheel, core_metadata=bytes(32))
    new = [other if file is wheel else file for file in old]
    await intend(state, 1, new, 50)
    await state.about_to_publish([(name_of(1), Serial(50))])
    assert await waiting(state) == ()
    await state.record([mirrored(1, 50, [other])], NOW, GRACE)
    digits = wheel.place.hex()
    sidecar = f"packages/{digits[:2]}/{digits[2:4]}/{digits[4:]}/{wheel.filename}.metadata"
    assert sorted(await waiting(state)) == sorted([subject(1), sidecar])


async def test_root_index_and_deleted_files_are_queued(state: State) -> None:
    await state.outbox.intend_root()
    assert await waiting(state) == ()
    await state.root_published(Serial(5), 2)
    await state.swept([Condemned(place=bytes(32), filename="gone-1.0.whl")])
    assert await waiting(state) == (ROOT, f"packages/00/00/{'00' * 30}/gone-1.0.whl")


async def test_changes_of_a_crashed_run_are_announced_by_the_next(path: Path, state: State) -> None:
    await publish(state, 1)
    await state.about_to_publish([(name_of(2), Serial(50))])
    await state.outbox.intend_root()
    async with open_state(path) as next_run:
        await next_run.outbox.set_sinks([A, B])
        assert sorted(await waiting(next_run, A)) == [ROOT, subject(1), subject(2)]
        assert sorted(await waiting(next_run, B)) == [ROOT, subject(1), subject(2)]
        await deliver(next_run, A)
        await next_run.outbox.set_sinks([A, B])
        assert await waiting(next_run, A) == ()


async def test_repeated_changes_are_queued_once_until_delivered(state: State) -> None:
    for serial in range(50, 60):
        await publish(state, 1, serial)
    await publish(state, 2)
    assert await deliver(state) == (subject(1), subject(2))
    await publish(state, 1, 70)
    assert await waiting(state) == (subject(1),)


async def test_change_during_an_announcement_is_queued_again(state: State) -> None:
    await publish(state, 1)
    delivery = await due(state)
    assert delivery is not None
    await publish(state, 1, 60)
    await state.outbox.delivered(A, delivery, NOW)
    assert await waiting(state) == (subject(1),)


async def test_batch_is_bounded_and_the_rest_follows(state: State) -> None:
    for number in (1, 2, 3):
        await publish(state, number)
    delivery = await due(state, most=2)
    assert delivery is not None
    assert delivery.subjects == (subject(1), subject(2))
    await state.outbox.delivered(A, delivery, NOW)
    assert await waiting(state) == (subject(3),)


async def test_failing_sink_keeps_its_queue_and_others_proceed(state: State) -> None:
    await publish(state, 1)
    await state.outbox.failed(A, "it is down", NOW + 10)
    assert await waiting(state, A) == ()
    assert await deliver(state, B) == (subject(1),)
    await publish(state, 2)
    a, b = (await state.report()).sinks
    assert (a.name, a.waiting, a.attempts, a.last_error, a.next_attempt_at) == (A, 2, 1, "it is down", NOW + 10)
    assert (b.name, b.waiting, b.attempts, b.last_error) == (B, 1, 0, None)
    later = await state.outbox.next_delivery(A, NOW + 10, most=10, flood=1000)
    assert later is not None
    assert (later.subjects, later.attempts) == ((subject(1), subject(2)), 1)


async def test_flood_becomes_one_announcement_of_everything(state: State) -> None:
    for number in (1, 2, 3):
        await publish(state, number)
    await deliver(state, B)
    await publish(state, 4)
    flooded = await due(state, A, flood=3)
    assert flooded is not None
    assert (flooded.subjects, flooded.everything) == ((), (INDEX,))
    await publish(state, 5)
    assert (await due(state, B, flood=3)).subjects == (subject(4), subject(5))  # type: ignore[union-attr] # or it fails
    await state.outbox.delivered(A, flooded, NOW)
    assert await waiting(state, A) == (subject(5),)


async def test_flood_of_deleted_files_announces_all_files(state: State) -> None:
    await state.swept([Condemned(place=bytes([number]) * 32, filename="gone.whl") for number in range(5)])
    assert (await due(state, flood=3)).everything == (FILES,)  # type: ignore[union-attr] # or the test fails
    await publish(state, 1)
    await state.swept([Condemned(place=bytes([number]) * 32, filename="gone.whl") for number in range(5)])
    assert (await due(state, flood=3)).everything == (INDEX, FILES)  # type: ignore[union-attr] # or the test fails


async def test_change_delivered_to_every_sink_is_deleted(path: Path, state: State) -> None:
    for number in (1, 2, 3):
        await publish(state, number)
    await deliver(state, A)
    assert rows(path) == 3
    await deliver(state, B)
    assert rows(path) == 0
    await publish(state, 1, 80)
    assert await waiting(state, A) == await waiting(state, B) == (subject(1),)


async def test_queue_of_a_failing_sink_is_bounded(path: Path, state: State) -> None:
    await state.outbox.failed(A, "it is down", NOW + 1e9)
    for number in range(500):
        await state.swept([Condemned(place=number.to_bytes(32), filename="gone.whl")])
        await due(state, A, flood=20)
        await deliver(state, B)
        assert rows(path) <= 21


async def test_removed_sinks_are_deleted_with_their_queue(path: Path, state: State) -> None:
    await publish(state, 1)
    await deliver(state, B)
    await state.about_to_publish([(name_of(2), Serial(50))])
    await state.outbox.set_sinks([])
    await publish(state, 3)
    assert rows(path) == 0
    assert (await state.report()).sinks == ()
    with closing(connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM change_intended").fetchone()[0] == 0


def rows(path: Path) -> int:
    with closing(connect(path, read_only=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM change").fetchone()[0])


async def use_every_operation(state: State) -> None:
    await state.outbox.set_sinks([A, B])
    await state.raise_wanted([raised(9, 60)], Serial(60))
    intent = await intend(state, 9, page(9, 2), 60)
    await state.record([mirrored(9, 60, [need.file for need in intent.needs])], NOW, GRACE)
    await publish(state, 1)
    await state.record([Failed(name=name_of(2), error="no", hint="", delay=None)], NOW, GRACE)
    await state.outbox.intend_root()
    await state.root_published(Serial(5), 2)
    await state.swept([Condemned(place=bytes(32), filename="gone.whl")])
    await deliver(state, A)
    await state.outbox.failed(B, "no", NOW)
    await due(state, B, flood=1)
    await deliver(state, B)
    await state.report()


async def test_queue_statements_scan_no_table(path: Path) -> None:
    async with open_database(path) as database:
        fill(database._connection, 200, owed=False)
    statements: list[str] = []
    with closing(connect(path)) as connection:
        connection.set_trace_callback(statements.append)
        await use_every_operation(State(Database(connection, path)))
        connection.set_trace_callback(None)
        queries = [each for each in statements if each.lstrip().startswith(("SELECT", "UPDATE", "INSERT", "DELETE"))]
        small = ("sink", "sqlite_s", "change_intended")  # tables of the configuration and of work in progress
        scans = [
            each for each in unbounded(connection, queries) if not each.startswith(tuple(f"SCAN {it}" for it in small))
        ]
        assert len(queries) > 30
        assert scans == []


async def test_without_sinks_the_queue_costs_no_statement(path: Path) -> None:
    async with open_database(path) as database:
        fill(database._connection, 5, owed=False)
        statements: list[str] = []
        state = State(database)
        await state.outbox.set_sinks([])
        commits = database.commits
        database._connection.set_trace_callback(statements.append)
        await publish(state, 1)
        await state.outbox.intend_root()
        await state.outbox.intend_change(name_of(1))
        await state.root_published(Serial(5), 2)
        assert database.commits - commits == 3
        assert [each for each in statements if "change" in each or "sink" in each] == []


async def test_queueing_a_change_costs_no_extra_commit(path: Path) -> None:
    async with open_database(path) as database:
        fill(database._connection, 5, owed=False)
        state = await with_delivered_sinks(State(database), A)
        commits = database.commits
        await publish(state, 1)
        assert database.commits - commits == 2
        assert await waiting(state) == (StorePath(subject(1)),)


def test_database_without_a_queue_has_nothing_waiting(tmp_path: Path) -> None:
    with closing(connect(tmp_path / "old.sqlite3")) as connection:
        connection.executescript(f"{_FIRST} PRAGMA user_version = 1;")
        assert report(connection) == ()
