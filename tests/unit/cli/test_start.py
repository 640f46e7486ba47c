"""A command loads only the modules that it uses, since start-up dominates the time of short commands."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

from mirrorsync.state.connection import connect
from mirrorsync.state.mirror_row import init_mirror
from mirrorsync.state.schema import migrate

_HEAVY: Final = {
    "trio",
    "httpx",
    "httptools",
    "hypercorn",
    "ijson",
    "jinja2",
    "pip",
    "prometheus_client",
    "rich.progress",
    "sqlite_utils",
    "ssl",
    "starlette",
    "mirrorsync.app.one_shot",
    "mirrorsync.sync",
    "mirrorsync.upstream",
    "mirrorsync.web",
}
_NOT_OF_A_PASS: Final = {
    "asyncio",
    "certifi",
    "httpcore",
    "httpx",
    "hypercorn",
    "prometheus_client",
    "pygments",
    "rich",
    "sqlite_utils",
    "starlette",
    "mirrorsync.observe.metrics",
    "mirrorsync.status.gauges",
    "mirrorsync.app.daemon",
    "mirrorsync.sync.daemon_loop",
    "mirrorsync.web.server",
}
"""Modules for terminals, daemons, monitoring, proxies and TLS. Modules that handle errors are loaded at the start."""
_RUN: Final = """
import sys
from mirrorsync.cli.main import main
try:
    main()
except SystemExit as ended:
    code = ended.code or 0
sys.stderr.write("\\n".join(sys.modules))
sys.exit(code)
"""


def loaded_by(*words: str, code: int = 0) -> set[str]:
    """Return the modules that a command has loaded at its end."""
    ended = subprocess.run([sys.executable, "-c", _RUN, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == code, ended.stderr
    return set(ended.stderr.split("\n"))


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """Create a mirror that was never complete, so that `status` exits 2."""
    state = tmp_path / "state" / "mirrorsync.sqlite3"
    state.parent.mkdir()
    connection = connect(state)
    migrate(connection)
    init_mirror(connection, "https://index.test", "", "", tree_has_files=False)
    connection.close()
    path = tmp_path / "mirrorsync.toml"
    path.write_text(f'[mirror]\ndirectory = "{tmp_path}"\ncontact = "test@operator.test"\n')
    return path


def test_version_loads_no_pipeline() -> None:
    assert not _HEAVY & loaded_by("--version")


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["plain", "json"])
def test_status_loads_no_pipeline(form: list[str], configuration: Path) -> None:
    found = loaded_by("status", *form, "--config", str(configuration), code=2)
    assert "mirrorsync.state.report" in found
    assert not _HEAVY & found


def test_project_show_loads_no_pipeline(configuration: Path) -> None:
    assert not _HEAVY & loaded_by("project", "show", "numpy", "--config", str(configuration), code=1)


def test_pass_without_errors_loads_only_what_it_needs(tmp_path: Path, world: World, pypi: PyPI) -> None:
    path = tmp_path / "mirrorsync.toml"
    path.write_text(
        f'[mirror]\ndirectory = "{tmp_path}"\ncontact = "test@operator.test"\n[limits]\nmin-free = "0"\n'
        f'[upstream]\nindex = "{pypi.url}"\nallow-http = true\n'
    )
    world.upload("alpha", "1.0")
    loaded_by("sync", "--config", str(path))
    world.upload("alpha", "2.0")
    found = loaded_by("sync", "--config", str(path))
    assert "alpha-2.0" in (tmp_path / "web" / "simple" / "alpha" / "index.html").read_text()
    assert {"logging", "mirrorsync.observe.log_lines", "mirrorsync.status.page"} <= found
    assert _NOT_OF_A_PASS & found == set()
