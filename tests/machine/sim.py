"""A mirror whose process can be killed, or its power cut, at any step; the oracle checks it after every one."""

import random
from collections.abc import Callable
from typing import Final, Literal

import msgspec
import trio
from trio._core import _run

from mirrorsync.model.identity import StorePath
from mirrorsync.model.outcome import Outcome
from mirrorsync.observe.run_observer import Lines
from mirrorsync.select.rules import Selection
from mirrorsync.state.ledger import State
from mirrorsync.sync import single_pass as passes
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.policy import Policy
from tests.machine.mortal import Death, Life, MortalDatabase, MortalStore, Object, memory
from tests.machine.world_upstream import Lies, WorldUpstream
from tests.support.mirror import Clock
from tests.support.oracle import Level, Memory, Oracle, Terms
from tests.support.pypi.world import World

Cut = Literal["kill", "least", "any"]
"""How a process ends: kill -9; a power cut that takes everything not durable; one that takes any part of it."""
DAY: Final = 86400.0
TERMS: Final = Terms(mixed_pages=True, serials_restart=True)
POLICY: Final = Policy(selection=Selection(), removal_grace=DAY, workers=4)


class Violation(AssertionError):  # noqa: N818 - the name of the test's finding
    """An invariant does not hold."""


class RecordingObserver(Lines):
    """Records outcomes and notices."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: list[Outcome] = []
        self.notices: list[str] = []

    def ended(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def warn(self, text: str) -> None:
        self.notices.append(text)


class SavedState(msgspec.Struct, frozen=True):
    """Everything that outlives a process."""

    objects: dict[StorePath, Object]
    unsettled: dict[StorePath, list[Object | None]]
    database: bytes
    now: float

    @property
    def fingerprint(self) -> tuple[object, ...]:
        """Equal for states that behave the same."""
        connection = memory(self.database)
        tables = ("mirror", "project", "file", "condemned")
        rows = tuple(tuple(map(tuple, connection.execute(f"SELECT * FROM {table}"))) for table in tables)  # noqa: S608 - of constants
        connection.close()
        bodies = tuple(sorted((path, body) for path, (body, _) in self.objects.items()))
        loose = tuple(
            sorted((path, tuple(version and version[0] for version in found)) for path, found in self.unsettled.items())
        )
        return self.now, rows, bodies, loose


class Sim:
    """A mirror of `world`; each call of `run` is a process."""

    def __init__(self, world: World, lies: Lies | None = None, *, policy: Policy = POLICY) -> None:
        self.upstream = WorldUpstream(world, lies)
        self.policy = policy
        self.store = MortalStore()
        self.connection = memory()
        self.clock = Clock()
        self.clock.now = 1_800_000_000.0
        self.observer = RecordingObserver()
        self.oracle = Oracle(Memory(lambda: self.store.objects), world, TERMS, lambda: self.connection)
        self.steps = 0
        """Durable steps so far, each followed by a check of the oracle."""

    @property
    def world(self) -> World:
        return self.upstream.world

    def stand(self) -> SavedState:
        return SavedState(
            dict(self.store.objects),
            {path: list(found) for path, found in self.store.unsettled.items()},
            self.connection.serialize(),
            self.clock.now,
        )

    def resume(self, standing: SavedState, world: World) -> None:
        """Continue from a saved state, against `world`."""
        self.upstream = WorldUpstream(world, self.upstream.lies)
        self.oracle.world = world
        self.store.objects = dict(standing.objects)
        self.store.unsettled = {path: list(found) for path, found in standing.unsettled.items()}
        self.connection.close()
        self.connection = memory(standing.database)
        self.clock.now = standing.now

    def run(self, *, dies_at: int | None = None, seed: int = 0, keep: Callable[[str], None] | None = None) -> Life:
        """Run one process to its end or its death; return its life. `keep` is called after each step.

        Raises: Violation; MirrorsyncError.
        """
        life = Life(dies_at)
        self.store.life = life
        image = self.connection.serialize()
        self.connection.close()
        self.connection = memory(image)  # the state of the old connection died with its process
        database = MortalDatabase(self.connection)
        database.life = life
        life.watch = self._watch(keep)
        self.observer = RecordingObserver()
        context = SyncContext(
            self.upstream, self.store, State(database), self.policy, self.clock, self.observer, self.clock.sleep
        )
        _run._r.seed(seed)
        random.seed(seed)
        try:
            trio.run(_process, context)
        except BaseExceptionGroup as group:
            _, others = group.split((Death, trio.Cancelled))
            if others is not None:
                raise _first(others) from group
        except Death:
            pass
        finally:
            self.steps += life.steps
        return life

    def end(self, cut: Cut, pick: random.Random | None = None) -> None:
        """Apply this kind of death; then check the invariants."""
        if cut == "least":
            self.store.cut_power(lambda versions: versions[0])
        elif cut == "any":
            self.store.cut_power((pick or random.Random(0)).choice)  # noqa: S311 - no secret
        self.oracle.restart()
        self.look(f"after {cut}")

    def converge(self, runs: int = 3) -> None:
        """Run undisturbed, past all back-offs and graces; then everything matches upstream. Raises: Violation."""
        for _ in range(runs):
            self.clock.forward(1.5 * DAY)
            self.run()
        found = self.oracle.problems(Level.SWEPT)
        if found:
            raise Violation(f"after {runs} undisturbed runs: {found}")

    def look(self, when: str) -> None:
        """Raises: Violation."""
        found = self.oracle.problems(Level.ALWAYS)
        if found:
            raise Violation(f"{when}: {found}")

    def _watch(self, keep: Callable[[str], None] | None) -> Callable[[str], None]:
        self.oracle.restart()

        def watch(what: str) -> None:
            self.look(what)
            if keep is not None:
                keep(what)

        return watch


async def _process(context: SyncContext) -> None:
    await context.store.check()
    context = await passes.prepare(context)
    await passes.sync(context)


def _first(group: BaseException) -> BaseException:
    """Return the first error in a group of groups."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
