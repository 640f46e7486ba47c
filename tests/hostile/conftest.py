from pathlib import Path

import pytest

from tests.hostile.siege import Siege
from tests.support.pypi.server import PyPI


@pytest.fixture
def siege(tmp_path: Path, pypi: PyPI) -> Siege:
    return Siege(tmp_path / "around", pypi)
