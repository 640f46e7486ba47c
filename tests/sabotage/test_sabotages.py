"""Each sabotage, in a copy of mirrorsync, makes its tests fail."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mirrorsync
from tests.sabotage.sabotages import SABOTAGES, Sabotage

_ROOT = Path(__file__).resolve().parents[2]
_SOURCE = Path(mirrorsync.__file__).parent
_QUICK = {"digests are not verified", "the cursor is claimed although something is unmet"}
_LONGEST = 120.0
"""Seconds that the named tests may take."""


def _copy(directory: Path, sabotage: Sabotage) -> Path:
    """Return a folder to import the broken mirrorsync from."""
    shutil.copytree(_SOURCE, directory / "mirrorsync", ignore=shutil.ignore_patterns("__pycache__"))
    for edit in sabotage.edits:
        path = directory / "mirrorsync" / edit.file
        path.write_text(path.read_text().replace(edit.old, edit.new))
    return directory


def _tests_of(copy: Path, nodes: tuple[str, ...], scratch: Path) -> "subprocess.CompletedProcess[str]":
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("COV", "PYTEST"))}
    plugins = ["-p", "no:cacheprovider", "-p", "tests.sabotage.witness"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, f"--basetemp={scratch}", "--tb=line", *nodes],
        cwd=_ROOT,
        env={**kept, "PYTHONPATH": f"{copy}{os.pathsep}{_ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST,
    )


@pytest.mark.parametrize("what", SABOTAGES)
def test_sabotaged_source_text_exists_once(what: str) -> None:
    for edit in SABOTAGES[what].edits:
        assert (_SOURCE / edit.file).read_text().count(edit.old) == 1, f"{edit.file}: {edit.old}"


@pytest.mark.parametrize(
    "what", [what if what in _QUICK else pytest.param(what, marks=pytest.mark.slow) for what in SABOTAGES]
)
def test_sabotage_is_noticed(what: str, tmp_path: Path) -> None:
    sabotage = SABOTAGES[what]
    copy = _copy(tmp_path / "src", sabotage)
    done = _tests_of(copy, sabotage.caught_by, tmp_path / "scratch")
    assert f"testing {copy / 'mirrorsync' / '__init__.py'}" in done.stdout, done.stdout + done.stderr
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, f"no test failed\n{done.stdout}"
    failed = {node.partition("[")[0] for node in re.findall(r"^FAILED (\S+)", done.stdout, re.MULTILINE)}
    assert failed == set(sabotage.caught_by), done.stdout


@pytest.mark.slow
def test_named_tests_pass_without_sabotage(tmp_path: Path) -> None:
    copy = _copy(tmp_path / "src", Sabotage(edits=(), caught_by=()))
    nodes = tuple(sorted({node for sabotage in SABOTAGES.values() for node in sabotage.caught_by}))
    done = _tests_of(copy, nodes, tmp_path / "scratch")
    assert done.returncode == pytest.ExitCode.OK, done.stdout
