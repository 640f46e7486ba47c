"""External parts of the browser tests: Chromium (a Debian package) and axe-core (an npm package)."""

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
_TIMEOUT = 60
"""Seconds for the download."""


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: scripts/system-packages")
    with chromium(program, tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture(scope="session")
def axe() -> str:
    """Return axe-core's source. npm downloads it once, from the registry that it is configured for."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mirrorsync-tests"
    source = cache / f"{AXE}.min.js"
    if not source.exists():
        fetch_axe(source)
    return source.read_text(encoding="utf-8")


def fetch_axe(source: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("axe-core is not cached, and npm is not installed to download it")
    with tempfile.TemporaryDirectory() as scratch:
        command = [npm, "pack", AXE, "--silent", "--pack-destination", scratch]
        try:
            done = subprocess.run(command, cwd=scratch, capture_output=True, timeout=_TIMEOUT, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm did not download {AXE} within {_TIMEOUT} s")
        packed = next(Path(scratch).glob("*.tgz"), None)
        if done.returncode or packed is None:
            pytest.skip(f"npm cannot download {AXE}: {done.stderr.decode(errors='replace')[-300:]}")
        with tarfile.open(packed) as archive:
            member = archive.extractfile("package/axe.min.js")
            assert member is not None
            body = member.read()
    source.parent.mkdir(parents=True, exist_ok=True)
    written = source.with_suffix(f".{os.getpid()}")
    written.write_bytes(body)
    written.replace(source)  # another worker may do the same
