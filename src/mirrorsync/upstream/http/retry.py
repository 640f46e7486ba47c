"""Asking again: the one place where a failed request is repeated."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import msgspec
import tenacity
import trio

from mirrorsync.errors import MirrorsyncError, Recovery
from mirrorsync.upstream.http.request_metrics import NO_METRICS, RequestMetrics

_T = TypeVar("_T")


class RetryPolicy(msgspec.Struct, frozen=True):
    """How long one request is tried."""

    attempts: int = 4
    seconds: float = 60.0
    """In all: no attempt starts later than this after the first."""
    first_wait: float = 1.0
    """Seconds before the second attempt; doubled for each further one, and as much again at random."""
    longest_wait: float = 20.0
    meter: RequestMetrics = NO_METRICS
    """Hears of each further attempt."""


def is_worth_retrying(error: BaseException) -> bool:
    """Tell whether the same request may succeed shortly."""
    return isinstance(error, MirrorsyncError) and error.recovery is Recovery.RETRY


async def retry(
    patience: RetryPolicy, work: Callable[[], Awaitable[_T]], *, failed: MirrorsyncError | None = None
) -> _T:
    """Return what `work` returns, tried until it does or `patience` ends; then its last error, with the count.

    Upstream's wish to be left alone for n seconds is obeyed; where n exceeds the budget its error is raised at
    once, so that the caller defers. Time is trio's clock. `failed`: a first attempt was made elsewhere, just now.
    Cancellation: between and within attempts.
    """
    started = trio.current_time()
    try:
        if failed is not None:
            raise failed
        return await work()
    except MirrorsyncError as error:
        if not is_worth_retrying(error):
            raise
        first = error
    return await _go_on(patience, work, first, started)


async def _go_on(
    patience: RetryPolicy, work: Callable[[], Awaitable[_T]], first: MirrorsyncError, started: float
) -> _T:
    """Go on after a first attempt that failed; tenacity's retrying costs as much as a request, and most need none."""
    failed: list[MirrorsyncError] = [first]

    async def attempt() -> _T:
        if failed:
            raise failed.pop()
        return await work()

    jitter = tenacity.wait_random(0, patience.first_wait)
    backoff = tenacity.wait_exponential(multiplier=patience.first_wait, max=patience.longest_wait) + jitter

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, MirrorsyncError) else None
        # Everyone who was told the same number would else come back in the same instant.
        return backoff(state) if asked is None else asked + jitter(state)

    def stop(state: tenacity.RetryCallState) -> bool:
        spent = trio.current_time() - started
        return state.attempt_number >= patience.attempts or spent + state.upcoming_sleep > patience.seconds

    retrying = tenacity.AsyncRetrying(
        sleep=trio.sleep,
        stop=stop,
        wait=wait,
        retry=tenacity.retry_if_exception(is_worth_retrying),
        before_sleep=partial(_tell, patience.meter),
        reraise=True,
    )
    try:
        return await retrying(attempt)
    except MirrorsyncError as error:
        attempts = retrying.statistics.get("attempt_number", 1)
        if attempts == 1:
            raise
        raise _with_count(error, attempts, trio.current_time() - started) from error


def _tell(meter: RequestMetrics, state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, MirrorsyncError):
        meter.retried(error)


def _with_count(error: MirrorsyncError, attempts: int, seconds: float) -> MirrorsyncError:
    why = f"{error.why}; " if error.why else ""
    return type(error)(
        error.what,
        why=f"{why}{attempts} attempts in {seconds:.1f} s",
        hint=error.hint,
        retry_after=error.retry_after,
    )
