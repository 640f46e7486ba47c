"""pip and uv with the tree as their only index."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import uv

from tests.support.process.servers import DOCS, NO_NGINX, Server, nginx, own_server
from tests.support.process.tree import Tree

_BANDERSNATCH_STYLE = r"""
map $http_accept $mirror_suffix {
    default ".html";
    "~*application/vnd\.pypi\.simple\.v1\+json" ".v1_json";
    "~*application/vnd\.pypi\.simple\.v1\+html" ".v1_html";
}
server {
    listen 80;
    root /srv/pypi/web;
    autoindex on;
    charset utf-8;
    location /simple/ {
        index index$mirror_suffix;
        types {
            application/vnd.pypi.simple.v1+json v1_json;
            application/vnd.pypi.simple.v1+html v1_html;
            text/html html;
        }
    }
}
"""


@pytest.fixture(scope="module", params=["nginx", "nginx-without-njs", "nginx-bandersnatch-style", "mirrorsync"])
def server(request: pytest.FixtureRequest, tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    scratch = tmp_path_factory.mktemp(request.param) / "run"
    configs = {
        "nginx": (DOCS / "mirrorsync.conf").read_text(),
        "nginx-without-njs": (DOCS / "without-njs.conf").read_text(),
        "nginx-bandersnatch-style": _BANDERSNATCH_STYLE,
    }
    if request.param != "mirrorsync" and NO_NGINX:
        pytest.skip(NO_NGINX)
    running = (
        own_server(tree.web, scratch)
        if request.param == "mirrorsync"
        else nginx(configs[request.param], tree.web, scratch)
    )
    with running as server:
        yield server


class Client(msgspec.Struct, frozen=True):
    """An installer with its own directory; it installs into `into`."""

    server: Server
    directory: Path

    @property
    def into(self) -> Path:
        return self.directory / "installed"

    def pip(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        start = (sys.executable, "-m", "pip", "--isolated", "--no-input", "--disable-pip-version-check", command)
        return self._run(*start, "--no-cache-dir", "--index-url", f"{self.server.url}/simple/", *arguments)

    def pip_install(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.pip("install", "--no-compile", "--target", str(self.into), *arguments)

    def uv(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        own = ("--no-cache", "--no-config", "--python", sys.executable, "--default-index", f"{self.server.url}/simple/")
        return self._run(uv.find_uv_bin(), "pip", command, *own, *arguments)

    def uv_install(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.uv("install", "--target", str(self.into), *arguments)

    def requirements(self, text: str) -> str:
        path = self.directory / "requirements.txt"
        path.write_text(text)
        return str(path)

    def installed(self) -> set[str]:
        return {path.name.removesuffix(".dist-info") for path in self.into.glob("*.dist-info")}

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        # Without the machine's settings: no other index, no proxy, no cache.
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "PIP_CONFIG_FILE": os.devnull,
            "UV_PYTHON_DOWNLOADS": "never",
        }
        return subprocess.run(
            command, env=environment, cwd=self.directory, capture_output=True, text=True, timeout=120, check=False
        )


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Client:
    return Client(server=server, directory=tmp_path)


def succeeds(result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 0, result.stdout + result.stderr


def test_pip_installs_a_project_and_its_dependencies(client: Client) -> None:
    succeeds(client.pip_install("normal"))
    assert client.installed() == {"normal-2.0", "foo_bar_baz-1.0"}


def test_uv_installs_a_project_and_its_dependencies(client: Client) -> None:
    succeeds(client.uv_install("normal"))
    assert client.installed() == {"normal-2.0", "foo_bar_baz-1.0"}


def test_pip_builds_a_source_distribution(client: Client) -> None:
    succeeds(client.pip_install("--no-deps", "--no-binary", ":all:", "normal==1.0"))
    assert client.installed() == {"normal-1.0"}


def test_pip_downloads_exactly_the_mirrors_bytes(client: Client, tree: Tree) -> None:
    succeeds(client.pip("download", "--dest", str(client.into), "normal==1.0"))
    downloaded = {path.name: path.read_bytes() for path in client.into.iterdir()}
    names = {"normal-1.0-py3-none-any.whl", "foo_bar_baz-1.0-py3-none-any.whl"}
    assert downloaded == {name: tree.stored(name) for name in names}


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_required_hash_matches(client: Client, tree: Tree, installer: str) -> None:
    digest = hashlib.sha256(tree.stored("modern-1.0-py3-none-any.whl")).hexdigest()
    wanted = client.requirements(f"modern==1.0 --hash=sha256:{digest}\n")
    install = client.pip_install if installer == "pip" else client.uv_install
    succeeds(install("--require-hashes", "-r", wanted))
    assert client.installed() == {"modern-1.0"}


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_wrong_hash_installs_nothing(client: Client, installer: str) -> None:
    wanted = client.requirements(f"modern==1.0 --hash=sha256:{'0' * 64}\n")
    install = client.pip_install if installer == "pip" else client.uv_install
    result = install("--require-hashes", "-r", wanted)
    assert result.returncode != 0
    assert "hash" in (result.stdout + result.stderr).lower()
    assert client.installed() == set()


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_yanked_release_is_installed_only_when_pinned(client: Client, installer: str) -> None:
    install = client.pip_install if installer == "pip" else client.uv_install
    succeeds(install("recalled"))
    assert client.installed() == {"recalled-1.0"}
    pinned = install("--upgrade", "recalled==2.0")
    succeeds(pinned)
    assert client.installed() >= {"recalled-2.0"}
    assert 'eats <data> & "more"' in pinned.stdout + pinned.stderr


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_release_for_a_later_python_is_skipped(client: Client, installer: str) -> None:
    install = client.pip_install if installer == "pip" else client.uv_install
    succeeds(install("modern"))
    assert client.installed() == {"modern-1.0"}
    assert install("--upgrade", "modern==2.0").returncode != 0


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_missing_project_fails_with_a_message(client: Client, installer: str) -> None:
    install = client.pip_install if installer == "pip" else client.uv_install
    result = install("gone")
    assert result.returncode != 0
    assert "gone" in result.stderr


def test_uv_resolves_from_sidecars_without_fetching_wheels(client: Client, tree: Tree) -> None:
    before = len(client.server.requested())
    result = client.uv("compile", "--generate-hashes", client.requirements("normal\n"))
    succeeds(result)
    requested = client.server.requested()[before:]
    assert {target for target in requested if "/packages/" in target} == {
        tree.path(name) + ".metadata" for name in ("normal-2.0-py3-none-any.whl", "foo_bar_baz-1.0-py3-none-any.whl")
    }
    assert "normal==2.0" in result.stdout
    for name in ("normal-2.0-py3-none-any.whl", "normal-2.0.tar.gz"):
        assert hashlib.sha256(tree.stored(name)).hexdigest() in result.stdout


def test_uv_ignores_files_uploaded_after_a_date(client: Client) -> None:
    wanted = client.requirements("modern\n")
    succeeds(client.uv("compile", "--exclude-newer", "2026-08-02T00:00:00Z", wanted))
    assert client.uv("compile", "--exclude-newer", "2026-07-31T00:00:00Z", wanted).returncode != 0


def test_range_resumes_an_interrupted_download(client: Client, tree: Tree) -> None:
    whole = tree.stored("foo_bar_baz-1.0-py3-none-any.whl")
    reply = client.server.get(tree.path("foo_bar_baz-1.0-py3-none-any.whl"), ("Range", "bytes=1000000-"))
    assert whole[:1_000_000] + reply.body == whole
