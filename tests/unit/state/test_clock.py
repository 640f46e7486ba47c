"""A clock that was ahead and was set back delays nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.state.ledgers import GRACE, name_of, raised

from mirrorsync.model.identity import Serial
from mirrorsync.model.outcome import Failed
from mirrorsync.state.ledger import State, open_state

_NOW = 1_800_000_000.0
_YEAR = 365 * 86_400.0
_DAY = 86_400.0


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[State]:
    async with open_state(tmp_path / "state.sqlite3") as state:
        await state.init_mirror("https://index.test", "all", "all", tree_has_files=False)
        await state.raise_wanted([raised(1, 5)], Serial(5))
        yield state


async def fails(state: State, *, at: float, delay: float) -> None:
    failed = Failed(name=name_of(1), error="no", hint="", delay=delay)
    await state.record([failed], at, GRACE)


async def test_a_retry_scheduled_by_a_clock_a_year_ahead_becomes_due(state: State) -> None:
    await fails(state, at=_NOW + _YEAR, delay=60)
    assert await state.due(_NOW, 10) == []
    await state.clamp_timestamps(_NOW)
    assert [work.name for work in await state.due(_NOW, 10)] == [name_of(1)]


async def test_a_delay_of_a_day_is_kept(state: State) -> None:
    await fails(state, at=_NOW, delay=_DAY)
    await state.clamp_timestamps(_NOW)
    assert await state.due(_NOW + _DAY - 1, 10) == []
    assert await state.due(_NOW + _DAY + 1, 10) != []


async def test_times_of_the_root_list_and_the_audit_are_clamped_to_now(state: State) -> None:
    await state.step_audit(_NOW + _YEAR, 30 * _DAY)
    await state.list_read(_NOW + _YEAR)
    await state.clamp_timestamps(_NOW)
    assert (await state.mirror()).list_read_at == _NOW
    assert (await state.report()).audit.list_read_at == _NOW


async def put_off(state: State, until: float) -> None:
    await state.outbox.set_sinks(["hook"])
    await state.outbox.failed("hook", "it is down", until)


async def is_due(state: State, now: float) -> bool:
    return await state.outbox.next_delivery("hook", now, most=1, flood=10) is not None


async def test_a_delivery_scheduled_by_a_clock_ahead_becomes_due(state: State) -> None:
    await put_off(state, until=_NOW + 2 * 3600)
    assert not await is_due(state, _NOW)
    await state.clamp_timestamps(_NOW)
    assert await is_due(state, _NOW)


async def test_a_sink_that_asks_for_an_hour_gets_it(state: State) -> None:
    await put_off(state, until=_NOW + 3600)
    await state.clamp_timestamps(_NOW)
    assert not await is_due(state, _NOW + 3599)
    assert await is_due(state, _NOW + 3600)


async def test_a_correct_clock_causes_no_write(state: State) -> None:
    await fails(state, at=_NOW, delay=60)
    await state.list_read(_NOW - 1)
    changes = await state.database.read(lambda connection: connection.total_changes)
    await state.clamp_timestamps(_NOW)
    assert await state.database.read(lambda connection: connection.total_changes) == changes
