"""Small disks, and processes with fewer rights."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

WITHOUT_OVERRIDE: Sequence[str] = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
"""Prefix of a command for which permissions apply even to root."""


class SmallDisk:
    """A tmpfs, mounted."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def remount(self, options: str) -> bool:
        """Change its options; return False if the kernel says that it is busy."""
        return _mount("-o", f"remount,{options}", str(self.place)).returncode == 0

    def fill(self, leaving: int) -> Path:
        """Fill the disk with a file except for `leaving` bytes, and return the file."""
        status = os.statvfs(self.place)
        ballast = self.place / "ballast"
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - leaving)
        return ballast


@contextmanager
def small_disk(place: Path, options: str) -> Iterator[SmallDisk]:
    """Mount a tmpfs at `place` with `options`, such as `size=2m`; skip the test where that is not permitted."""
    place.mkdir(parents=True, exist_ok=True)
    done = _mount("-t", "tmpfs", "-o", f"{options},mode=0755", "tmpfs", str(place))
    if done.returncode:
        pytest.skip(f"needs to mount a tmpfs, as root: {done.stderr.strip()}")
    try:
        yield SmallDisk(place)
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def _mount(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
