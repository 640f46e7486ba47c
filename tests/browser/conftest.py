"""What the tests in a browser need from outside: Chromium (Debian's package) and axe-core (npm's)."""

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import Chromium, chromium

AXE = "axe-core@4.14.1"
_PATIENCE = 60
"""Seconds for a registry."""


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: scripts/system-packages")
    with chromium(program, tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture(scope="session")
def axe() -> str:
    """Return axe-core's source, which npm fetches once from the registry that this machine is set up with."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mirrorsync-tests"
    source = cache / f"{AXE}.min.js"
    if not source.exists():
        fetch_axe(source)
    return source.read_text(encoding="utf-8")


def fetch_axe(source: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("axe-core is not here, and npm, which would fetch it, is not installed")
    with tempfile.TemporaryDirectory() as scratch:
        command = [npm, "pack", AXE, "--silent", "--pack-destination", scratch]
        try:
            done = subprocess.run(command, cwd=scratch, capture_output=True, timeout=_PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm did not get {AXE} in {_PATIENCE} s")
        packed = next(Path(scratch).glob("*.tgz"), None)
        if done.returncode or packed is None:
            pytest.skip(f"npm cannot get {AXE}: {done.stderr.decode(errors='replace')[-300:]}")
        with tarfile.open(packed) as archive:
            member = archive.extractfile("package/axe.min.js")
            assert member is not None
            body = member.read()
    source.parent.mkdir(parents=True, exist_ok=True)
    written = source.with_suffix(f".{os.getpid()}")
    written.write_bytes(body)
    written.replace(source)  # another worker may be doing the same
