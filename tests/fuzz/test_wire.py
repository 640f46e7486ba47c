"""No garbled response makes a request hang or is returned to another request."""

import os
import ssl
from typing import Final

import pytest

from tests.contract.transports import OURS, STOCK
from tests.fuzz.wire import main, search

_RUNS: Final = int(os.environ.get("MIRRORSYNC_FUZZ_WIRE_RUNS", "20000"))
"""The number of runs of the long version."""


async def test_garbled_response_never_reaches_another_request() -> None:
    outcome = await search(300, seed=7, transport=OURS.build(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)))
    assert outcome.harms == ()
    assert outcome.taken > 0
    assert outcome.refused > 0


async def test_search_finds_the_known_fault_of_the_stock_transport() -> None:
    outcome = await search(300, seed=7, transport=STOCK.build(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)))
    assert outcome.harms, "the stock transport gives to a request what was read with the answer before"


@pytest.mark.slow
def test_twenty_thousand_garbled_responses_do_no_harm() -> None:
    assert main(["--runs", str(_RUNS), "--seed", "1"]) == 0
