"""Retries: the only place where a failed request is sent again."""

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
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
    attempts = 0
    while True:
        attempts += 1
        try:
            if failed is None:
                return await attempt()
            raise failed
        except MirrorsyncError as error:
            if not is_retryable(error):
                raise
            wait, spent = policy.wait(error, attempts), trio.current_time() - started
            if attempts >= policy.attempts or spent + wait > policy.seconds:
                if attempts == 1:
                    raise
                raise _with_count(error, attempts, spent) from error
            on_retry(error)
        failed = None
        await trio.sleep(wait)


def _with_count(error: MirrorsyncError, attempts: int, seconds: float) -> MirrorsyncError:
    why = f"{error.why}; " if error.why else ""
    return type(error)(
        error.what,
        why=f"{why}{attempts} attempts in {seconds:.1f} s",
        hint=error.hint,
        retry_after=error.retry_after,
    )
