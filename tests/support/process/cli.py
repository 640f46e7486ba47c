"""The command line as its operator has it: real processes, a configuration file, and what they print."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from mirrorsync.app.mirror_directory import web_directory
from tests.support.pypi.checker import check_links, check_tree
from tests.support.pypi.server import PyPI

PROGRAM = Path(sys.executable).parent / "mirrorsync"
_LONGEST = 60.0
"""Seconds that any one command may take."""
_TRACEBACK = re.compile(r"Traceback \(most recent call last\)|^\s+File \"|Exception in |unhandled", re.MULTILINE)
_ESCAPE = "\x1b"


class Result(msgspec.Struct, frozen=True):
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


def environment(**more: str) -> dict[str, str]:
    """Return what a service manager would give: nothing of this shell but what measures coverage."""
    kept = {key: value for key, value in os.environ.items() if key.startswith("COVERAGE_")}
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent", **kept, **more}


def mirrorsync(*arguments: str, cwd: Path | None = None, **variables: str) -> Result:
    """Run the command to its end; it must speak plainly, whatever happened."""
    return ended(start(*arguments, cwd=cwd, **variables))


def start(*arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.Popen[str]:
    """Start the command with its output in pipes."""
    return subprocess.Popen(
        [PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd or "/",
        env=environment(**variables),
    )


def ended(process: subprocess.Popen[str]) -> Result:
    """Wait for the end; fail on a traceback, or on escape codes in a pipe."""
    try:
        out, err = process.communicate(timeout=_LONGEST)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"{process.args!r} did not end in {_LONGEST:g} s; it said: {out}{err}") from None
    assert not _TRACEBACK.search(out + err), out + err
    assert _ESCAPE not in out + err, repr(out + err)
    return Result(process.returncode, out, err)


def on_a_terminal(*arguments: str) -> Result:
    """Run the command under a pseudo-terminal of 100 columns; `out` is all that it drew."""
    process, terminal = pty.fork()
    if not process:
        os.execve(PROGRAM, [str(PROGRAM), *arguments], environment(TERM="xterm-256color", COLUMNS="100"))  # noqa: S606 - a terminal cannot be a pipe
    drawn = b""
    try:
        while select.select([terminal], [], [], _LONGEST)[0]:
            drawn += os.read(terminal, 65536)
    except OSError:  # EIO: the other side is closed
        pass
    finally:
        os.close(terminal)
        _, status = os.waitpid(process, 0)
    return Result(os.waitstatus_to_exitcode(status), drawn.decode(), "")


def soon(holds: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Return as soon as `holds`; fail when that takes longer than `seconds`."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


class Operator:
    """Someone who mirrors `pypi` into `home`/mirror, by commands only."""

    def __init__(self, home: Path, pypi: PyPI, **sections: Mapping[str, Any]) -> None:
        self.pypi = pypi
        self.home = home
        self.directory = home / "mirror"
        self.web = web_directory(self.directory)
        self.config = home / "mirrorsync.toml"
        self.directory.mkdir(parents=True)
        self.configure(**sections)

    def configure(self, **sections: Mapping[str, Any]) -> None:
        """Write the configuration; `sections` are laid over what every test needs."""
        settings: dict[str, dict[str, Any]] = {
            "mirror": {"directory": str(self.directory), "contact": "operator@site.test"},
            "upstream": {"index": self.pypi.url, "allow-http": True, "poll-interval": "500ms"},
            "limits": {"min-free": "0"},
        }
        for name, section in sections.items():
            settings[name] = {**settings.get(name, {}), **section}
        lines = [
            f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in section.items())
            for name, section in settings.items()
        ]
        self.config.write_text("\n".join(lines))

    def does(self, *arguments: str) -> Result:
        return mirrorsync(*arguments, "--config", str(self.config))

    def begins(self, *arguments: str) -> subprocess.Popen[str]:
        return start(*arguments, "--config", str(self.config))

    @contextmanager
    def doing(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run the command beside the test; it does not outlive it."""
        process = self.begins(*arguments)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.does("status", "--json").out)
        return found

    def problems(self, **terms: Any) -> list[str]:
        """Return how the tree differs from the world; files that no page names may wait for their end."""
        return check_tree(self.web, self.pypi.world, shape=self.pypi.shape, allow_condemned=True, **terms)

    def broken_links(self) -> list[str]:
        return check_links(self.web)

    def serves(self, name: str) -> bool:
        return (self.web / "simple" / name / "index.v1_json").exists()

    def stored(self) -> set[str]:
        """Return the file names below packages/."""
        return {path.name for path in (self.web / "packages").glob("*/*/*/*")}

    def staged(self) -> list[str]:
        return [path.name for path in (self.directory / "staging").rglob("*") if path.is_file()]


def terminate(process: subprocess.Popen[str]) -> Result:
    """Send SIGTERM, and wait for the end."""
    process.send_signal(signal.SIGTERM)
    return ended(process)


def snapshot(directory: Path) -> dict[str, tuple[int, int, int]]:
    """Return what stands below `directory`: each path's mode, size and time of change.

    SQLite's shared memory and its empty log are left out, and when their folder changed: reading makes them anew.
    """
    found = {}
    for path in directory.rglob("*"):
        info, name = path.lstat(), path.relative_to(directory).as_posix()
        if name.endswith("-shm") or (name.endswith("-wal") and not info.st_size):
            continue
        its_own = name != "state"  # a folder's size and time are those of its entries
        found[name] = info.st_mode, info.st_size if its_own else 0, info.st_mtime_ns if its_own else 0
    return found
