"""One process, measured from start to end: wall time, CPU time and its own peak memory."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

_INTERVAL = 0.01
"""Seconds between two reads of the high-water mark. It never falls, so only the last read counts."""


class Command(msgspec.Struct, frozen=True):
    words: Sequence[str]
    environment: Mapping[str, str] = {}
    """Added to this process's own."""
    directory: Path | None = None
    """Its working directory."""
    exits: tuple[int, ...] = (0,)
    """Exit codes that mean success."""


class Figures(msgspec.Struct, frozen=True):
    wall: float
    """Seconds."""
    cpu: float
    """Seconds, user and system, of the process and of its children."""
    peak: int
    """Bytes: VmHWM. (`ru_maxrss` is at least this process's own size, from before the exec.)"""


class Failed(Exception):  # noqa: N818 -- the result of a run, printed and not handled
    """A peer did not do its work."""


def run(command: Command, log: Path) -> Figures:
    """Run `command` to its end, its output going to `log`. Raises: Failed, when it exits with another code."""
    peak = _Peak()
    with log.open("wb") as output:
        begun = time.perf_counter()
        # wait4 returns the resources that the peer used; Popen discards them.
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
    if process.returncode not in command.exits:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise Failed(f"{' '.join(command.words)} exited with {process.returncode}; {log} ends:\n{end}")
    return Figures(wall=wall, cpu=usage.ru_utime + usage.ru_stime, peak=peak.bytes)


class _Peak:
    """Reads a process's high-water mark until stopped."""

    def __init__(self) -> None:
        self.bytes = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._poll)
        self._status = Path()

    def watch(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._stopped.wait(_INTERVAL):
            try:
                text = self._status.read_text()
            except OSError:
                return
            self.bytes = max(self.bytes, _high_water(text))


def _high_water(status: str) -> int:
    lines = [line.split() for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0][1]) * 1024 if lines else 0
