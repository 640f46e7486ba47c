"""Publishing a project's pages, with their compressed siblings where the mirror has them."""

from mirrorsync.model.identity import ProjectName, StorePath
from mirrorsync.simple import gzipped, layout
from mirrorsync.simple.encode import EncodedPage
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.policy import Policy

Object = tuple[StorePath, bytes]
"""A path in the store, and the bytes to publish there."""


def page_objects(policy: Policy, name: ProjectName, page: EncodedPage) -> list[Object]:
    """Return the objects of `name`'s page, in the order in which they are published.

    HTML and JSON are replaced one after the other (docs/adr/0003); each is valid by itself. A sibling goes before its
    page, so that a client that reads siblings never gets an older page than one that does not.
    """
    paths = layout.page_paths(name)
    json, html = page.json, page.html
    if not policy.gzip:
        return [(paths.json, json), (paths.html, html), (paths.index_html, html)]
    objects: list[Object] = []
    for body, places in ((json, (paths.json,)), (html, (paths.html, paths.index_html))):
        packed = gzipped.pack(body)
        for path in places:
            objects += [(gzipped.sibling(path), packed), (path, body)]
    return objects


async def publish_legacy(context: SyncContext, name: ProjectName) -> None:
    """Publish `pypi/<name>/json` as upstream has it, or delete it where the mirror or upstream has none.

    The links in it lead to upstream's files.
    """
    body = await context.upstream.release_data(name) if context.policy.legacy_json else None
    if body is None:
        await context.store.delete(layout.legacy_path(name))
    else:
        await context.store.publish(layout.legacy_path(name), body)


async def withdraw_page(context: SyncContext, name: ProjectName) -> None:
    """Delete the project's pages, each after its sibling: some web servers serve a sibling without its page."""
    paths = layout.page_paths(name)
    for path in (paths.json, paths.html, paths.index_html):
        if context.policy.gzip:
            await context.store.delete(gzipped.sibling(path))
        await context.store.delete(path)
    await context.store.delete(layout.legacy_path(name))


async def drop_siblings(context: SyncContext) -> None:
    """Delete every compressed sibling, because nothing will update them. Safe to repeat."""
    paths = layout.root_paths()
    names = tuple(gzipped.sibling(path).rpartition("/")[2] for path in (paths.json, paths.html, paths.index_html))
    async for found in context.store.list(StorePath("simple")):
        if found.path.endswith(names):
            await context.store.delete(found.path)
    await context.store.settle()
