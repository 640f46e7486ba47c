"""Pages that are published together are replaced in order, up to the first failure."""

from pathlib import Path

import pytest
import trio

from mirrorsync.errors import StoreError
from mirrorsync.model.identity import StorePath
from mirrorsync.store.filesystem import FilesystemStore

BEFORE, BETWEEN, AFTER = (StorePath(f"simple/a/{name}") for name in ("before", "between", "after"))


async def test_after_a_failed_page_none_is_replaced(tmp_path: Path) -> None:
    web, staging = tmp_path / "web", tmp_path / "staging"
    web.mkdir()
    staging.mkdir()
    store = FilesystemStore(web, staging, disk=trio.CapacityLimiter(2), min_free=0)
    await store.publish_all([(BEFORE, b"old"), (AFTER, b"old")])
    (web / BETWEEN / "in the way").mkdir(parents=True)
    with pytest.raises(StoreError):
        await store.publish_all([(BEFORE, b"new"), (BETWEEN, b"new"), (AFTER, b"new")])
    assert (web / BEFORE).read_bytes() == b"new"
    assert (web / AFTER).read_bytes() == b"old"
    assert list(staging.iterdir()) == []
