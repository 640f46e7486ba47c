from pathlib import Path

import pytest

from tests.mirror import Mirror
from tests.upstream.server import PyPI


@pytest.fixture
def mirror(tmp_path: Path, pypi: PyPI) -> Mirror:
    return Mirror(tmp_path / "mirror", pypi)
