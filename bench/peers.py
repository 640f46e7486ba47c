"""The measured programs: mirrorsync, bandersnatch and curl, with their best fair settings and ten connections."""

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
ROOT: Final = _HERE.parent
# Not below bench/: the house's own tests read every module there.
_RIVALS: Final = ROOT / ".venv" / "rivals"


class Home(msgspec.Struct, frozen=True):
    """A peer's directories in one run, deleted afterwards."""

    directory: Path
    upstream: Upstream
    prefix: Path
    """nginx's own directory."""
    checkout: Path = ROOT
    """The checkout whose mirrorsync runs: this one, or the one that it is compared with."""

    @property
    def is_ours(self) -> bool:
        """Whether the mirrorsync of this checkout runs."""
        return self.checkout == ROOT

    @property
    def python(self) -> Path:
        """The interpreter that has the checkout's mirrorsync installed."""
        return Path(sys.executable) if self.is_ours else self.checkout / ".venv" / "bin" / "python"

    @property
    def recipe(self) -> Recipe:
        return self.upstream.recipe

    @property
    def mirror(self) -> Path:
        return self.directory / "mirror"

    @property
    def web(self) -> Path:
        """The tree with `packages/` and `simple/`."""
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
    program = home.python.with_name("mirrorsync")
    return Command([str(program), "sync", "--config", str(configure_mirrorsync(home, files=files))])


def status(home: Home) -> Command:
    """`mirrorsync status`, whatever its verdict."""
    program = home.python.with_name("mirrorsync")
    return Command([str(program), "status", "--config", str(configure_mirrorsync(home))], exits=(0, 1, 2))


def undurable(home: Home) -> Command:
    """mirrorsync without its flushes (bench/undurable.py)."""
    configuration = configure_mirrorsync(home)
    return Command([sys.executable, "-m", "bench.undurable", "sync", "--config", str(configuration)], directory=ROOT)


def profiled(command: Command, table: Path) -> Command:
    """Return `command`, a Python program, under cProfile, which sees the main thread: all of trio runs there."""
    words = [sys.executable, "-m", "cProfile", "-o", str(table), *command.words]
    return msgspec.structs.replace(command, words=words)


def bandersnatch(home: Home, *, files: bool = True) -> Command:
    """Its defaults, its log included, except for ten workers (its maximum), no JSON copies, and files compared by
    time and size.
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
    """The same files and sidecars without reading an index or checking a digest: a lower bound."""
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
    """Install bandersnatch into its own venv, from the package index that pip is configured for, unless it is there."""
    if (_RIVALS / "bin" / "bandersnatch").exists():
        return
    python = _rival_python()
    print(f"installing bandersnatch with {python} …", flush=True)
    subprocess.run([python, "-m", "venv", str(_RIVALS)], check=True)
    pip = [str(_RIVALS / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "bandersnatch"], check=True)


def _rival_python() -> str:
    """Return a Python for bandersnatch, whose version 8 needs 3.13: $RIVAL_PYTHON, else a 3.13, else ours."""
    named = os.environ.get("RIVAL_PYTHON")
    pyenv = Path(os.environ.get("PYENVROOT", Path.home() / ".pyenv"))
    candidates = ["python3.13", *map(str, sorted(pyenv.glob("versions/3.13.*/bin/python3.13"), reverse=True))]
    return named or next(filter(_runs, candidates), sys.executable)


def _runs(python: str) -> bool:
    """Return whether `python` starts; a pyenv shim exists for versions that are not selected."""
    try:
        return subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def compile_modules(checkout: Path) -> None:
    """Compile the modules of this checkout and of another one, so that no first run does."""
    for place, python in ((ROOT, sys.executable), (checkout, str(checkout / ".venv" / "bin" / "python"))):
        subprocess.run([python, "-m", "compileall", "-q", str(place / "src")], check=True)


def versions() -> dict[str, str]:
    """Return each peer's version as it reports it. As a side effect Python compiles their modules."""
    commands = {
        "mirrorsync": [str(Path(sys.executable).with_name("mirrorsync")), "--version"],
        "bandersnatch": [str(_RIVALS / "bin" / "bandersnatch"), "--version"],
        "curl": ["curl", "--version"],
    }
    return {name: " ".join(_output(words).split()[:2]) for name, words in commands.items()}


def _output(words: list[str]) -> str:
    try:
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout
    except OSError:
        return "absent"
