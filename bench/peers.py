"""Who is measured: mirrorsync, bandersnatch and curl, each with its best fair settings and ten connections."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from bench import nginx
from bench.measure import Command
from bench.recipes import Recipe
from bench.upstreams import Upstream

CONNECTIONS: Final = 10
_HERE: Final = Path(__file__).parent
_ROOT: Final = _HERE.parent
# Not below bench/: the house's own tests read every module there.
_RIVALS: Final = _ROOT / ".venv" / "rivals"


class Home(msgspec.Struct, frozen=True):
    """Where a peer works in one run; all of it is deleted afterwards."""

    directory: Path
    upstream: Upstream
    prefix: Path
    """nginx's own."""

    @property
    def recipe(self) -> Recipe:
        return self.upstream.recipe

    @property
    def mirror(self) -> Path:
        return self.directory / "mirror"

    @property
    def web(self) -> Path:
        """The tree: what a peer makes of `packages/` and `simple/` stands here."""
        return self.mirror / "web"


def configure_mirrorsync(home: Home, *, files: bool = True) -> Path:
    recipe = home.recipe
    trust = f'ca-file = "{nginx.authority(home.prefix)}"' if recipe.tls else "allow-http = true"
    path = home.directory / "mirrorsync.toml"
    home.mirror.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'[mirror]\ndirectory = "{home.mirror}"\ncontact = "bench@operator.test"\n'
        f'[upstream]\nindex = "{recipe.base}"\nconnections = {CONNECTIONS}\n{trust}\n'
        f'[content]\nfiles = {str(files).lower()}\n[limits]\nmin-free = "0"\n'
    )
    return path


def mirrorsync(home: Home, *, files: bool = True) -> Command:
    program = Path(sys.executable).with_name("mirrorsync")
    return Command([str(program), "sync", "--config", str(configure_mirrorsync(home, files=files))])


def undurable(home: Home) -> Command:
    """mirrorsync with its flushes taken out (bench/undurable.py)."""
    configuration = configure_mirrorsync(home)
    return Command([sys.executable, "-m", "bench.undurable", "sync", "--config", str(configuration)], directory=_ROOT)


def profiled(command: Command, table: Path) -> Command:
    """Return `command`, a Python program, run under cProfile: its main thread, where all of trio runs."""
    words = [sys.executable, "-m", "cProfile", "-o", str(table), *command.words]
    return msgspec.structs.replace(command, words=words)


def bandersnatch(home: Home, *, files: bool = True) -> Command:
    """Its own defaults, its log among them, but for: ten workers (the most it takes), no JSON copies, times and
    sizes compared.
    """
    recipe = home.recipe
    home.mirror.mkdir(parents=True, exist_ok=True)
    path = home.directory / "bandersnatch.conf"
    path.write_text(
        f"[mirror]\ndirectory = {home.mirror}\nmaster = {recipe.base}\nallow-non-https = true\njson = false\n"
        f"release-files = {str(files).lower()}\nroot_uri = {'' if files else recipe.base}\nworkers = {CONNECTIONS}\n"
        "hash-index = false\ncompare-method = stat\nstop-on-error = false\ntimeout = 60\nglobal-timeout = 18000\n"
        f"api-method = xmlrpc\nsimple-format = ALL\n"
    )
    trust = {"SSL_CERT_FILE": str(nginx.authority(home.prefix))} if recipe.tls else {}
    return Command([str(_RIVALS / "bin" / "bandersnatch"), "--config", str(path), "mirror"], environment=trust)


def curl(home: Home) -> Command:
    """The same files and sidecars, their addresses known beforehand, nothing checked: a floor."""
    path = home.directory / "urls.conf"
    lines = [f'cacert = "{nginx.authority(home.prefix)}"'] if home.recipe.tls else []
    for upload in home.upstream.files:
        for suffix in ("", ".metadata") if upload.metadata_sha256 else ("",):
            target = home.web / f"{upload.path}{suffix}"
            lines += [f'url = "{home.recipe.base}/{upload.path}{suffix}"', f'output = "{target}"']
    home.directory.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    words = ["curl", "--parallel", "--parallel-max", str(CONNECTIONS), "--create-dirs", "--fail", "--silent"]
    return Command([*words, "--show-error", "--config", str(path)])


def install_rivals() -> None:
    """Make the rivals' own venv, from whatever package index pip is set up for, if it is not there."""
    if (_RIVALS / "bin" / "bandersnatch").exists():
        return
    print("installing bandersnatch …", flush=True)
    # bandersnatch 8, which fetches sidecars too, wants a newer Python than mirrorsync does.
    subprocess.run([os.environ.get("RIVAL_PYTHON", sys.executable), "-m", "venv", str(_RIVALS)], check=True)
    pip = [str(_RIVALS / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "bandersnatch"], check=True)


def versions() -> dict[str, str]:
    """Return each peer's version, as it says it itself; asking also compiles what Python has not compiled yet."""
    asked = {
        "mirrorsync": [str(Path(sys.executable).with_name("mirrorsync")), "--version"],
        "bandersnatch": [str(_RIVALS / "bin" / "bandersnatch"), "--version"],
        "curl": ["curl", "--version"],
    }
    return {name: " ".join(_said(words).split()[:2]) for name, words in asked.items()}


def _said(words: list[str]) -> str:
    try:
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout
    except OSError:
        return "absent"
