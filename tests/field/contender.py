"""A mirror program seen from outside: commands, a directory, and what is served from it."""

import os
import re
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import msgspec

from tests.support.process.cli import PROGRAM
from tests.support.process.launch import Result, finish, first_line, launch, running

_PEAK = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print("peak-kib", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


class Wishes(msgspec.Struct, frozen=True):
    """What the operator wants; each program has its own words for it."""

    only: Sequence[str] = ()
    """Projects to mirror; empty: all."""
    without: Sequence[str] = ()
    unknown_key: bool = False
    """The configuration has a key that the program does not know."""
    by_list: bool = False
    """Follow the list of all projects, where there is a choice."""
    bare: bool = False
    """Nothing but what the program's own defaults are."""
    no_grace: bool = False
    """Files that nothing names go at once, where there is a choice."""


class Contender(ABC):
    """One program with one mirror of `index`, below `home`; all that it may write lies in `home`/mirror."""

    title: ClassVar[str]
    sidecars: ClassVar[bool] = True
    """Whether it has metadata sidecars (PEP 658) at all."""

    def __init__(self, home: Path, index: str, wishes: Wishes | None = None) -> None:
        self.home = home
        self.index = index
        self.directory = home / "mirror"
        self.directory.mkdir(parents=True)
        self.choose(wishes or Wishes())

    @property
    def web(self) -> Path:
        """The document root."""
        return self.directory / "web"

    @abstractmethod
    def choose(self, wishes: Wishes) -> None:
        """Write the configuration."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command of one pass."""

    @abstractmethod
    def clean_up(self) -> Result:
        """Let go of files that nothing names any more."""

    @abstractmethod
    def damage(self) -> None:
        """Cut what the program remembers in half."""

    @abstractmethod
    def forget(self) -> None:
        """Remove what the program remembers; the served tree stays."""

    def follower(self, served: str, wishes: Wishes) -> "Contender":
        """Return another one of the same program, whose upstream is this one's tree at the URL `served`."""
        return type(self)(self.home / "follower", served, wishes)

    def sync(self) -> Result:
        """Make one pass."""
        return finish(self.begin())

    def sync_anew(self) -> Result:
        """Make one pass in which what failed before is tried again, however short ago that was."""
        return self.sync()

    def begin(self) -> subprocess.Popen[str]:
        """Start a pass, in a process group of its own."""
        return launch(self.command())

    def peak(self) -> tuple[Result, float]:
        """Make one pass; return its peak of resident memory in MiB too."""
        told = finish(launch([sys.executable, "-c", _PEAK, *self.command()]))
        measured = re.search(r"peak-kib (\d+)", told.err)
        assert measured is not None, told.said
        return told, int(measured[1]) / 1024

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve the tree (content negotiation, X-PyPI-Last-Serial); yield the index's URL."""
        config = self.home / "serve.toml"
        config.write_text(f'[mirror]\ndirectory = "{self.directory}"\ncontact = "operator@site.test"\n')
        with running(launch([PROGRAM, "serve", "--listen", "127.0.0.1:0", "--config", config])) as process:
            line = first_line(process)
            address = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert address is not None, line
            yield address[0]


class Mirrorsync(Contender):
    """What this project is."""

    title = "mirrorsync"

    def choose(self, wishes: Wishes) -> None:
        feed = "json" if wishes.by_list else "auto"
        settings: dict[str, dict[str, object]] = {
            "mirror": {"directory": str(self.directory), "contact": "operator@site.test"},
            "upstream": {"index": self.index, "allow-http": True, "feed": feed},
            "select": {"projects": wishes.only, "exclude": wishes.without},
            "limits": {"min-free": "0", "removal-grace": "0s" if wishes.no_grace else "1d"},
        }
        if wishes.unknown_key:
            settings["upstream"]["worker"] = 99
        text = "\n".join(
            f"[{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in section.items())
            for name, section in settings.items()
        )
        (self.home / "mirrorsync.toml").write_text(text)

    def command(self) -> list[str]:
        return self._words("sync")

    def sync_anew(self) -> Result:
        status = finish(launch(self._words("status", "--json")))
        for row in msgspec.json.decode(status.out or '{"unmet": []}')["unmet"]:
            finish(launch(self._words("project", "retry", row["name"])))
        return self.sync()

    def clean_up(self) -> Result:
        return self.sync()

    def damage(self) -> None:
        halve(self.directory / "state" / "mirrorsync.sqlite3")

    def forget(self) -> None:
        shutil.rmtree(self.directory / "state")

    def _words(self, *words: str) -> list[str]:
        return [str(PROGRAM), *words, "--config", str(self.home / "mirrorsync.toml")]


def _toml(value: object) -> str:
    return msgspec.json.encode(value).decode()


def halve(path: Path) -> None:
    """Keep the first half of a file, as a disk that was full left it."""
    assert path.stat().st_size > 1, path
    os.truncate(path, path.stat().st_size // 2)
