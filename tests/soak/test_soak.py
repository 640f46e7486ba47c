"""The soak as a test: short for every change, and long in `make torture` (alone: `make soak`)."""

import os
from pathlib import Path

import pytest

from mirrorsync.errors import ExitCode
from tests.soak.report import judge, table
from tests.soak.soak import Plan, Soak
from tests.soak.troubles import KINDS

_SECONDS = 24.0
_MINUTES = float(os.environ.get("MIRRORSYNC_TORTURE_SOAK_MINUTES", "15"))
_SEED = int(os.environ.get("MIRRORSYNC_TORTURE_SEED", "20261123"))


def _nothing(_line: str) -> None:
    pass


def test_a_daemon_that_meets_every_trouble_within_seconds_serves_only_truth(tmp_path: Path) -> None:
    found = Soak(tmp_path, Plan(_SECONDS / 60, _SEED, projects=40, waits=False), _nothing).run()
    assert found.violations == []
    assert found.problems == []
    assert found.failures == []
    assert found.reader_passes > 1
    assert {life.code for life in found.lives} <= {ExitCode.OK, ExitCode.CANNOT_WRITE}
    assert {spell.kind for spell in found.spells} >= {kind for kind in KINDS if not kind.needs_disk}


@pytest.mark.slow
def test_a_daemon_outlasts_a_quarter_of_an_hour_of_troubles_and_is_as_fresh_and_small_as_before(tmp_path: Path) -> None:
    found = Soak(tmp_path, Plan(_MINUTES, _SEED), _nothing).run()
    print(table(found))  # noqa: T201 - pytest -rP shows it
    assert [verdict.what for verdict in judge(found) if not verdict.holds] == [], table(found)
