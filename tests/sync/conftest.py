from pathlib import Path

import pytest

from tests.support.mirror import Mirror
from tests.support.pypi.server import PyPI


@pytest.fixture
def mirror(tmp_path: Path, pypi: PyPI) -> Mirror:
    return Mirror(tmp_path / "mirror", pypi)
