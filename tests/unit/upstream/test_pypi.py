import itertools
from collections.abc import AsyncIterator
from typing import Final

import pytest
import trio

from mirrorsync.errors import MirrorsyncError, NoChangelog, Throttled, Unreachable
from mirrorsync.model.change import ChangeBatch
from mirrorsync.model.identity import Serial
from mirrorsync.ports import Upstream
from mirrorsync.upstream.build import open_client
from mirrorsync.upstream.http.allowed_urls import AllowedUrls
from mirrorsync.upstream.pypi import PyPIUpstream
from tests.support.pypi.faults import (
    Body,
    Fault,
    Portal,
    RateLimitFault,
    Redirect,
    Stall,
    Status,
    Throttle429,
    Truncate,
    TruncatedXML,
)
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World
from tests.unit.upstream.opening import QUICK, SILENCE, open_at

RPC: Final = "^/pypi$"


@pytest.fixture
async def upstream(pypi: PyPI) -> AsyncIterator[Upstream]:
    async with open_at(pypi.url, silence=SILENCE) as opened:
        yield opened


async def journal_of(upstream: Upstream, since: int = 0) -> list[ChangeBatch]:
    return [batch async for batch in upstream.changes(Serial(since))]


async def test_empty_changelog_has_no_serial_and_no_changes(upstream: Upstream) -> None:
    assert await upstream.last_serial() is None
    assert await journal_of(upstream) == []


async def test_paging_ends_at_an_empty_response(pypi: PyPI, upstream: Upstream, world: World) -> None:
    pypi.page_cap = 10
    for number in range(10):
        world.create(f"project-{number}")
        world.skip_serials(3)
    batches = await journal_of(upstream)
    serials = [change.serial for batch in batches for change in batch.changes]
    assert [batch.upto for batch in batches] == [serials[9], serials[19]]
    assert len(serials) == 20
    assert all(before < after for before, after in itertools.pairwise(serials))
    assert await upstream.last_serial() == serials[-1]
    assert len(pypi.seen(RPC, call="changelog_since_serial")) == 3


async def test_only_rows_above_the_cursor_are_yielded(upstream: Upstream, world: World) -> None:
    world.create("one")
    cursor = world.last_serial or 0
    world.create("two")
    assert {change.name for batch in await journal_of(upstream, cursor) for change in batch.changes} == {"two"}


async def test_a_full_response_of_50_000_rows_is_not_the_last(pypi: PyPI, world: World) -> None:
    for number in range(25_001):
        world.create(f"project-{number}")
    async with open_at(pypi.url, silence=10.0) as upstream:  # the simulated index takes its time
        batches = await journal_of(upstream)
    assert [len(batch.changes) for batch in batches] == [50_000, 2]
    assert len(pypi.seen(RPC, call="changelog_since_serial")) == 3


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Status(404), NoChangelog),
        (Status(405), NoChangelog),
        (Status(501), NoChangelog),
        (Status(400), NoChangelog),
        (Status(503, body=b"<html></html>", media_type="text/html"), NoChangelog),
        (Portal(), NoChangelog),
        (Redirect("/RPC2"), NoChangelog),
        (TruncatedXML(0.7), NoChangelog),
        (Truncate(20), NoChangelog),
        (Stall(20), NoChangelog),
        (Stall(None), NoChangelog),
        (Body(b"<methodResponse></methodResponse>"), NoChangelog),
        (Body(b"<!DOCTYPE x><methodResponse></methodResponse>"), NoChangelog),
        (Truncate(None), Unreachable),
        (RateLimitFault(900), Throttled),
        (RateLimitFault(), Throttled),
        (Throttle429(900), Throttled),
    ],
    ids=range(17),
)
async def test_missing_or_broken_changelog_is_an_error(
    pypi: PyPI, upstream: Upstream, world: World, fault: Fault, error: type[MirrorsyncError]
) -> None:
    world.create("one")
    pypi.faults.add(RPC, fault)
    with pytest.raises(error):
        await journal_of(upstream)
    with pytest.raises(error):
        await upstream.last_serial()


async def test_rate_limit_is_waited_out_plus_a_second(pypi: PyPI, upstream: Upstream, world: World) -> None:
    world.create("one")
    pypi.faults.add(RPC, RateLimitFault(1), times=1)
    started = trio.current_time()
    assert len(await journal_of(upstream)) == 1
    assert trio.current_time() - started >= 2


async def test_batches_before_a_failure_remain_valid(pypi: PyPI, upstream: Upstream, world: World) -> None:
    pypi.page_cap = 2
    world.create("one")
    world.create("two")
    batches = aiter(upstream.changes(Serial(0)))
    assert (await anext(batches)).upto == 2
    pypi.faults.add(RPC, Status(404))
    with pytest.raises(NoChangelog):
        await anext(batches)


@pytest.mark.parametrize("fault", [Status(503), TruncatedXML(0.5), Truncate(10), Truncate(None)], ids=range(4))
async def test_passing_fault_is_hidden_by_a_retry(pypi: PyPI, upstream: Upstream, world: World, fault: Fault) -> None:
    world.create("one")
    pypi.faults.add(RPC, fault, times=2)
    assert len(await journal_of(upstream)) == 1


async def test_server_that_is_down_is_unreachable_not_without_changelog(pypi: PyPI, upstream: Upstream) -> None:
    pypi.stop()
    with pytest.raises(Unreachable):
        await upstream.last_serial()


async def test_calls_are_spaced_by_the_pause(pypi: PyPI, world: World) -> None:
    world.create("one")
    gate = AllowedUrls(
        index_hosts=frozenset({pypi.url.removeprefix("http://")}), file_hosts=frozenset(), allow_http=True
    )
    async with open_client(
        user_agent="test", connections=trio.CapacityLimiter(5), allowed=gate, retry_policy=QUICK
    ) as client:
        upstream = PyPIUpstream(client, base_url=pypi.url, identity="test", pause=0.2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(upstream.last_serial)
            nursery.start_soon(upstream.last_serial)
        await journal_of(upstream)
    times = [request.time for request in pypi.seen(RPC)]
    assert len(times) == 4
    assert all(after - before > 0.1 for before, after in itertools.pairwise(times))


async def test_a_call_is_text_xml(pypi: PyPI, upstream: Upstream) -> None:
    await upstream.last_serial()
    (request,) = pypi.requests
    assert (request.method, request.path) == ("POST", "/pypi")
    assert request.headers["content-type"] == "text/xml"
