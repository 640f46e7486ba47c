"""The order of system calls, as the kernel sees it: data is durable before its name appears."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mirrorsync

PROGRAM = """
import sys
from pathlib import Path
import trio
from mirrorsync.model.objects import Expect
from mirrorsync.model.identity import store_path
from mirrorsync.store.filesystem import FilesystemStore

async def main():
    mirror = Path(sys.argv[1])
    store = FilesystemStore(mirror / "web", mirror / "staging", disk=trio.CapacityLimiter(2), min_free=0)
    await store.check()
    async with store.stage(store_path("packages", "sample"), Expect(size=None, sha256=None)) as staged:
        for _ in range(3):
            await staged.write(b"MARK" * (1 << 18))
        await staged.write(b"MARK of the tail")
        await staged.commit()
    await store.settle()
    await store.publish(store_path("simple", "page"), b"MARK of a page")
    await store.settle()  # nothing is left to flush

trio.run(main)
"""
CALLS = "write,syncfs,rename,renameat,renameat2"


def steps(trace: str) -> list[str]:
    """Return the steps: writes and flush ends by completion, flush starts and renames by start."""
    found = []
    for line in trace.splitlines():
        if '"MARK' in line:
            found.append("write")
        elif "syncfs(" in line:
            found.append("flush begins")
        if ("syncfs(" in line or "syncfs resumed" in line) and "unfinished" not in line:
            found.append("flush ends")
        if "rename" in line and ("sample" in line or "page" in line):
            found.append("name")
    return found


def test_data_is_flushed_before_its_rename_and_renames_by_settle(tmp_path: Path) -> None:
    log = tmp_path / "trace"
    environment = {**os.environ, "PYTHONPATH": str(Path(mirrorsync.__file__).parents[1])}
    traced = ["strace", "-f", "-s", "64", "-e", f"trace={CALLS}", "-o", str(log)]
    if shutil.which("strace") is None or subprocess.run([*traced, "true"], check=False).returncode:
        pytest.skip("strace is missing, or tracing is not permitted here")
    subprocess.run([*traced, sys.executable, "-c", PROGRAM, str(tmp_path)], check=True, env=environment)
    one = ["flush begins", "flush ends", "name", "flush begins", "flush ends"]
    assert steps(log.read_text()) == [*["write"] * 4, *one, "write", *one]
