"""Retries: the only place where a failed request is sent again."""

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import tenacity
import trio

from mirrorsync.errors import MirrorsyncError, Recovery

_T = TypeVar("_T")


class RetryPolicy(msgspec.Struct, frozen=True):
    """The retry budget of one request."""

    attempts: int = 4
    seconds: float = 60.0
    """No attempt starts later than this after the first."""
    first_wait: float = 1.0
    """Seconds before the second attempt; doubled before each further one. Up to `first_wait` is added at random."""
    longest_wait: float = 20.0

    def wait(self, error: MirrorsyncError, attempts: int) -> float:
        """Return the seconds to wait after `attempts` failed attempts, the last of them with `error`."""
        backoff = min(self.first_wait * 2 ** (attempts - 1), self.longest_wait)
        # Random, because otherwise all clients with the same Retry-After return at the same moment.
        jitter = random.uniform(0.0, self.first_wait)  # noqa: S311 -- no secret depends on it
        return (backoff if error.retry_after is None else error.retry_after) + jitter


def is_retryable(error: BaseException) -> bool:
    """Return True if the same request may succeed shortly."""
    return isinstance(error, MirrorsyncError) and error.recovery is Recovery.RETRY


async def retry(
    policy: RetryPolicy,
    attempt: Callable[[], Awaitable[_T]],
    *,
    failed: MirrorsyncError | None = None,
    on_retry: Callable[[MirrorsyncError], None] = lambda _: None,
) -> _T:
    """Return the result of `attempt`, which is repeated within the budget; then raise its last error with the count.

    A Retry-After is obeyed; if it exceeds the budget, the error is raised at once so that the caller defers.
    `failed` is the error of a first attempt that the caller has just made; it counts.
    Time is trio's clock. Cancellation: between and within attempts.
    """
    started = trio.current_time()
    if failed is None:
        try:
            return await attempt()  # outside of tenacity, which costs as much as a request; most need one attempt
        except MirrorsyncError as error:
            failed = error
    first: list[MirrorsyncError] = [failed]

    async def next_attempt() -> _T:
        if first:
            raise first.pop()
        return await attempt()

    retrying = _within_budget(policy, started, on_retry)
    try:
        return await retrying(next_attempt)
    except MirrorsyncError as error:
        attempts = retrying.statistics.get("attempt_number", 1)
        if attempts == 1:
            raise
        raise _with_count(error, attempts, trio.current_time() - started) from error


def _within_budget(
    policy: RetryPolicy, started: float, on_retry: Callable[[MirrorsyncError], None]
) -> tenacity.AsyncRetrying:
    def is_spent(state: tenacity.RetryCallState) -> bool:
        end = trio.current_time() - started + state.upcoming_sleep
        return state.attempt_number >= policy.attempts or end > policy.seconds

    return tenacity.AsyncRetrying(
        sleep=trio.sleep,
        stop=is_spent,
        wait=lambda state: policy.wait(_error_of(state), state.attempt_number),
        retry=tenacity.retry_if_exception(is_retryable),
        before_sleep=lambda state: on_retry(_error_of(state)),
        reraise=True,
    )


def _error_of(state: tenacity.RetryCallState) -> MirrorsyncError:
    error = None if state.outcome is None else state.outcome.exception()
    if not isinstance(error, MirrorsyncError):
        raise TypeError("only a MirrorsyncError is retried") from error
    return error


def _with_count(error: MirrorsyncError, attempts: int, seconds: float) -> MirrorsyncError:
    why = f"{error.why}; " if error.why else ""
    return type(error)(
        error.what,
        why=f"{why}{attempts} attempts in {seconds:.1f} s",
        hint=error.hint,
        retry_after=error.retry_after,
    )
