"""What is counted of requests to a real index on loopback, through the same wiring as a mirror's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from mirrorsync.errors import MirrorsyncError
from mirrorsync.observe.counters import NO_ANSWER, Counters
from mirrorsync.ports import Upstream
from mirrorsync.upstream.build import open_upstream
from mirrorsync.upstream.http.retry import RetryPolicy
from tests.support.pypi.faults import Status, Truncate
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

QUICK = RetryPolicy(attempts=3, first_wait=0.01, longest_wait=0.01)


@asynccontextmanager
async def metered(pypi: PyPI, tally: Counters) -> AsyncIterator[Upstream]:
    async with open_upstream(
        index=pypi.url,
        contact="test@operator.test",
        connections=trio.CapacityLimiter(4),
        allow_http=True,
        patience=QUICK,
        meter=tally,
    ) as upstream:
        yield upstream


def by_code(tally: Counters) -> dict[str, int]:
    return {code: traffic.requests for (_, code), traffic in tally.traffic.items()}


async def test_each_request_is_counted_once_with_the_bytes_of_its_body(world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    tally = Counters()
    async with metered(pypi, tally) as upstream:
        await upstream.last_serial()
    seen = len(pypi.requests)
    assert sum(by_code(tally).values()) == seen == 1
    ((host, code),) = tally.traffic
    assert (host, code) == (pypi.url.removeprefix("http://"), "200")
    assert tally.traffic[host, code].size > 50
    assert tally.durations[host].count == 1
    assert 0 < tally.durations[host].sum < 5


@pytest.mark.parametrize("fault", [Status(503), Status(429)])
async def test_a_refusal_is_counted_by_its_code_and_each_further_attempt_as_a_retry(
    world: World, pypi: PyPI, fault: Status
) -> None:
    world.upload("alpha", "1.0")
    pypi.faults.add(r"/pypi", fault, times=1)
    tally = Counters()
    async with metered(pypi, tally) as upstream:
        await upstream.last_serial()
    assert by_code(tally) == {str(fault.code): 1, "200": 1}
    assert sum(tally.retries.values()) == 1
    assert tally.retries["throttled" if fault.code == 429 else "unreachable"] == 1


async def test_an_upstream_that_is_down_is_counted_as_no_answer(pypi: PyPI) -> None:
    pypi.stop()
    tally = Counters()
    async with metered(pypi, tally) as upstream:
        with pytest.raises(MirrorsyncError):
            await upstream.last_serial()
    assert by_code(tally) == {NO_ANSWER: 3}
    assert sum(tally.retries.values()) == 2


async def test_a_body_that_is_cut_is_counted_as_broken(world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    pypi.faults.add(r"/pypi", Truncate(20), times=1)
    tally = Counters()
    async with metered(pypi, tally) as upstream:
        await upstream.last_serial()
    assert sum(tally.broken.values()) == 1
    assert by_code(tally) == {"200": 2}
