"""Violations that the random tests have found, each as the shortest sequence that leads to it."""

import msgspec

from tests.machine.sim import DAY, Sim
from tests.support.pypi.world import World

WHEEL = "pkg-1.0-py3-none-any.whl"


def give_sidecar(world: World, metadata: bytes) -> None:
    """Replace the wheel's sidecar by `metadata`, with a journal row."""
    project, file = world.project("pkg"), world.file("pkg", WHEEL)
    changed = msgspec.structs.replace(file, metadata=metadata)
    project.files[project.files.index(file)] = changed
    world._put("pkg", changed)
    world.journal_row("pkg", "new release", "1.1")


def die_at(sim: Sim, step: str, *, nth: int = 1) -> None:
    """Run, and die right after the `nth` step that begins with `step`."""
    standing = sim.stand()
    steps = sim.run().log
    number = [index for index, what in enumerate(steps) if what.startswith(step)][nth - 1]
    sim.resume(standing, sim.world)
    assert sim.run(dies_at=number + 1).dead


def test_sidecar_stored_before_a_death_is_removed_with_its_file() -> None:
    world = World()
    world.upload("pkg", "1.0", metadata=None, content=b"a wheel", filename=WHEEL)
    sim = Sim(world)
    sim.run()
    give_sidecar(world, b"Name: pkg\n")
    die_at(sim, "store packages/")
    world.remove_file("pkg", WHEEL)
    sim.converge()


def test_sidecar_that_returns_upstream_is_not_swept() -> None:
    world = World()
    world.upload("pkg", "1.0")
    sim = Sim(world)
    sim.upstream.lies.files[WHEEL] = "no sidecar"
    sim.run()
    sim.upstream.lies.stop()
    world.yank("pkg", "1.0")
    sim.clock.forward(DAY / 2)
    sim.run()
    sim.converge()


def test_sidecar_replaced_and_restored_matches_its_page() -> None:
    world = World()
    world.upload("pkg", "1.0", metadata=b"Name: pkg\n", content=b"a wheel", filename=WHEEL)
    sim = Sim(world)
    sim.run()
    give_sidecar(world, b"Name: pkg\nSummary: another\n")
    die_at(sim, "store packages/")
    give_sidecar(world, b"Name: pkg\n")
    sim.clock.forward(600)
    sim.run()
    sim.converge()


def test_sidecar_change_with_an_unrecorded_first_page() -> None:
    world = World()
    world.upload("pkg", "1.0", metadata=b"Name: pkg\n", content=b"a wheel", filename=WHEEL)
    sim = Sim(world)
    die_at(sim, "store simple/pkg/index.html")
    give_sidecar(world, b"Name: pkg\nSummary: another\n")
    sim.clock.forward(600)
    sim.run()
    sim.converge()


def test_sidecar_change_with_an_unrecorded_later_page() -> None:
    world = World()
    world.upload("pkg", "1.0", metadata=b"Name: pkg\n", content=b"a wheel", filename=WHEEL)
    sim = Sim(world)
    sim.run()
    give_sidecar(world, b"Name: pkg\nSummary: another\n")
    die_at(sim, "store simple/pkg/index.html", nth=2)
    give_sidecar(world, b"Name: pkg\nSummary: a third\n")
    sim.clock.forward(600)
    sim.run()
    sim.converge()


def test_quarantine_seen_only_in_the_root_list_is_served_before_claimed() -> None:
    world = World()
    world.upload("pkg", "1.0")
    world.upload("other", "1.0")
    sim = Sim(world)
    sim.run()
    world.quarantine("pkg")
    sim.upstream.lies.no_journal = True
    sim.upstream.lies.pages["pkg"] = "unreachable"
    sim.run()
    sim.upstream.lies.stop()
    sim.converge()


def test_serial_of_a_refused_root_list_is_not_claimed() -> None:
    world = World()
    world.upload("pkg", "1.0")
    sim = Sim(world)
    sim.run()
    world.upload("pkg", "2.0")
    sim.upstream.lies.no_journal = True
    sim.upstream.lies.hidden = frozenset({"pkg"})
    sim.run()
    sim.upstream.lies.stop()
    sim.converge()


def test_project_once_left_out_by_a_list_is_removed_when_gone() -> None:
    world = World()
    for name in ("pkg", "other", "third"):
        world.upload(name, "1.0")
    sim = Sim(world)
    sim.run()
    sim.upstream.lies.no_journal = True
    sim.upstream.lies.hidden = frozenset({"pkg"})
    sim.run()
    sim.upstream.lies.hidden = frozenset()
    world.remove_project("pkg")
    sim.run()
    sim.converge(4)


def test_sidecar_that_changes_under_two_project_names() -> None:
    world = World()
    world.upload("pkg", "1.0", metadata=b"Name: pkg\n", content=b"a wheel", filename=WHEEL)
    sim = Sim(world)
    sim.run()
    world.rename("pkg", "renamed")
    file = world.file("renamed", WHEEL)
    world.project("renamed").files[:] = [msgspec.structs.replace(file, metadata=b"Name: renamed\n")]
    world._put("renamed", world.file("renamed", WHEEL))
    world.journal_row("renamed", "new release", "1.1")
    sim.run()
    sim.converge(4)
