"""The metrics of requests to a real index on loopback, through production's client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from mirrorsync.errors import MirrorsyncError
from mirrorsync.observe.metrics import NO_ANSWER, Metrics
from mirrorsync.ports import Upstream
from mirrorsync.upstream.build import open_upstream
from mirrorsync.upstream.http.retry import RetryPolicy
from tests.support.pypi.faults import Status, Truncate
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World
from tests.unit.observe.metrics_kit import by_label, count

QUICK = RetryPolicy(attempts=3, first_wait=0.01, longest_wait=0.01)


@asynccontextmanager
async def metered(pypi: PyPI, metrics: Metrics) -> AsyncIterator[Upstream]:
    async with open_upstream(
        index=pypi.url,
        contact="test@operator.test",
        connections=trio.CapacityLimiter(4),
        allow_http=True,
        retry_policy=QUICK,
        metrics=metrics,
    ) as upstream:
        yield upstream


def by_code(metrics: Metrics) -> dict[str, float]:
    return by_label(metrics, "upstream_requests_total", "code")


async def test_a_request_is_counted_once_with_its_body(world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    metrics = Metrics()
    async with metered(pypi, metrics) as upstream:
        await upstream.last_serial()
    seen = len(pypi.requests)
    host = pypi.url.removeprefix("http://")
    assert seen == 1
    assert by_label(metrics, "upstream_requests_total", "host") == {host: 1}
    assert by_code(metrics) == {"200": 1}
    assert count(metrics, "upstream_received_bytes_total", host=host, code="200") > 50
    assert count(metrics, "upstream_request_duration_seconds_count", host=host) == 1
    assert 0 < count(metrics, "upstream_request_duration_seconds_sum", host=host) < 5


@pytest.mark.parametrize("fault", [Status(503), Status(429)])
async def test_a_refusal_is_counted_by_its_code_and_as_a_retry(world: World, pypi: PyPI, fault: Status) -> None:
    world.upload("alpha", "1.0")
    pypi.faults.add(r"/pypi", fault, times=1)
    metrics = Metrics()
    async with metered(pypi, metrics) as upstream:
        await upstream.last_serial()
    assert by_code(metrics) == {str(fault.code): 1, "200": 1}
    reason = "throttled" if fault.code == 429 else "unreachable"
    assert by_label(metrics, "upstream_retries_total", "reason") == {reason: 1}


async def test_an_upstream_that_is_down_is_counted_as_no_answer(pypi: PyPI) -> None:
    pypi.stop()
    metrics = Metrics()
    async with metered(pypi, metrics) as upstream:
        with pytest.raises(MirrorsyncError):
            await upstream.last_serial()
    assert by_code(metrics) == {NO_ANSWER: 3}
    assert sum(by_label(metrics, "upstream_retries_total", "reason").values()) == 2


async def test_a_truncated_body_is_counted_as_broken(world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    pypi.faults.add(r"/pypi", Truncate(20), times=1)
    metrics = Metrics()
    async with metered(pypi, metrics) as upstream:
        await upstream.last_serial()
    assert sum(by_label(metrics, "upstream_broken_bodies_total", "host").values()) == 1
    assert by_code(metrics) == {"200": 2}
