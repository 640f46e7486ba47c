from pathlib import Path

import pytest

from mirrorsync.store.filesystem import FilesystemStore
from tests.unit.store.kit import make_store


@pytest.fixture
async def store(tmp_path: Path) -> FilesystemStore:
    """A checked store whose web/ and staging/ are in `tmp_path`."""
    store = make_store(tmp_path)
    await store.check()
    return store
