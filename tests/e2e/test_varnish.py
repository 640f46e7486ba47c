"""A real Varnish with docs/varnish/mirrorsync.vcl in front of the tree: pages stay until mirrorsync purges them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from mirrorsync.errors import ExitCode
from tests.support.process.cli import Operator, terminate
from tests.support.process.launch import free_port, launch, serving, wait_until
from tests.support.process.servers import Server, own_server
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

_VARNISHD = shutil.which("varnishd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""
_VCL = Path(__file__).parents[2] / "docs" / "varnish" / "mirrorsync.vcl"
V1_JSON = ("Accept", "application/vnd.pypi.simple.v1+json")
HTML = ("Accept", "text/html")

pytestmark = pytest.mark.skipif(not _VARNISHD, reason="needs varnishd: apt-get install varnish")


class Site(msgspec.Struct, frozen=True):
    operator: Operator
    cache: Server
    """The server for clients."""

    def page(self, name: str, accept: tuple[str, str] = V1_JSON) -> str:
        return self.cache.get(f"/simple/{name}/", accept).body.decode()

    def is_cached(self, target: str) -> bool:
        """Return whether X-Varnish has two numbers: of this request and of the request that filled the cache."""
        return len(self.cache.get(target, V1_JSON).headers["x-varnish"].split()) == 2


@contextmanager
def varnish(vcl: str, scratch: Path) -> Iterator[Server]:
    """Run a small Varnish with `vcl` on a free port."""
    port, scratch_vcl = free_port(), scratch / "test.vcl"
    scratch.mkdir(parents=True)
    scratch_vcl.write_text(vcl)
    command = [_VARNISHD, "-F", "-n", str(scratch / "work"), "-a", f"127.0.0.1:{port}", "-f", str(scratch_vcl)]
    options = ["-j", "none", "-s", "malloc,16m", "-p", "thread_pools=1", "-p", "thread_pool_min=10"]
    with (
        (scratch / "log").open("w") as log,
        serving(launch([*command, *options], stdout=log, stderr=log, cwd=scratch, env=dict(os.environ))) as process,
    ):
        server = Server(port=port, access_log=scratch / "log")
        wait_until(lambda: answers(server) or process.poll() is not None, "Varnish answers", seconds=40)
        assert process.poll() is None, (scratch / "log").read_text()
        yield server


def answers(server: Server) -> bool:
    with suppress(OSError):
        return server.get("/last-modified").status in {200, 404}
    return False


@pytest.fixture(scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("varnish")
    with PyPI(World()) as pypi:
        operator = Operator(home / "home", pypi, notify={"interval": "50ms"})
        operator.web.mkdir()
        with own_server(operator.web, home / "serve") as origin:
            vcl = _VCL.read_text().replace('"8080"', f'"{origin.port}"')
            with varnish(vcl, home / "varnish") as cache:
                operator.configure(
                    notify={"interval": "50ms"},
                    purge={"caches": [cache.url], "public-urls": ["https://mirror.test"]},
                    limits={"min-free": "0", "removal-grace": "0s"},
                )
                yield Site(operator, cache)


@pytest.fixture
def site(_site: Site) -> Site:
    return _site


@pytest.fixture
def world(site: Site) -> World:
    return site.operator.pypi.world


def synced(site: Site) -> None:
    result = site.operator.does("sync")
    assert result.code == ExitCode.OK, result.said
    assert "changes are kept" not in result.said, result.said


def test_cached_page_stays_until_a_sync_purges_all_its_forms(site: Site, world: World) -> None:
    world.upload("alpha", "1.0")
    world.upload("other", "1.0")
    synced(site)
    assert all("alpha-1.0" in site.page("alpha", accept) for accept in (V1_JSON, HTML))
    assert "other-1.0" in site.page("other")
    assert site.is_cached("/simple/alpha/")
    page = site.operator.web / "simple" / "alpha" / "index.v1_json"
    before = page.read_bytes()
    page.write_bytes(before.replace(b"alpha-1.0", b"alpha-9.9"))
    assert "alpha-1.0" in site.page("alpha")  # only a purge has an effect
    page.write_bytes(before)
    world.upload("alpha", "1.1")
    synced(site)
    assert all("alpha-1.1" in site.page("alpha", accept) for accept in (V1_JSON, HTML))
    assert site.is_cached("/simple/other/")  # an unchanged page stays cached


def test_new_projects_cached_404_and_the_root_index_are_purged(site: Site, world: World) -> None:
    assert site.cache.get("/simple/late/", V1_JSON).status == 404
    assert '"late"' not in site.cache.get("/simple/", V1_JSON).body.decode()
    world.upload("late", "1.0")
    synced(site)
    assert "late-1.0" in site.page("late")
    assert '"late"' in site.cache.get("/simple/", V1_JSON).body.decode()


def test_removed_project_and_its_files_leave_the_cache(site: Site, world: World) -> None:
    wheel = world.upload("bad", "1.0").filename
    synced(site)
    assert "bad-1.0" in site.page("bad")
    (path,) = (path.relative_to(site.operator.web) for path in site.operator.web.glob(f"packages/*/*/*/{wheel}"))
    assert site.cache.get(f"/{path}").status == 200
    assert site.is_cached(f"/{path}")
    world.remove_project("bad")
    synced(site)
    assert site.cache.get("/simple/bad/", V1_JSON).status == 404
    assert site.cache.get(f"/{path}").status == 404


def test_daemon_purges_within_seconds(site: Site, world: World) -> None:
    world.upload("quick", "1.0")
    synced(site)
    assert "quick-1.0" in site.page("quick")
    with site.operator.doing("run") as process:
        world.upload("quick", "1.1")
        wait_until(lambda: "quick-1.1" in site.page("quick"), "the new page comes through the cache")
        assert terminate(process).code == ExitCode.OK


def test_flood_bans_all_pages_and_no_file(site: Site, world: World) -> None:
    wheel = world.upload("steady", "1.0").filename
    synced(site)
    (path,) = (path.relative_to(site.operator.web) for path in site.operator.web.glob(f"packages/*/*/*/{wheel}"))
    targets = ("/simple/", "/simple/steady/", f"/{path}")
    for target in targets:
        site.cache.get(target, V1_JSON)
    assert all(site.is_cached(target) for target in targets)
    operator = site.operator
    operator.configure(
        notify={"flood-limit": 10}, purge={"caches": [site.cache.url]}, limits={"min-free": "0", "removal-grace": "0s"}
    )
    for number in range(12):
        world.upload(f"flood-{number}", "1.0")
    synced(site)
    assert not site.is_cached("/simple/steady/")
    assert not site.is_cached("/simple/")
    assert site.is_cached(f"/{path}")


def test_only_listed_clients_may_purge(site: Site, tmp_path: Path) -> None:
    vcl = _VCL.read_text().replace('"127.0.0.1";            #', '"192.0.2.1";            #').replace('    "::1";\n', "")
    vcl = vcl.replace('"8080"', f'"{site.cache.port}"')
    with varnish(vcl, tmp_path / "closed") as closed:
        site.operator.configure(purge={"caches": [site.cache.url, closed.url]})
        output = site.operator.does("sync").said
        assert f"varnish 127.0.0.1:{closed.port} answers 403" in output
        assert "access list" in output
        assert closed.request("PURGE", "/simple/").status == 403
