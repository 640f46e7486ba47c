"""Start processes, wait for what they do, and end them. Nothing here knows mirrorsync."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self

import msgspec

LONGEST = 90.0
"""Seconds that a command may take."""
_TICK = 0.02
_STOPS_WITHIN = 20.0
"""Seconds from SIGTERM until a server has ended."""


class Result(msgspec.Struct, frozen=True):
    """How a command ended, and its output."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


def environment(**more: str) -> dict[str, str]:
    """Return what the units in systemd/ pass on: nothing of this shell but the variables that measure coverage."""
    kept = {key: value for key, value in os.environ.items() if key.startswith("COVERAGE_")}
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent", "MALLOC_ARENA_MAX": "1", **kept, **more}


def launch(
    command: Sequence[str | Path],
    *,
    stdout: int | IO[Any] = subprocess.PIPE,
    stderr: int | IO[Any] | None = subprocess.PIPE,
    cwd: Path | str = "/",
    env: dict[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[str]:
    """Start a command in a process group of its own, without input; by default its output goes into pipes.

    `env` is the whole environment; None: that of `environment`. `stderr` None: this process's own.
    """
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        errors="replace",
        cwd=cwd,
        env=environment() if env is None else env,
        pass_fds=pass_fds,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], seconds: float = LONGEST) -> Result:
    """Wait for the end. Raises: AssertionError, after it was killed, when that takes longer than `seconds`."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        out, err = kill(process)
        raise AssertionError(f"{process.args!r} did not end within {seconds:g} s; output: {out}{err}") from None
    return Result(process.returncode, out or "", err or "")


def first_line(process: subprocess.Popen[str]) -> str:
    """Wait for the first line of its output and return it."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def kill(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Kill the process and its children (kill -9); return the rest of its output."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    out, err = process.communicate()
    return out or "", err or ""


@contextmanager
def running(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Run the process beside the body; it does not outlive it."""
    try:
        yield process
    finally:
        if process.poll() is None:
            kill(process)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@contextmanager
def serving(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a server beside the body, and end it by SIGTERM, or by SIGKILL if it does not obey."""
    with running(process):
        yield process
        process.terminate()
        process.wait(timeout=_STOPS_WITHIN)


def wait_until(holds: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Return as soon as `holds` is true. Raises: AssertionError when that takes longer than `seconds`."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


def wait_for_port(port: int, process: subprocess.Popen[str]) -> None:
    """Return as soon as connections to the port are accepted. Raises: AssertionError if the process ends first."""

    def answers() -> bool:
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        return False

    wait_until(answers, f"{process.args!r} accepts connections")


class Starvation:
    """Measures for how long the machine kept a thread that was ready to run from running.

    On a machine that is not overloaded this is a few milliseconds. Tests of deadlines add it to what they allow.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        """Seconds."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._measure, name="starvation", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _measure(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            time.sleep(_TICK)
            self.longest = max(self.longest, time.monotonic() - began - _TICK)


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
