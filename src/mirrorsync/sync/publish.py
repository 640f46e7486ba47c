"""Making a project's pages public, with their compressed siblings where the mirror has them."""

from mirrorsync.model.identity import ProjectName, StorePath
from mirrorsync.model.page import ProjectPage
from mirrorsync.simple import encode_html, gzipped, layout
from mirrorsync.sync.context import SyncContext


async def publish_page(context: SyncContext, page: ProjectPage, json: bytes) -> None:
    """Replace the project's pages, of which `json` is one, encoded; those whose bytes are the same stay untouched.

    HTML and JSON are swapped one after the other (docs/adr/0003): each is true by itself at every instant. A sibling
    goes before its page: who reads it never gets less than who does not.
    """
    paths = layout.page_paths(page.name)
    html = encode_html.encode_page(page, context.policy.link)
    pages: list[tuple[StorePath, bytes]] = []
    for body, places in ((json, (paths.json,)), (html, (paths.html, paths.index_html))):
        packed = gzipped.pack(body) if context.policy.gzip else None
        for path in places:
            if packed is not None:
                pages.append((gzipped.sibling(path), packed))
            pages.append((path, body))
    await context.store.publish_all(pages)


async def publish_legacy(context: SyncContext, name: ProjectName) -> None:
    """Bring `pypi/<name>/json` up to upstream's, where the mirror carries it, and make it absent where it does not.

    It is upstream's own text: its links lead to upstream's files.
    """
    body = await context.upstream.release_data(name) if context.policy.legacy_json else None
    if body is None:
        await context.store.delete(layout.legacy_path(name))
    else:
        await context.store.publish(layout.legacy_path(name), body)


async def withdraw_page(context: SyncContext, name: ProjectName) -> None:
    """Make the project's pages absent, each after its sibling: some web servers send that though the page is gone."""
    paths = layout.page_paths(name)
    for path in (paths.json, paths.html, paths.index_html):
        if context.policy.gzip:
            await context.store.delete(gzipped.sibling(path))
        await context.store.delete(path)
    await context.store.delete(layout.legacy_path(name))


async def drop_siblings(context: SyncContext) -> None:
    """Delete every compressed sibling: from here on nothing would keep them up with their pages. Safe to repeat."""
    paths = layout.root_paths()
    names = tuple(gzipped.sibling(path).rpartition("/")[2] for path in (paths.json, paths.html, paths.index_html))
    async for standing in context.store.list(StorePath("simple")):
        if standing.path.endswith(names):
            await context.store.delete(standing.path)
    await context.store.settle()
