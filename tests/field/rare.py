"""Rare and harmful cases: hostile or damaged data, truncated lists, mirrors of mirrors, large files."""

import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.field.cases import Case, Replaced, Scene, clean, last_line, small
from tests.field.contender import Contender, Wishes
from tests.support.pypi import wire_legacy, wire_xmlrpc
from tests.support.pypi.faults import Body, Status
from tests.support.pypi.wire import Origin

_BIG = 64 << 20
"""Bytes."""


def plus_in_a_filename(scene: Scene) -> Iterator[str]:
    small(scene.world)
    file = scene.world.upload("local", "1.0+cu118")
    quoted = file.filename.replace("+", "%2B")
    scene.pypi.faults.add(
        "/(simple/local/|pypi/local/json)", Replaced(f"/{file.filename}".encode(), f"/{quoted}".encode())
    )
    scene.mirror.choose(Wishes(no_grace=True))
    scene.mirror.sync()
    yield from scene.differences()
    scene.world.remove_file("beta", "beta-1.0.tar.gz")
    scene.mirror.sync()
    yield from clean(scene.mirror.clean_up())
    yield from scene.differences()
    if list(scene.mirror.web.glob("packages/*/*/*/beta-1.0.tar.gz")):
        yield "the file that upstream removed is still stored"


