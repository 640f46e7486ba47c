"""No input makes a decoder raise anything but its typed error, and accepted values are harmless."""

import importlib.util
import os
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import main, run
from tests.fuzz.targets import TARGETS, Target

_INPUTS: Final = int(os.environ.get("MIRRORSYNC_FUZZ_INPUTS", "1000000"))
"""The number of inputs of the long version, for all targets together."""
_SHORT: Final = 300
_NAMES: Final = [target.name for target in TARGETS]


@pytest.mark.parametrize("target", TARGETS, ids=_NAMES)
def test_mutated_document_is_accepted_or_refused_properly(target: Target) -> None:
    score = run(target, _SHORT, seed=7)
    assert score.crashes == {}
    assert score.taken > 0


@pytest.mark.parametrize("target", TARGETS, ids=_NAMES)
@settings(max_examples=40, deadline=None)
@given(data=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))))
def test_arbitrary_bytes_are_accepted_or_refused_properly(target: Target, data: bytes) -> None:
    target.check(data)


@pytest.mark.slow
def test_a_million_inputs_find_nothing() -> None:
    assert main(["--inputs", str(_INPUTS), "--seed", "1"]) == 0


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_following_coverage_finds_nothing() -> None:
    assert main(["--engine", "atheris", "--inputs", str(_INPUTS // 50), "--seed", "1"]) == 0
