"""Results in groups, as they arrive."""

from collections.abc import Sequence
from typing import Generic, Self, TypeVar

import trio

_T = TypeVar("_T")


class Arrivals(Generic[_T]):
    """Iterate over `expected` results, in groups of all that have arrived; waits only when there is none."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._arrived: list[_T] = []
        self._has_arrived = trio.Event()

    def add(self, result: _T) -> None:
        """Add one result to the next group."""
        self._arrived.append(result)
        self._has_arrived.set()

    def __aiter__(self) -> Self:
        """Return self; there is one consumer."""
        return self

    async def __anext__(self) -> Sequence[_T]:
        """Return the next group, which is never empty."""
        if not self._expected:
            raise StopAsyncIteration
        if not self._arrived:
            self._has_arrived = trio.Event()
            await self._has_arrived.wait()
        group, self._arrived = self._arrived, []
        self._expected -= len(group)
        return group
