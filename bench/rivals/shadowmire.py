"""shadowmire from a checkout. The address of PyPI is a constant in its code, which is set before it starts."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from tests.field.contender import Contender, Wishes, halve
from tests.support.process.launch import Result, finish, first_line, launch, running

_START = """
import sys
from shadowmire import pypi
from shadowmire.cli import main
pypi.PyPI.host = sys.argv.pop(1)
main()
"""
_SERVE = """
import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
print(f"http://127.0.0.1:{server.server_address[1]}/", flush=True)
server.serve_forever()
"""


class Shadowmire(Contender):
    """A pass is `shadowmire sync` with `sync_packages`, a clean-up is `shadowmire verify`."""

    python: ClassVar[Path]
    _wishes: Wishes

    @property
    def web(self) -> Path:
        return self.directory

    def choose(self, wishes: Wishes) -> None:
        self._wishes = wishes
        lines = ["[options]", "sync_packages = true", *(["worker = 99"] if wishes.unknown_key else [])]
        if "follower" in self.home.parts:
            lines.append(f'shadowmire_upstream = "{self.index}"')
        for key, names in (("include", wishes.only), ("exclude", [".*"] if wishes.only else wishes.without)):
            lines.append(f"{key} = [{', '.join(self._pattern(name) for name in names)}]")
        (self.home / "shadowmire.toml").write_text("\n".join(lines) + "\n")

    def command(self) -> list[str]:
        return self._words("sync")

    def clean_up(self) -> Result:
        return finish(launch(self._words("verify", "--remove-not-in-local", "--compare-size")))

    def damage(self) -> None:
        for path in (self.directory / "local.db", *(self.directory / "json").glob("*")):
            halve(path)

    def forget(self) -> None:
        (self.directory / "local.db").unlink()

    @contextmanager
    def served(self) -> Iterator[str]:
        with running(launch([sys.executable, "-c", _SERVE, str(self.directory)])) as process:
            yield first_line(process)

    def _words(self, *words: str) -> list[str]:
        options = ["--config", str(self.home / "shadowmire.toml"), "--repo", str(self.directory)]
        return [str(self.python), "-c", _START, self.index, *options, *words]

    def _pattern(self, name: str) -> str:
        return f'"{name}"' if name == ".*" else f'"^{re.escape(name)}$"'


def install(checkout: Path, python: str, scratch: Path) -> type[Shadowmire]:
    """Install shadowmire from its checkout into a new venv below `scratch`."""
    venv = scratch / "shadowmire"
    subprocess.run([python, "-m", "venv", str(venv)], check=True)
    program = str(venv / "bin" / "python")
    command = [program, "-m", "pip", "--disable-pip-version-check", "install", "-qq", str(checkout)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    git = ["git", "-C", str(checkout), "log", "-1", "--format=%h"]
    commit = subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
    return type("Installed", (Shadowmire,), {"title": f"shadowmire {commit}", "python": Path(program)})
