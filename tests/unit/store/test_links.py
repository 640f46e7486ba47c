"""The store follows no symbolic link that is planted in its tree."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mirrorsync.errors import MirrorsyncError, StoreDenied
from mirrorsync.model.identity import StorePath, store_path
from mirrorsync.model.objects import Small
from mirrorsync.store.filesystem import FilesystemStore
from tests.unit.store.kit import BODY, expect, make_store, names, put

INSIDE = store_path("packages", "aa", "victim")


async def read(store: FilesystemStore, path: StorePath) -> None:
    async for _ in store.read(path):
        pass


async def store_it(store: FilesystemStore, path: StorePath) -> None:
    """Store an object between two others whose paths sort before and after its own."""
    paths = [store_path("aa", "first"), path, store_path("zz", "last")]
    results = await store.store_all([Small(path=each, expect=expect(BODY), body=BODY) for each in paths])
    assert (results[0], results[2]) == (len(BODY), len(BODY))
    if isinstance(results[1], MirrorsyncError):
        raise results[1]


OPERATIONS: dict[str, Callable[[FilesystemStore, StorePath], Awaitable[object]]] = {
    "commit": lambda store, path: put(store, path, BODY),
    "publish": lambda store, path: store.publish(path, BODY),
    "store all": store_it,
    "stat": lambda store, path: store.stat(path),
    "read": read,
    "delete": lambda store, path: store.delete(path),
}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory beside the tree, with one file in it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_bytes(b"precious")
    return outside


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("depth", [1, 2])
async def test_a_linked_directory_is_not_followed(
    operation: str, depth: int, store: FilesystemStore, tmp_path: Path, outside: Path
) -> None:
    link = (tmp_path / "web").joinpath(*("packages", "aa")[:depth])
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside)
    with pytest.raises(StoreDenied) as caught:
        await OPERATIONS[operation](store, INSIDE)
    assert "/".join(("packages", "aa")[:depth]) in caught.value.why
    assert "symbolic link" in caught.value.hint
    assert names(outside) == {"victim"}
    assert (outside / "victim").read_bytes() == b"precious"
    assert names(tmp_path / "staging") == set()


@pytest.mark.parametrize("operation", ["commit", "publish", "store all"])
async def test_a_link_in_the_place_of_an_object_is_replaced(
    operation: str, store: FilesystemStore, tmp_path: Path, outside: Path
) -> None:
    link = tmp_path / "web" / INSIDE
    link.parent.mkdir(parents=True)
    link.symlink_to(outside / "victim")
    (outside / "victim").write_bytes(BODY)
    await OPERATIONS[operation](store, INSIDE)
    assert not link.is_symlink()
    assert link.read_bytes() == BODY
    assert (outside / "victim").read_bytes() == BODY


async def test_a_link_counts_as_absent_and_delete_keeps_its_target(
    store: FilesystemStore, tmp_path: Path, outside: Path
) -> None:
    link = tmp_path / "web" / INSIDE
    link.parent.mkdir(parents=True)
    link.symlink_to(outside / "victim")
    assert await store.stat(INSIDE) is None
    with pytest.raises(StoreDenied):
        await read(store, INSIDE)
    assert [found async for found in store.list(store_path())] == []
    await store.delete(INSIDE)
    assert names(tmp_path / "web") == {"packages"}
    assert names(outside) == {"victim"}


async def test_a_listing_does_not_walk_into_links(store: FilesystemStore, tmp_path: Path, outside: Path) -> None:
    await put(store, store_path("packages", "aa", "ours"), BODY)
    (tmp_path / "web" / "packages" / "bb").symlink_to(outside)
    (tmp_path / "web" / "packages" / "up").symlink_to(tmp_path)
    assert [found.path async for found in store.list(store_path("packages"))] == ["packages/aa/ours"]


@pytest.mark.parametrize("place", ["web", "staging", "web/simple", "web/packages"])
async def test_check_refuses_a_linked_directory(place: str, tmp_path: Path, outside: Path) -> None:
    link = tmp_path / place
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside)
    with pytest.raises(StoreDenied, match="symbolic link") as caught:
        await make_store(tmp_path).check()
    assert place in caught.value.what
    assert names(outside) == {"victim"}


async def test_a_web_directory_that_became_a_link_is_not_followed(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "staging").mkdir()
    (tmp_path / "web").symlink_to(outside)
    store = make_store(tmp_path)
    with pytest.raises(StoreDenied):
        await put(store, store_path("victim"), BODY)
    assert (outside / "victim").read_bytes() == b"precious"
