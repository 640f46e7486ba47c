"""Run the daemon as a service manager does: start it, restart it when it fails, and observe it from outside."""

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from mirrorsync.errors import ExitCode
from tests.support.process.cli import PROGRAM
from tests.support.process.launch import launch

RESTART_AFTER: Final = 1.0
"""Seconds, like RestartSec=."""
_STOP_WITHIN: Final = 70.0
"""Seconds, like TimeoutStopSec=."""
_KIB: Final = re.compile(r"^(VmRSS|VmHWM|Threads):\s+(\d+)", re.MULTILINE)


class Vitals(msgspec.Struct, frozen=True):
    """Resource use of the process at one moment."""

    process: int
    age: float
    """Seconds since its start."""
    resident: int
    """KiB."""
    peak: int
    """KiB."""
    threads: int
    descriptors: int


class Life(msgspec.Struct):
    """One process, from its start to its end."""

    process: int
    began: float
    """On the monotonic clock."""
    ended: float | None = None
    code: int | None = None
    vitals: list[Vitals] = []
    scrapes: int = 0
    """Number of successful scrapes."""
    was_killed: bool = False
    """Whether the test killed it."""

    @property
    def seconds(self) -> float:
        """Its age, or its lifetime if it has ended."""
        return (time.monotonic() if self.ended is None else self.ended) - self.began


class Daemon:
    """Runs `mirrorsync run`, and starts it again when it fails."""

    def __init__(self, config: Path, log: Path) -> None:
        self.lives: list[Life] = []
        self.log = log
        self._config = config
        self._stopping = threading.Event()
        self._process: subprocess.Popen[str] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep it running while the body runs, then stop it; the exit code of the last life is that of the stop."""
        thread = threading.Thread(target=self._keep_running, name="service manager")
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            if self._process is not None:
                self._process.terminate()
            thread.join(_STOP_WITHIN)
            if thread.is_alive() and self._process is not None:
                self._process.kill()
                thread.join()

    def _keep_running(self) -> None:
        with self.log.open("wb") as log:
            while not self._stopping.is_set():
                command: list[str | Path] = [PROGRAM, "run", "--config", self._config]
                self._process = launch(command, stdout=log, stderr=subprocess.STDOUT)
                life = Life(self._process.pid, time.monotonic())
                self.lives.append(life)
                life.code = self._process.wait()
                life.ended = time.monotonic()
                if life.code == ExitCode.OK:
                    return
                self._stopping.wait(RESTART_AFTER)

    @property
    def living(self) -> Life | None:
        """The running process, None between two processes."""
        life = self.lives[-1] if self.lives else None
        return None if life is None or life.ended is not None else life

    def kill(self) -> bool:
        """Kill the process if monitoring has scraped it; return whether it was killed."""
        life = self.living
        if life is None or self._process is None or not life.scrapes or life.was_killed:
            return False
        life.was_killed = True
        self._process.kill()
        return True

    def observe(self) -> Vitals | None:
        """Record and return the resource use of the process, None if there is none."""
        life = self.living
        if life is None:
            return None
        with suppress(OSError):  # it has just ended
            proc = Path(f"/proc/{life.process}")
            values = {name: int(number) for name, number in _KIB.findall((proc / "status").read_text())}
            if "VmRSS" not in values:  # a zombie
                return None
            vitals = Vitals(
                process=life.process,
                age=life.seconds,
                resident=values["VmRSS"],
                peak=values["VmHWM"],
                threads=values["Threads"],
                descriptors=len(list((proc / "fd").iterdir())),
            )
            life.vitals.append(vitals)
            return vitals
        return None
