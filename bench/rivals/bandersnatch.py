"""bandersnatch as an operator runs it: installed from a package index into a venv, with its best settings."""

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from tests.field.contender import Contender, Wishes, halve
from tests.support.process.launch import Result, finish, launch

_OVER_HTTP = """
import sys
from bandersnatch.main import main
from bandersnatch.master import Master
initialise = Master.__init__
Master.__init__ = lambda self, *values, **named: initialise(self, *values, **{**named, "allow_non_https": True})
sys.exit(main())
"""
"""`verify` refuses plain HTTP whatever the configuration allows, and the simulated PyPI has nothing else."""


class Bandersnatch(Contender):
    """A pass is `bandersnatch mirror`, a clean-up is `bandersnatch verify --delete`.

    `delete_missing_packages` and `cleanup_todo` are on; versions that do not know them ignore them.
    """

    program: ClassVar[Path]

    def choose(self, wishes: Wishes) -> None:
        api_method = "simple" if wishes.by_list and "follower" in self.home.parts else "xmlrpc"
        lines = [
            "[mirror]",
            f"directory = {self.directory}",
            f"master = {self.index}",
            "allow-non-https = true",
            f"json = {'false' if wishes.bare else 'true'}",
            "workers = 3",
            f"api-method = {api_method}",
            "delete_missing_packages = true",
            "cleanup_todo = true",
            *(["worker = 99"] if wishes.unknown_key else []),
            "[plugins]",
            "enabled =",
            *(["    allowlist_project"] if wishes.only else []),
            *(["    blocklist_project"] if wishes.without else []),
            "[allowlist]",
            "packages =",
            *(f"    {name}" for name in wishes.only),
            "[blocklist]",
            "packages =",
            *(f"    {name}" for name in wishes.without),
        ]
        (self.home / "bandersnatch.conf").write_text("\n".join(lines) + "\n")

    def command(self) -> list[str]:
        return self._words("mirror")

    def clean_up(self) -> Result:
        python = str(self.program.with_name("python"))
        return finish(launch([python, "-c", _OVER_HTTP, *self._words("verify", "--delete")[1:]]))

    def damage(self) -> None:
        for path in (self.directory / "status", *(self.directory / "web" / "json").glob("*")):
            halve(path)

    def forget(self) -> None:
        (self.directory / "status").unlink()

    def _words(self, *words: str) -> list[str]:
        return [str(self.program), "--config", str(self.home / "bandersnatch.conf"), *words]


def install(python: str, scratch: Path) -> type[Bandersnatch]:
    """Install the newest bandersnatch that `python` can run into a new venv below `scratch`."""
    venv = scratch / f"bandersnatch-{Path(python).name}-{len(list(scratch.iterdir()))}"
    subprocess.run([python, "-m", "venv", str(venv)], check=True)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "-qq", "bandersnatch"], check=True, stdout=sys.stderr)
    code = "from importlib.metadata import version; print(version('bandersnatch'))"
    version = subprocess.run([pip[0], "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    title = f"bandersnatch {version}"
    sidecars = int(version.split(".")[0]) >= 8
    program = venv / "bin" / "bandersnatch"
    return type("Installed", (Bandersnatch,), {"title": title, "program": program, "sidecars": sidecars})
