"""Scenarios of upstream events around deaths."""

from tests.crash.explore import PAUSE, Happening, Scenario
from tests.machine.sim import DAY
from tests.support.pypi.world import World


def populate(world: World) -> None:
    """State A, mirrored without a death."""
    for name in ("grows", "shrinks", "leaves", "returns", "stays"):
        world.upload(name, "1.0")
    world.upload("shrinks", "1.0", kind="sdist")
    world.upload(
        "grows", "0.9", metadata=None, content=b"a wheel from before sidecars", filename="grows-0.9-py3-none-any.whl"
    )


def condemn(world: World) -> None:
    """Condemn files, and quarantine a project."""
    world.remove_file("shrinks", "shrinks-1.0.tar.gz")
    world.quarantine("returns")


def go_on(world: World) -> None:
    """Events that a death may interrupt: an upload, a removal, the end of a quarantine while its grace ends."""
    world.backfill_metadata("grows", "grows-0.9-py3-none-any.whl")
    world.upload("grows", "2.0")
    world.remove_project("leaves")
    world.clear_quarantine("returns")
    world.yank("stays", "1.0", "broken")


def take_back(world: World) -> None:
    """Undo everything while the mirror is down."""
    world.remove_file("grows", "grows-2.0-py3-none-any.whl")
    world.remove_file("grows", "grows-0.9-py3-none-any.whl")
    world.unyank("stays", "1.0")
    world.upload("leaves", "1.0")
    world.quarantine("returns")


def nothing(world: World) -> None:
    """Change nothing."""
    del world


def more(world: World) -> None:
    """Make further changes of the same kind."""
    world.remove_project("grows")
    world.upload("shrinks", "1.0", kind="sdist")
    world.add_role("stays")


def scenario(name: str, between: Happening) -> Scenario:
    """Return: state A; condemnations; then, past their grace, all events; two runs die, `between` before the second."""
    return Scenario(
        name=name,
        stages=(populate, condemn, go_on, between),
        pauses=(PAUSE, PAUSE, 1.5 * DAY, PAUSE),
        calm=2,
    )


SCENARIOS = (
    scenario("nothing more happens", nothing),
    scenario("upstream takes it back", take_back),
    scenario("upstream changes further", more),
)
