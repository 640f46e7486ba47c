"""Everyday cases: removals, caches, throttling, interruptions, changed configuration."""

import time
from collections.abc import Iterator

from tests.field.cases import Case, Scene, clean, last_line, small, unclean
from tests.field.contender import Wishes
from tests.support.process.launch import finish, kill, wait_until
from tests.support.pypi.faults import Drip, Stale, Stall, Status, Throttle429, WrongBytes

_LARGE = b"z" * 3_000_000
_MISSING = Status(404)


def first_sync(scene: Scene) -> Iterator[str]:
    small(scene.world)
    yield from clean(scene.mirror.sync())
    yield from scene.differences()


def sidecars(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.mirror.sync()
    yield from scene.differences(sidecars=True)


def removed_project(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.mirror.sync()
    scene.world.remove_project("beta")
    yield from clean(scene.mirror.sync())
    yield from scene.differences()


def quarantine(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.mirror.sync()
    scene.world.quarantine("beta")
    yield from clean(scene.mirror.sync())
    yield from (f"{name} is still offered" for name in scene.offered("beta"))


def removed_file(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.mirror.sync()
    scene.world.remove_file("beta", "beta-1.0.tar.gz")
    yield from clean(scene.mirror.sync())
    yield from scene.differences()


def missing_file_then_news(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.pypi.faults.add(r"/gamma-1\.0.*whl$", _MISSING)
    scene.mirror.sync()
    small(scene.world, "later")
    scene.mirror.sync()
    scene.mirror.sync_with_retries()
    yield from (f"{name} is not served" for name in ("alpha", "beta", "later") if not scene.offered(name))
    scene.pypi.faults.clear()
    yield from clean(scene.mirror.sync_with_retries())
    yield from scene.differences()


def stale_page(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.mirror.sync()
    scene.world.upload("alpha", "2.0")
    scene.world.upload("gamma", "2.0")
    scene.pypi.faults.add("/(simple/alpha/|pypi/alpha/json)", Stale())
    scene.mirror.sync()
    small(scene.world, "later")
    scene.mirror.sync_with_retries()
    if not scene.offered("later"):
        yield "later is not served"
    scene.pypi.faults.clear()
    yield from clean(scene.mirror.sync_with_retries())
    yield from scene.differences()


def throttled(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.pypi.faults.add("/(simple/beta/|pypi/beta/json)", Throttle429(2), times=1)
    yield from clean(scene.mirror.sync())
    yield from scene.differences()
    requests = scene.pypi.seen("/(simple/beta/|pypi/beta/json)")
    if len(requests) > 1 and (wait := requests[1].time - requests[0].time) < 2:
        yield f"it retried after {wait:.1f} s; Retry-After was 2 s"


def unavailable_page(scene: Scene) -> Iterator[str]:
    small(scene.world)
    for path in ("/simple/beta/", "/pypi/beta/json"):
        scene.pypi.faults.add(path, Status(503), times=1)
    for _ in range(3):
        scene.mirror.sync_with_retries()
    yield from scene.differences()


def unavailable_once(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.pypi.faults.add("/(simple/beta/|pypi/beta/json)", Status(503), times=1)
    yield from clean(scene.mirror.sync())
    yield from scene.differences()


def wrong_bytes(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.pypi.faults.add(r"/beta-1\.0.*whl$", WrongBytes())
    scene.mirror.sync()
    yield from scene.broken_links()
    scene.pypi.faults.clear()
    yield from clean(scene.mirror.sync_with_retries())
    yield from scene.differences()


def partial_failure(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.pypi.faults.add(r"/beta-1\.0.*whl$", _MISSING)
    yield from unclean(scene.mirror.sync())


def _kill_in_a_download(scene: Scene) -> None:
    small(scene.world)
    scene.world.upload("slow", "1.0", body=_LARGE)
    scene.pypi.faults.add(r"/slow-.*whl$", Stall(2_500_000))
    process = scene.mirror.begin()
    wait_until(lambda: scene.pypi.seen(r"/slow-.*whl$"), "the download has begun")
    time.sleep(0.5)
    kill(process)


def killed(scene: Scene) -> Iterator[str]:
    _kill_in_a_download(scene)
    yield from scene.broken_links()
    scene.pypi.faults.clear()
    yield from clean(scene.mirror.sync())
    yield from scene.differences()


def nothing_left_over(scene: Scene) -> Iterator[str]:
    _kill_in_a_download(scene)
    scene.pypi.faults.clear()
    scene.pypi.faults.add(r"/beta-1\.0.*whl$", WrongBytes())
    scene.mirror.sync_with_retries()
    scene.pypi.faults.clear()
    scene.mirror.sync_with_retries()
    yield from scene.leftovers()


def two_at_once(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.world.upload("slow", "1.0", body=_LARGE)
    scene.pypi.faults.add(r"/slow-.*whl$", Drip(200_000, 0.2))
    first = scene.mirror.begin()
    wait_until(lambda: scene.pypi.seen(r"/slow-.*whl$"), "the download has begun")
    second = finish(scene.mirror.begin())
    yield from clean(finish(first))
    if second.code == 0:
        yield "the second process was not refused"
    yield from scene.differences()


def selected_later(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.mirror.choose(Wishes(only=["alpha"]))
    scene.mirror.sync()
    yield from scene.differences(only={"alpha"})
    scene.mirror.choose(Wishes(only=["alpha", "beta"]))
    yield from clean(scene.mirror.sync())
    yield from scene.differences(only={"alpha", "beta"})


def excluded_later(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.mirror.sync()
    scene.mirror.choose(Wishes(without=["beta"]))
    yield from clean(scene.mirror.sync())
    yield from scene.differences(only={"alpha", "gamma"})


def unknown_key(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.mirror.choose(Wishes(unknown_key=True))
    result = scene.mirror.sync()
    yield from unclean(result)
    if "worker" not in result.said:
        yield "the error does not name the key"


def missing_sidecar(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.pypi.faults.add(r"/beta-.*\.metadata$", _MISSING)
    scene.mirror.sync()
    offered = scene.offered("beta")
    if len(offered) != 2:
        yield f"of two files {offered} are offered"
    yield from scene.broken_links()


def replaced_while_upstream_fails(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.mirror.sync()
    scene.world.remove_file("beta", "beta-1.0.tar.gz")
    scene.world.upload("beta", "1.0.post1", kind="sdist")
    scene.pypi.faults.add("/beta-1.0.post1", _MISSING)
    scene.mirror.sync()
    if not scene.offered("beta"):
        yield "beta is no longer served"
    yield from scene.broken_links()


def incomplete_release(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.mirror.sync()
    scene.world.upload("beta", "2.0")
    scene.world.upload("beta", "2.0", kind="sdist")
    scene.pypi.faults.add(r"/beta-2\.0\.tar\.gz$", _MISSING)
    scene.mirror.sync()
    if "beta-2.0-py3-none-any.whl" not in scene.offered("beta"):
        yield "the wheel of 2.0 is not offered while the sdist of 2.0 is missing"


def retried_at_once(scene: Scene) -> Iterator[str]:
    small(scene.world)
    scene.pypi.faults.add(r"/beta-1\.0.*whl$", _MISSING)
    scene.mirror.sync()
    scene.pypi.faults.clear()
    result = scene.mirror.sync()
    if not scene.offered("beta"):
        yield f"beta is not served after the next pass: {last_line(result)}"


CASES = (
    Case("a first pass serves what upstream serves", first_sync),
    Case("metadata sidecars (PEP 658) are served and advertised", sidecars),
    Case("a project that upstream removes is gone after one pass", removed_project),
    Case("a project that upstream quarantines (malware) offers no file after one pass", quarantine),
    Case("a file that upstream removes is gone from its page after one pass", removed_file),
    Case("a missing file (404) delays no other project and is fetched once it exists", missing_file_then_news),
    Case("a stale cached page delays no other project and is mirrored once it is fresh", stale_page, slow=True),
    Case("429 with Retry-After is obeyed within the same pass", throttled),
    Case("a single 503 for a page is retried within the same pass", unavailable_once),
    Case("after 503 for a project's pages later passes complete the project", unavailable_page, slow=True),
    Case("a file with a wrong digest is never served and is fetched again", wrong_bytes),
    Case("an incomplete pass does not exit with 0", partial_failure),
    Case("after kill -9 during a download the next pass completes", killed),
    Case("failed or killed downloads leave no partial file in the served tree", nothing_left_over),
    Case("a second process at the same time is refused", two_at_once, slow=True),
    Case("a project that is selected later is mirrored by the next pass", selected_later),
    Case("a project that is excluded later is removed by the next pass", excluded_later),
    Case("an unknown configuration key is refused and named", unknown_key),
    Case("a sidecar that upstream lacks is not advertised, and its wheel is offered", missing_sidecar),
    Case("no page links to a file that was deleted before the page was updated", replaced_while_upstream_fails),
    Case(
        "the available files of a release are offered while another one is missing",
        incomplete_release,
        fails_because="by design: a page is published whole or not at all",
    ),
    Case(
        "a failed project is retried by a pass that follows at once",
        retried_at_once,
        fails_because="by design: a failed project waits 60 s, unless `mirrorsync project retry` ends the wait",
    ),
)
