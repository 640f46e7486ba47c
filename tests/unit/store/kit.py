"""Helpers of the file system store's tests."""

import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from mirrorsync.model.identity import StorePath, store_path
from mirrorsync.model.objects import Expect
from mirrorsync.store.filesystem import FilesystemStore

MIB = 1 << 20
PATH = store_path("packages", "aa", "bb", "cc" * 30, "sample-1.0.tar.gz")
BODY = b"a small body"


def make_store(mirror: Path, *, min_free: int = 0) -> FilesystemStore:
    return FilesystemStore(mirror / "web", mirror / "staging", disk=trio.CapacityLimiter(4), min_free=min_free)


def expect(body: bytes) -> Expect:
    return Expect(size=len(body), sha256=hashlib.sha256(body).digest(), limit=len(body))


async def put(store: FilesystemStore, path: StorePath, body: bytes) -> None:
    async with store.stage(path, expect(body)) as staged:
        await staged.write(body)
        await staged.commit()


def names(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


@contextmanager
def mounted(directory: Path, *arguments: str) -> Iterator[None]:
    """Mount at `directory`; skip the test if that is not permitted."""
    done = subprocess.run(["mount", *arguments, directory], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mount is not permitted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        # Lazily, because the store keeps its directories open until it is collected.
        subprocess.run(["umount", "--lazy", directory], check=True)


def make_read_only(directory: Path) -> None:
    """Remount `directory` read-only, which restricts root too, unlike permissions."""
    subprocess.run(["mount", "-o", "remount,ro", directory], check=True)
