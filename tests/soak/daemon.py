"""The daemon as its service manager has it: started, started again when it dies, watched from outside."""

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
"""Seconds, as RestartSec= would have it."""
_STOP_WITHIN: Final = 70.0
"""Seconds, as TimeoutStopSec= would have it."""
_KIB: Final = re.compile(r"^(VmRSS|VmHWM|Threads):\s+(\d+)", re.MULTILINE)


class Vitals(msgspec.Struct, frozen=True):
    """What the kernel knows of the process at one moment."""

    process: int
    age: float
    """Seconds since it was started."""
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
    """How often it told monitoring its numbers."""
    was_killed: bool = False
    """Whether we ended it: then its end says nothing of the daemon."""

    @property
    def seconds(self) -> float:
        """How long it lived so far."""
        return (time.monotonic() if self.ended is None else self.ended) - self.began


class Daemon:
    """Runs `mirrorsync run`; a process that fails is followed by another one."""

    def __init__(self, config: Path, log: Path) -> None:
        self.lives: list[Life] = []
        self.log = log
        self._config = config
        self._stopping = threading.Event()
        self._process: subprocess.Popen[str] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep it running beside the body; at the end it is asked to stop, and its last code says how it did."""
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
        """The process that runs at the moment."""
        life = self.lives[-1] if self.lives else None
        return None if life is None or life.ended is not None else life

    def kill(self) -> bool:
        """Let the process die without a word, once monitoring has seen it alive; return whether it does."""
        life = self.living
        if life is None or self._process is None or not life.scrapes or life.was_killed:
            return False
        life.was_killed = True
        self._process.kill()
        return True

    def observe(self) -> Vitals | None:
        """Note how the process is, None when there is none at the moment."""
        life = self.living
        if life is None:
            return None
        with suppress(OSError):  # it ended just now
            proc = Path(f"/proc/{life.process}")
            told = {name: int(number) for name, number in _KIB.findall((proc / "status").read_text())}
            if "VmRSS" not in told:  # a zombie
                return None
            vitals = Vitals(
                process=life.process,
                age=life.seconds,
                resident=told["VmRSS"],
                peak=told["VmHWM"],
                threads=told["Threads"],
                descriptors=len(list((proc / "fd").iterdir())),
            )
            life.vitals.append(vitals)
            return vitals
        return None
