import pytest
import trio
import trio.testing

from mirrorsync.errors import Malformed, MirrorsyncError, Throttled, Unreachable
from mirrorsync.upstream.http.retry import RetryPolicy, retry


class FailingAttempt:
    """Raise `failures` one after the other, then return "done"; record the time of each call."""

    def __init__(self, *failures: MirrorsyncError) -> None:
        self.failures = list(failures)
        self.tried_at: list[float] = []

    async def __call__(self) -> str:
        self.tried_at.append(trio.current_time())
        if self.failures:
            raise self.failures.pop(0)
        return "done"


def unreachable(count: int) -> list[Unreachable]:
    return [Unreachable("index", why="HTTP 500", hint="wait") for _ in range(count)]


async def test_fourth_attempt_may_succeed(autojump_clock: trio.testing.MockClock) -> None:
    work = FailingAttempt(*unreachable(3))
    started = autojump_clock.current_time()
    assert await retry(RetryPolicy(), work) == "done"
    assert 1 + 2 + 4 <= autojump_clock.current_time() - started <= 1 + 2 + 4 + 3


async def test_fourth_failure_is_raised_with_count_and_time(autojump_clock: trio.testing.MockClock) -> None:
    del autojump_clock
    work = FailingAttempt(*unreachable(9))
    with pytest.raises(Unreachable, match=r"^index: HTTP 500; 4 attempts in (\d+\.\d) s$") as failed:
        await retry(RetryPolicy(), work)
    assert failed.value.hint == "wait"
    assert len(work.tried_at) == 4


async def test_permanent_failure_is_not_retried(autojump_clock: trio.testing.MockClock) -> None:
    del autojump_clock
    work = FailingAttempt(Malformed("page", why="not JSON"))
    with pytest.raises(Malformed, match=r"^page: not JSON$"):
        await retry(RetryPolicy(), work)
    assert len(work.tried_at) == 1


async def test_retry_after_is_obeyed(autojump_clock: trio.testing.MockClock) -> None:
    del autojump_clock
    work = FailingAttempt(Throttled("index", retry_after=30.0))
    assert await retry(RetryPolicy(), work) == "done"
    assert 30 <= work.tried_at[1] - work.tried_at[0] <= 31


async def test_retry_after_beyond_the_budget_is_raised_at_once(autojump_clock: trio.testing.MockClock) -> None:
    del autojump_clock
    work = FailingAttempt(Throttled("index", retry_after=3600.0))
    with pytest.raises(Throttled) as failed:
        await retry(RetryPolicy(), work)
    assert failed.value.retry_after == 3600.0
    assert len(work.tried_at) == 1


async def test_no_attempt_starts_after_the_budget(autojump_clock: trio.testing.MockClock) -> None:
    del autojump_clock
    work = FailingAttempt(*(Throttled("index", retry_after=25.0) for _ in range(9)))
    with pytest.raises(Throttled):
        await retry(RetryPolicy(attempts=100), work)
    assert work.tried_at[-1] - work.tried_at[0] <= 60


async def test_a_bug_is_not_retried(autojump_clock: trio.testing.MockClock) -> None:
    del autojump_clock
    calls = 0

    async def work() -> None:
        nonlocal calls
        calls += 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await retry(RetryPolicy(), work)
    assert calls == 1


async def test_waiting_can_be_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    with trio.move_on_after(5) as scope:
        await retry(RetryPolicy(), FailingAttempt(Throttled("index", retry_after=50.0)))
    assert scope.cancelled_caught
    assert autojump_clock.current_time() < 6
