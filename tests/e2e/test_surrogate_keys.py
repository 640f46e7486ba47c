"""nginx, configured as in docs/purging.md, adds the surrogate keys that mirrorsync purges."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirrorsync.model.identity import StorePath
from mirrorsync.state.notification_queue import ROOT
from mirrorsync.sync.notifier import describe
from mirrorsync.sync.policy import Policy
from tests.support.process.servers import DOCS, NO_NGINX, Server, nginx
from tests.support.process.tree import Tree

pytestmark = pytest.mark.skipif(bool(NO_NGINX), reason=NO_NGINX)

V1_JSON = ("Accept", "application/vnd.pypi.simple.v1+json")
WHEEL = "normal-1.0-py3-none-any.whl"


@pytest.fixture(scope="module")
def keyed(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The project's configuration with the `map` and the header of the document."""
    document = (Path(__file__).parents[2] / "docs" / "purging.md").read_text()
    (snippet,) = re.findall(r"^```nginx\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)
    before, header, after = snippet.partition("add_header Surrogate-Key")
    config = (DOCS / "mirrorsync.conf").read_text()
    config = config.replace("server {", f"{before}server {{", 1)
    config = config.replace("    add_header Vary", f"    {header}{after}    add_header Vary", 1)
    with nginx(config, tree.web, tmp_path_factory.mktemp("keyed") / "run") as running:
        yield running


def keys(server: Server, target: str, *headers: tuple[str, str]) -> list[str]:
    return server.get(target, *headers).headers.get("surrogate-key", "").split()


def key(subject: str) -> str:
    return describe(StorePath(subject), Policy(selection=None)).key  # type: ignore[arg-type] # not used


@pytest.mark.parametrize("form", ["", "index.html", "index.v1_html", "index.v1_json"])
def test_each_form_of_a_page_and_of_the_root_index_has_its_key(keyed: Server, form: str) -> None:
    for accept in ([], [V1_JSON]):
        assert keys(keyed, f"/simple/normal/{form}", *accept) == ["simple", key("simple/normal")]
        assert keys(keyed, f"/simple/{form}", *accept) == ["simple", key(ROOT)]


def test_file_and_sidecar_have_the_key_of_their_digest(keyed: Server, tree: Tree) -> None:
    path = tree.path(WHEEL)
    assert keys(keyed, path) == ["packages", key(path.lstrip("/"))]
    assert keys(keyed, f"{path}.metadata") == ["packages", key(path.lstrip("/"))]


def test_absent_page_has_the_key_that_its_publication_purges(keyed: Server) -> None:
    assert keyed.get("/simple/late/").status == 404
    assert keys(keyed, "/simple/late/") == ["simple", key("simple/late")]


def test_legacy_document_has_its_projects_key(keyed: Server) -> None:
    assert keys(keyed, "/pypi/normal/json") == ["simple", key("simple/normal")]


@pytest.mark.parametrize("target", ["/last-modified", "/mirrorsync/status.json", "/gone"])
def test_response_that_is_never_purged_has_no_key(keyed: Server, target: str) -> None:
    assert keys(keyed, target) == []
