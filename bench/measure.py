"""One process, measured whole: wall, CPU, and its own peak of memory."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

_LOOK = 0.01
"""Seconds between two looks at the high-water mark; it only ever rises, so that the last look is what counts."""


class Command(msgspec.Struct, frozen=True):
    words: Sequence[str]
    environment: Mapping[str, str] = {}
    """Beside what this process has."""
    directory: Path | None = None
    """Where it is started."""


class Figures(msgspec.Struct, frozen=True):
    wall: float
    """Seconds."""
    cpu: float
    """Seconds, user and system, of the process and the children it waited for."""
    peak: int
    """Bytes: VmHWM. (`ru_maxrss` would be at least this process's own size, from before the exec.)"""


class Failed(Exception):  # noqa: N818 -- a fact of a run, told and not caught
    """A peer that did not do its work."""


def run(command: Command, log: Path) -> Figures:
    """Run `command` to its end, its words going to `log`. Raises: Failed, when it does not exit 0."""
    peak = _Peak()
    with log.open("wb") as output:
        begun = time.perf_counter()
        # The peer is waited for with wait4, which tells what it used; Popen would throw that away.
        process = subprocess.Popen(
            command.words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **command.environment},
            cwd=command.directory,
        )
        peak.watch(process.pid)
        try:
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - begun
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            peak.stop()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise Failed(f"{' '.join(command.words)} ended with {process.returncode}; {log} ends:\n{end}")
    return Figures(wall=wall, cpu=usage.ru_utime + usage.ru_stime, peak=peak.bytes)


class _Peak:
    """Looks at a process's high-water mark until it is told to stop."""

    def __init__(self) -> None:
        self.bytes = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._status = Path()

    def watch(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stopped.wait(_LOOK):
            try:
                text = self._status.read_text()
            except OSError:
                return
            self.bytes = max(self.bytes, _high_water(text))


def _high_water(status: str) -> int:
    lines = [line.split() for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0][1]) * 1024 if lines else 0
