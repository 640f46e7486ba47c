"""The command line as an operator uses it: real processes, a configuration file, and their output."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mirrorsync.app.mirror_directory import web_directory
from tests.support.oracle import Folder, Level, Oracle, Terms, broken_links
from tests.support.oracle.instant import unknown_to_state
from tests.support.process.launch import Result, environment, finish, launch, running
from tests.support.pypi.server import PyPI

PROGRAM = Path(sys.executable).parent / "mirrorsync"
_LONGEST = 60.0
"""Seconds that any one command may take."""
_TRACEBACK = re.compile(r"Traceback \(most recent call last\)|^\s+File \"|Exception in |unhandled", re.MULTILINE)
_ESCAPE = "\x1b"


def mirrorsync(*arguments: str, cwd: Path | str = "/", **variables: str) -> Result:
    """Run the command to its end; see `result_of`."""
    return result_of(start(*arguments, cwd=cwd, **variables))


def start(
    *arguments: str | Path, cwd: Path | str = "/", under: Sequence[str] = (), **variables: str
) -> subprocess.Popen[str]:
    """Start the command with its output in pipes; `under` are words before it, such as `prlimit`."""
    return launch([*under, PROGRAM, *arguments], cwd=cwd, env=environment(**variables))


def result_of(process: subprocess.Popen[str]) -> Result:
    """Wait for the end. Raises: AssertionError on a traceback, or on escape codes in a pipe."""
    result = finish(process, _LONGEST)
    assert not _TRACEBACK.search(result.said), result.said
    assert "\N{REPLACEMENT CHARACTER}" not in result.said, "the output is not UTF-8"
    assert _ESCAPE not in result.said, repr(result.said)
    return result


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


class Operator:
    """An operator who mirrors `pypi` into `home`/mirror and uses only commands."""

    def __init__(self, home: Path, pypi: PyPI, **sections: Mapping[str, Any]) -> None:
        self.pypi = pypi
        self.home = home
        self.directory = home / "mirror"
        self.web = web_directory(self.directory)
        self.config = home / "mirrorsync.toml"
        self.directory.mkdir(parents=True)
        self.configure(**sections)

    def configure(self, **sections: Mapping[str, Any]) -> None:
        """Write the configuration: the defaults of the tests, updated by `sections`."""
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

    def does(self, *arguments: str, under: Sequence[str] = ()) -> Result:
        return result_of(self.begins(*arguments, under=under))

    def begins(self, *arguments: str, under: Sequence[str] = ()) -> subprocess.Popen[str]:
        return start(*arguments, "--config", self.config, under=under)

    @contextmanager
    def doing(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run the command while the body runs; it is killed at the end."""
        with running(self.begins(*arguments)) as process:
            yield process

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.does("status", "--json").out)
        return found

    def problems(self, **terms: Any) -> list[str]:
        """Return how the tree differs from upstream; `terms` are Terms' fields."""
        allowed = Terms(shape=self.pypi.shape, extras=True, quarantined_may_be_absent=True, **terms)
        return Oracle(self.web, self.pypi.world, allowed).problems(Level.SETTLED)

    def broken_links(self) -> list[str]:
        return list(broken_links(Folder(self.web)))

    def unknown_objects(self) -> list[str]:
        """Return what stands in the tree without the state mentioning it (I4)."""
        return unknown_to_state(self.directory)

    def unmet(self) -> list[str]:
        """Return the unmet projects; none where there is no state yet."""
        printed = self.does("status", "--json").out
        return [row["name"] for row in json.loads(printed)["unmet"]] if printed else []

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
    return result_of(process)


def snapshot(directory: Path) -> dict[str, tuple[int, int, int]]:
    """Return the mode, size and modification time of each path below `directory`.

    SQLite's shared memory and its empty log are left out, as is the time of their folder: reading creates them.
    """
    found = {}
    for path in directory.rglob("*"):
        info, name = path.lstat(), path.relative_to(directory).as_posix()
        if name.endswith("-shm") or (name.endswith("-wal") and not info.st_size):
            continue
        is_stable = name != "state"  # a folder's size and time depend on its entries
        found[name] = info.st_mode, info.st_size if is_stable else 0, info.st_mtime_ns if is_stable else 0
    return found
