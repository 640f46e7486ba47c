"""A small mirror of a small index, for one case at a time."""

from pathlib import Path

import pytest
from trio.testing import MockClock

from tests.support.mirror import Mirror
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World


@pytest.fixture
def world(world: World) -> World:
    for name in ("alpha", "beta", "gamma"):
        world.upload(name, "1.0")
        world.upload(name, "1.0", kind="sdist")
    return world


@pytest.fixture
def mirror(tmp_path: Path, pypi: PyPI) -> Mirror:
    return Mirror(tmp_path / "mirror", pypi)


@pytest.fixture
def hurried() -> MockClock:
    """Make retries wait 20 times as fast."""
    return MockClock(rate=20)
