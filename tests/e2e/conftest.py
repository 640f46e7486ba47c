from collections.abc import Iterator

import pytest

from tests.support.process.servers import DOCS, NO_NGINX, Server, nginx, own_server
from tests.support.process.tree import Tree, build_tree


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return build_tree(tmp_path_factory.mktemp("mirror") / "web")


@pytest.fixture(scope="session", params=["nginx", "mirrorsync"])
def server(request: pytest.FixtureRequest, tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The tree, served by nginx with docs/nginx/mirrorsync.conf and by mirrorsync's own server."""
    scratch = tmp_path_factory.mktemp(request.param) / "run"
    if request.param == "mirrorsync":
        with own_server(tree.web, scratch) as running:
            yield running
        return
    if NO_NGINX:
        pytest.skip(NO_NGINX)
    with nginx((DOCS / "mirrorsync.conf").read_text(), tree.web, scratch) as running:
        yield running