def damaged_state(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.mirror.sync()
    served = scene.served()
    scene.mirror.damage()
    result = scene.mirror.clean_up()
    yield from scene.broken_links()
    again = scene.mirror.sync()
    yield from scene.broken_links()
    if scene.served() != served:
        yield f"{sorted(served - scene.served())} are no longer served"
    for ended in (result, again):
        if "Traceback" in ended.said:
            yield f"the pass ends in a traceback: {last_line(ended)}"
            return


def lost_state(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.mirror.sync()
    scene.pypi.clear_requests()
    scene.mirror.forget()
    yield from clean(scene.mirror.sync())
    yield from scene.differences()
    downloads = [request.path for request in scene.pypi.seen("^/packages/") if request.path.endswith((".whl", ".gz"))]
    if downloads:
        yield f"{len(downloads)} stored files were downloaded again"


def hostile_url(scene: Scene) -> Iterator[str]:
    small(scene.world)
    file = scene.world.upload("evil", "1.0", kind="sdist")
    place = file.path.rpartition("/")[0].removeprefix("packages/").encode()
    scene.pypi.faults.add("/(simple/evil/|pypi/evil/json)", Replaced(place, b"%2e%2e/%2e%2e/%2e%2e"))
    scene.pypi.faults.add(r"evil-1\.0\.tar\.gz$", Status(200, body=file.content, media_type="application/octet-stream"))
    before = _beside(scene.mirror)
    scene.mirror.sync()
    yield from (f"{name} was written outside the mirror" for name in sorted(_beside(scene.mirror) - before))
    yield from (f"{name} is not served" for name in ("alpha", "beta") if not scene.offered(name))


def absolute_name(scene: Scene) -> Iterator[str]:
    small(scene.world)
    outside = Path(tempfile.gettempdir()) / f"outside{uuid.uuid4().hex}"
    name = str(outside / "evil")
    scene.world.upload(name, "1.0", filename="evil-1.0.tar.gz", content=b"not an archive")
    origin = Origin(scene.pypi.url, scene.pypi.files_url, scene.pypi.shape)
    page = scene.world.page(name)
    assert page is not None
    body = wire_legacy.project_json(page, origin)
    assert body is not None
    serial = (("X-PyPI-Last-Serial", str(page.serial)),)
    scene.pypi.faults.add(
        "/pypi/.*outside.*json", Status(200, headers=serial, body=body, media_type="application/json")
    )
    scene.mirror.choose(Wishes(bare=True))
    try:
        scene.mirror.sync()
        if outside.exists():
            yield f"{sorted(path.name for path in outside.rglob('*'))} were written outside the mirror"
    finally:
        shutil.rmtree(outside, ignore_errors=True)
    yield from (f"{name} is not served" for name in ("alpha", "beta") if not scene.offered(name))


def script_in_a_filename(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.world.upload("beta", "2.0", filename="<script>alert(1)<script>-2.0.tar.gz", content=b"not an archive")
    scene.mirror.sync()
    yield from scene.pages_with(b"<script")
    yield from (f"{name} is not served" for name in ("alpha", "gamma") if not scene.offered(name))


def yanked_reason(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.mirror.sync()
    scene.world.yank("beta", "1.0", 'breaks <everything> & "more"')
    yield from clean(scene.mirror.sync())
    published = scene.page("beta")
    reasons = {link.yanked for link in published.links} if published else set()
    if reasons != {'breaks <everything> & "more"'}:
        yield f"the JSON page has the yank reasons {reasons}"


def root_serial(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.mirror.sync()
    root = json.loads((scene.mirror.web / "simple" / "index.v1_json").read_bytes())
    serial = root["meta"].get("_last-serial")
    if serial is None or int(serial) != scene.world.last_serial:
        yield f"the root list has serial {serial}, upstream {scene.world.last_serial}"


def _follow(scene: Scene, wishes: Wishes, *, only: set[str] | None) -> Iterator[str]:
    small(scene.world)
    scene.mirror.sync()
    with scene.mirror.served() as url:
        follower = scene.mirror.follower(url, wishes)
        yield from clean(follower.sync())
        yield from scene.differences(only=only, mirror=follower)
        scene.world.upload("alpha", "2.0")
        scene.world.remove_file("beta", "beta-1.0.tar.gz")
        scene.mirror.sync()
        yield from clean(follower.sync())
        yield from scene.differences(only=only, mirror=follower)


def mirror_of_a_mirror(scene: Scene) -> Iterator[str]:
    yield from _follow(scene, Wishes(by_list=True), only=None)


def mirror_of_a_mirror_by_name(scene: Scene) -> Iterator[str]:
    yield from _follow(scene, Wishes(only=["alpha", "beta"], by_list=True), only={"alpha", "beta"})


def _truncated_list(scene: Scene, kept: int) -> Iterator[str]:
    names = [f"project-{number}" for number in range(10)]
    small(scene.world, *names)
    scene.mirror.choose(Wishes(by_list=True))
    scene.mirror.sync()
    served = scene.served()
    scene.world.upload("project-0", "2.0")  # a change, because programs may skip an unchanged list
    scene.pypi.truncate_root(kept)
    packages = wire_xmlrpc.packages(scene.world.listing()[:kept])
    scene.pypi.faults.add("^/pypi$", Body(packages), call="list_packages_with_serial")
    scene.mirror.sync()
    scene.mirror.sync()
    yield from (f"{name} was removed" for name in sorted(served - scene.served()))
    yield from scene.broken_links()


def empty_list(scene: Scene) -> Iterator[str]:
    yield from _truncated_list(scene, 0)


def half_a_list(scene: Scene) -> Iterator[str]:
    yield from _truncated_list(scene, 4)


def big_file(scene: Scene) -> Iterator[str]:
    small(scene.world)
    _, before = scene.mirror.peak()
    scene.world.upload("big", "1.0", body=b"b" * _BIG)
    result, peak = scene.mirror.peak()
    yield from clean(result)
    if peak - before > _BIG / 2**20 / 2:
        yield f"a file of {_BIG / 2**20:.0f} MiB costs {peak - before:.0f} MiB of memory"
    yield from scene.differences()


def _beside(mirror: Contender) -> set[str]:
    return {
        path.relative_to(mirror.home.parent).as_posix()
        for path in mirror.home.parent.rglob("*")
        if not path.is_relative_to(mirror.directory)
    }


CASES = (
    Case("a file with %2B in its URL is served under its link and survives a clean-up", plus_in_a_filename),
    Case("with a truncated state no link breaks, no page is lost, and no traceback is printed", damaged_state),
    Case(
        "with a lost state the next pass completes without downloading stored files",
        lost_state,
    ),
    Case("a URL with %2e%2e writes nothing outside the mirror", hostile_url),
    Case("a project whose name is an absolute path writes nothing outside the mirror", absolute_name),
    Case("`<script>` in a file name puts no markup into a page", script_in_a_filename),
    Case("the JSON page has the reason of a yank", yanked_reason),
    Case("the root list has upstream's serial after the first pass", root_serial),
    Case("a mirror of a mirror equals it and follows its changes", mirror_of_a_mirror),
    Case(
        "a mirror of selected projects of a mirror equals it and follows its changes",
        mirror_of_a_mirror_by_name,
        slow=True,
    ),
    Case("an empty project list removes nothing", empty_list),
    Case("a project list without more than half of the projects removes nothing", half_a_list),
    Case("a large file is not held in memory", big_file),
)
