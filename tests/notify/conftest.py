from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.notify.standin import StandIn, standing_in


@pytest.fixture
def standin() -> Iterator[StandIn]:
    with standing_in() as standin:
        yield standin


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("hush-hush-7\n")
    return path
