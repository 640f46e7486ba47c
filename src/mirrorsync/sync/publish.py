"""Making pages public: a project's three, and the root index."""

from collections.abc import Callable, Iterator

import trio

from mirrorsync.model.blob import Expect
from mirrorsync.model.identity import ProjectName, Serial, StorePath
from mirrorsync.model.page import ProjectPage
from mirrorsync.simple import encode_html, encode_json, layout, root
from mirrorsync.sync.parts import Parts


async def publish_page(parts: Parts, page: ProjectPage) -> None:
    """Replace the project's pages; those whose bytes are the same stay untouched.

    HTML and JSON are swapped one after the other (docs/adr/0003): each is true by itself at every instant.
    """
    paths = layout.page_paths(page.name)
    html = encode_html.encode_page(page, parts.policy.link)
    json = encode_json.encode_page(page, parts.policy.link)
    await parts.store.publish_all([(paths.json, json), (paths.html, html), (paths.index_html, html)])


async def publish_legacy(parts: Parts, name: ProjectName) -> None:
    """Bring `pypi/<name>/json` up to upstream's, where the mirror carries it, and make it absent where it does not.

    It is upstream's own text: its links lead to upstream's files.
    """
    body = await parts.upstream.release_data(name) if parts.policy.legacy_json else None
    if body is None:
        await parts.store.delete(layout.legacy_path(name))
    else:
        await parts.store.publish(layout.legacy_path(name), body)


async def withdraw_page(parts: Parts, name: ProjectName) -> None:
    """Make the project's pages absent."""
    paths = layout.page_paths(name)
    for path in (paths.json, paths.html, paths.index_html, layout.legacy_path(name)):
        await parts.store.delete(path)


async def publish_root(parts: Parts) -> bool:
    """Bring the root index up to what the ledger says, if it is behind; True when it was written.

    It claims the serial up to which everything is served, never more (I2), and of each project the serial of the
    page that stands, so that this mirror can be another one's upstream.
    """
    mirror = await parts.state.mirror()
    serial = await parts.state.synced_serial()
    if mirror.root_version == mirror.root_published_version and mirror.published_serial == serial:
        return False
    paths = layout.root_paths()
    await _write(parts, paths.json, lambda rows: root.json_parts(((row[1], row[2]) for row in rows), serial))
    for path in (paths.html, paths.index_html):
        await _write(parts, path, lambda rows: root.html_parts((row[0], row[1]) for row in rows))
    await parts.store.settle()
    await parts.state.root_published(serial, mirror.root_version)
    return True


Row = tuple[ProjectName, str, Serial | None]


async def _write(parts: Parts, path: StorePath, render: Callable[[Iterator[Row]], Iterator[bytes]]) -> None:
    """Stream the index from the ledger to the store: at 750,000 projects it is tens of megabytes."""
    async with parts.state.present() as rows, parts.store.stage(path, Expect(size=None, sha256=None)) as staged:
        pieces = render(rows)
        while piece := await trio.to_thread.run_sync(next, pieces, b""):
            await staged.write(piece)
        await staged.commit()
