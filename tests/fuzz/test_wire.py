"""No answer, however garbled, makes a request hang, or another request get it."""

import os
import ssl
from typing import Final

import pytest

from tests.contract.transports import OURS, STOCK
from tests.fuzz.wire import main, search

_RUNS: Final = int(os.environ.get("MIRRORSYNC_FUZZ_WIRE_RUNS", "20000"))
"""Of the long version."""


async def test_a_garbled_answer_is_taken_or_refused_and_never_anothers() -> None:
    outcome = await search(300, seed=7, transport=OURS.build(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)))
    assert outcome.harms == ()
    assert outcome.taken > 0
    assert outcome.refused > 0


async def test_the_search_finds_what_it_is_for() -> None:
    outcome = await search(300, seed=7, transport=STOCK.build(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)))
    assert outcome.harms, "the stock transport gives to a request what was read with the answer before"


@pytest.mark.slow
def test_twenty_thousand_garbled_answers_do_no_harm() -> None:
    assert main(["--runs", str(_RUNS), "--seed", "1"]) == 0
