"""All deaths of a scenario, and all deaths of the runs that recover from them, and so on.

A death before step k leaves exactly the state before step k. So one run that keeps the state before each of its steps
covers all its deaths at once.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from tests.machine.sim import Cut, SavedState, Sim, Violation
from tests.support.pypi.world import World

Happening = Callable[[World], object]
PAUSE = 600.0
"""Seconds between a death and the next start."""


class Scenario(msgspec.Struct, frozen=True):
    """What happens upstream before each run; all runs but the first `calm` ones die."""

    name: str
    stages: tuple[Happening, ...]
    pauses: tuple[float, ...]
    """Seconds before each stage's run."""
    calm: int

    def world(self, stages: int) -> World:
        """Return a world in which the first `stages` have happened."""
        world = World()
        for happen in self.stages[:stages]:
            happen(world)
        return world


class Left(msgspec.Struct, frozen=True):
    """The state after a death, what led to it, and the number of deaths that lead to the same state."""

    standing: SavedState
    history: tuple[str, ...]
    ways: int


class Counts(msgspec.Struct):
    """Statistics of a search."""

    deaths: int = 0
    """Chains of deaths, including those that lead to the same state."""
    states: int = 0
    """Distinct states from which recovery was tested."""
    steps: int = 0

    def __str__(self) -> str:
        return f"{self.deaths} deaths, {self.states} different states, {self.steps} watched steps"


def explore(scenario: Scenario, models: Sequence[Cut], *, picks: int = 3, sample: int | None = None) -> Counts:
    """Test every chain of deaths, one in each stage after the calm ones, and recover from each.

    `picks`: random parts that a power cut of the model "any" takes. `sample`: recover from so many states of each
    stage only. Raises: Violation, with the chain that leads to it.
    """
    counts = Counts()
    sim, first = Sim(scenario.world(0)), scenario.world(scenario.calm)
    for stage in range(scenario.calm):
        first = scenario.world(stage + 1)
        sim.resume(sim.stand(), first)
        sim.clock.forward(scenario.pauses[stage])
        sim.run()
    lefts: list[Left] = [Left(sim.stand(), (), 1)]
    world = first
    for stage in range(scenario.calm, len(scenario.stages)):
        world = scenario.world(stage + 1)
        lefts = _thinned(list(_deaths(sim, world, lefts, scenario.pauses[stage], (models, picks))), sample)
        counts.deaths += sum(left.ways for left in lefts)
    for left in lefts:
        with _with_history(left.history):
            sim.resume(left.standing, world)
            sim.converge(2)
    counts.states, counts.steps = len(lefts), sim.steps
    return counts


def _thinned(lefts: list[Left], sample: int | None) -> list[Left]:
    return lefts if sample is None or len(lefts) <= sample else random.Random(0).sample(lefts, sample)  # noqa: S311 - no secret


def _deaths(
    sim: Sim, world: World, lefts: Iterable[Left], pause: float, cuts: tuple[Sequence[Cut], int]
) -> Iterator[Left]:
    """Return the distinct states after a death in a run from one of `lefts`."""
    seen: dict[object, Left] = {}
    for left in lefts:
        for label, standing in _steps_of(sim, world, left, pause):
            for cut, pick in _cuts(cuts[0], standing, cuts[1]):
                history = (*left.history, f"{cut}#{pick} {label}")
                with _with_history(history):
                    after = _cut(sim, standing, cut, pick)
                found = seen.get(after.fingerprint)
                ways = left.ways + (0 if found is None else found.ways)
                seen[after.fingerprint] = Left(after, history if found is None else found.history, ways)
    return iter(seen.values())


def _steps_of(sim: Sim, world: World, left: Left, pause: float) -> Iterator[tuple[str, SavedState]]:
    """Run once from `left`; return the state before each step and at the end."""
    sim.resume(left.standing, world)
    sim.clock.forward(pause)
    kept: list[tuple[str, SavedState]] = []

    def keep(what: str) -> None:
        kept.append((f"after step {len(kept)} ({what})", sim.stand()))

    keep("start")
    with _with_history(left.history):
        sim.run(keep=keep)
    return iter(kept)


def _cut(sim: Sim, standing: SavedState, cut: Cut, pick: int) -> SavedState:
    if cut == "kill":
        return standing
    sim.resume(standing, sim.world)
    sim.end(cut, random.Random(pick))  # noqa: S311 - no secret
    return sim.stand()


def _cuts(models: Sequence[Cut], standing: SavedState, picks: int) -> list[tuple[Cut, int]]:
    if not standing.unsettled:
        return [(models[0], 0)]
    return [(model, pick) for model in models for pick in range(picks if model == "any" else 1)]


class _with_history:  # noqa: N801 - reads as a word in a with statement
    """Adds the chain of deaths to a Violation."""

    def __init__(self, history: tuple[str, ...]) -> None:
        self._history = history

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Violation):
            raise Violation(f"{error}\n  after: {' | '.join(self._history)}") from error
