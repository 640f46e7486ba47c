"""The soak as a test: a short one in `make test`, a long one in `make torture` (alone: `make soak`)."""

import os
import random
import signal
from pathlib import Path

import pytest

from mirrorsync.errors import ExitCode
from tests.soak.incidents import FULL_DISK, KILLED, KINDS, schedule
from tests.soak.report import judge, table
from tests.soak.soak import Plan, Soak

_SECONDS = 24.0
_MINUTES = float(os.environ.get("MIRRORSYNC_TORTURE_SOAK_MINUTES", "15"))
_SEED = int(os.environ.get("MIRRORSYNC_TORTURE_SEED", "20261123"))


def _ignore(_line: str) -> None:
    pass


@pytest.mark.parametrize("seed", range(20))
def test_faults_that_end_the_process_come_once_and_early(seed: int) -> None:
    incidents = schedule(840.0, random.Random(seed), with_disk=True)  # noqa: S311 - repeatable, and no secret
    ending = [incident for incident in incidents if not incident.kind.comes_again]
    assert [incident.kind for incident in ending] == [FULL_DISK, KILLED]
    assert ending[-1].ends < 840.0 / 5


@pytest.mark.parametrize("seed", range(20))
def test_short_soak_has_each_fault_for_some_seconds(seed: int) -> None:
    incidents = schedule(Plan(_SECONDS / 60, seed).with_incidents, random.Random(seed), with_disk=True)  # noqa: S311 - repeatable, and no secret
    assert {incident.kind for incident in incidents} == set(KINDS)
    assert min(incident.ends - incident.begins for incident in incidents) > 2.5


def test_daemon_under_each_fault_for_seconds_keeps_the_invariants(tmp_path: Path) -> None:
    found = Soak(tmp_path, Plan(_SECONDS / 60, _SEED, projects=40, waits=False), _ignore).run()
    assert found.violations == []
    assert found.problems == []
    assert found.failures == []
    assert found.reader_passes > 1
    assert {life.code for life in found.lives if not life.was_killed} <= {ExitCode.OK, ExitCode.CANNOT_WRITE}
    assert {life.code for life in found.lives if life.was_killed} == {-signal.SIGKILL}
    assert {incident.kind for incident in found.incidents} >= {kind for kind in KINDS if not kind.needs_disk}


@pytest.mark.slow
def test_daemon_recovers_lag_and_memory_after_a_quarter_hour_of_faults(tmp_path: Path) -> None:
    found = Soak(tmp_path, Plan(_MINUTES, _SEED), _ignore).run()
    print(table(found))  # noqa: T201 - pytest -rP shows it
    assert [verdict.what for verdict in judge(found) if not verdict.holds] == [], table(found)
