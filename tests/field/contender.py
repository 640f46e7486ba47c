"""A mirror program as its operator sees it: commands, a directory, and the tree that is served from it."""

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
    """What the operator wants; each program configures it in its own way."""

    only: Sequence[str] = ()
    """Projects to mirror; empty: all."""
    without: Sequence[str] = ()
    unknown_key: bool = False
    """True: the configuration has a key that the program does not know."""
    by_list: bool = False
    """True: follow the list of all projects, where the program has the choice."""
    bare: bool = False
    """True: only the program's defaults."""
    no_grace: bool = False
    """True: remove unreferenced files at once, where the program has the choice."""


class Contender(ABC):
    """One program with a mirror of `index`; it may write only below `home`/mirror."""

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
        """Remove the files that no page references any more."""

    @abstractmethod
    def damage(self) -> None:
        """Truncate the program's state to half its size."""

    @abstractmethod
    def forget(self) -> None:
        """Remove the program's state; the served tree stays."""

    def follower(self, served: str, wishes: Wishes) -> "Contender":
        """Return a mirror by the same program whose upstream is this mirror, served at the URL `served`."""
        return type(self)(self.home / "follower", served, wishes)

    def sync(self) -> Result:
        """Make one pass."""
        return finish(self.begin())

    def sync_with_retries(self) -> Result:
        """Make one pass that retries failed projects without waiting for their back-off."""
        return self.sync()

    def begin(self) -> subprocess.Popen[str]:
        """Start a pass, in a process group of its own."""
        return launch(self.command())

    def peak(self) -> tuple[Result, float]:
        """Make one pass; return its result and its peak resident memory in MiB."""
        result = finish(launch([sys.executable, "-c", _PEAK, *self.command()]))
        measured = re.search(r"peak-kib (\d+)", result.err)
        assert measured is not None, result.said
        return result, int(measured[1]) / 1024

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
    """This project."""

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

    def sync_with_retries(self) -> Result:
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
    """Truncate a file to its first half, as a full disk would leave it."""
    assert path.stat().st_size > 1, path
    os.truncate(path, path.stat().st_size // 2)
