"""Fixtures of all tests: an empty world, and a PyPI that serves it."""

from collections.abc import Iterator

import pytest

from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def pypi(world: World) -> Iterator[PyPI]:
    with PyPI(world) as serving:
        yield serving
