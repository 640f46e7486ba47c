"""All stores pass the conformance suite."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from mirrorsync.model.objects import Small
from mirrorsync.ports import Store
from mirrorsync.store.filesystem import FilesystemStore
from tests.contract.memory_store import MemoryStore
from tests.contract.store_suite import PAGE, PATH, SMALL, StoreSuite, body_at, expect, paths, put


class TestMemoryStore(StoreSuite):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def leftovers(self, store: Store) -> Callable[[], int]:
        assert isinstance(store, MemoryStore)
        return lambda: store.staged

    async def test_power_cut_loses_at_most_what_was_not_settled(self, store: MemoryStore) -> None:
        await put(store, PATH, SMALL)
        await store.settle()
        await put(store, PAGE, SMALL)
        store.lose_power()
        assert await body_at(store, PATH) == SMALL
        assert await store.stat(PAGE) is None

    async def test_power_cut_loses_nothing_that_was_stored_or_published_together(self, store: MemoryStore) -> None:
        await store.store_all([Small(path=PATH, expect=expect(SMALL), body=SMALL)])
        await store.publish_all([(PAGE, SMALL)])
        store.lose_power()
        assert await paths(store) == {PATH, PAGE}


class TestFilesystemStore(StoreSuite):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> FilesystemStore:
        store = FilesystemStore(tmp_path / "web", tmp_path / "staging", disk=trio.CapacityLimiter(4), min_free=0)
        await store.check()
        return store

    @pytest.fixture
    def leftovers(self, store: Store, tmp_path: Path) -> Callable[[], int]:
        assert isinstance(store, FilesystemStore)
        return lambda: len(list((tmp_path / "staging").iterdir()))
