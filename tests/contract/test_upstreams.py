"""All implementations of `Upstream` pass the conformance suite."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import ClassVar, Literal

import pytest
import trio

from mirrorsync.ports import Upstream
from mirrorsync.upstream.build import open_upstream
from mirrorsync.upstream.http.retry import RetryPolicy
from tests.contract.upstream_suite import UpstreamSuite
from tests.support.pypi.server import PyPI


def open_at(pypi: PyPI, feed: Literal["auto", "json"]) -> AbstractAsyncContextManager[Upstream]:
    return open_upstream(
        index=pypi.url,
        feed=feed,
        contact="mirror-admin@example.test",
        connections=trio.CapacityLimiter(2),
        allow_http=True,
        retry_policy=RetryPolicy(attempts=3, seconds=20.0, first_wait=0.01, longest_wait=0.02),
        silence=1.0,
    )


class TestPyPI(UpstreamSuite):
    has_journal: ClassVar[bool] = True

    @pytest.fixture
    async def upstream(self, pypi: PyPI) -> AsyncIterator[Upstream]:
        async with open_at(pypi, "auto") as upstream:
            yield upstream


class TestSimpleIndex(UpstreamSuite):
    has_journal: ClassVar[bool] = False

    @pytest.fixture
    async def upstream(self, pypi: PyPI) -> AsyncIterator[Upstream]:
        async with open_at(pypi, "json") as upstream:
            yield upstream
