"""The benchmark of the state's size runs, on a small scale."""

from pathlib import Path

import pytest
from bench import scale


def test_the_benchmark_makes_and_measures_states(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scale.main(["--quick", "--work", str(tmp_path)])
    rows = capsys.readouterr().out.splitlines()[1:]
    assert len(rows) == 2 * 13
    for kind in ("complete", "owed"):
        found = [row for row in rows if f", {kind}" in row]
        assert any(row.startswith("mirrorsync status --json") for row in found)
        assert all(row.count(" ms") == 2 and row.endswith(" MiB") for row in found)
