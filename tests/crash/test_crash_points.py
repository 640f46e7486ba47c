"""Death before every step of a sync, and before every step of the sync that recovers from it (I1 to I4, I6)."""

import os

import msgspec
import pytest

from tests.crash.explore import Scenario, explore
from tests.crash.scenarios import SCENARIOS
from tests.machine.sim import Cut

MODELS: tuple[Cut, ...] = ("kill", "least", "any")
PICKS = int(os.environ.get("MIRRORSYNC_CUTS", "4"))
"""Random parts that a power cut takes at each step."""


def single(scenario: Scenario) -> Scenario:
    """Return the scenario with its first death only."""
    return msgspec.structs.replace(scenario, stages=scenario.stages[:-1], pauses=scenario.pauses[:-1])


@pytest.mark.parametrize("model", MODELS)
def test_recovery_after_a_death_at_every_step(model: Cut) -> None:
    counts = explore(single(SCENARIOS[0]), (model,), picks=2)
    assert counts.deaths > 20


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name.replace(" ", "-"))
def test_recovery_after_some_pairs_of_deaths(scenario: Scenario) -> None:
    counts = explore(scenario, MODELS, picks=2, sample=8)
    assert counts.states == 8


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name.replace(" ", "-"))
def test_recovery_after_every_pair_of_deaths(
    scenario: Scenario, model: Cut, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = explore(scenario, (model,), picks=PICKS)
    with capsys.disabled():
        print(f"\n{scenario.name}, {model}: {counts}")  # noqa: T201 - the counts are the result
    assert counts.deaths > 1000


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name.replace(" ", "-"))
def test_a_kill_and_then_a_power_cut_lose_nothing(scenario: Scenario) -> None:
    assert explore(scenario, MODELS, picks=1, sample=60).states == 60
