"""Blocking calls in batches: calls made while a thread is busy share the next thread."""

from collections.abc import Callable, Sequence
from typing import Any

import outcome
import trio
from trio.lowlevel import Abort, RaiseCancelT, Task


def _nothing() -> None:
    pass


class Call:
    """One task's call and its result."""

    def __init__(self, work: Any, task: Task) -> None:
        self.work = work
        self.result: outcome.Outcome[Any] = outcome.Value(None)
        self._task = task

    def wake(self) -> None:
        """Resume the waiting task with the result."""
        trio.lowlevel.reschedule(self._task, self.result)


def serve_each(calls: Sequence[Call]) -> None:
    """Run the work of each call, one after the other."""
    for call in calls:
        call.result = outcome.capture(call.work)


class BatchedThread:
    """Up to `lanes` threads; each one serves all calls that are waiting when it starts.

    Switching to a thread and back costs more than writing a small file, so calls share it.
    `serve` runs in the thread and sets each call's result (default: None); an error that it raises goes to all calls.
    """

    def __init__(self, serve: Callable[[Sequence[Call]], None] = serve_each, *, lanes: int) -> None:
        self._serve = serve
        self._free_lanes = lanes
        self._waiting: list[Call] = []
        self._start_is_due = False

    async def call(self, work: Any = _nothing) -> Any:
        """Run `work` in a thread that starts after this call, and return its result.

        `work` is a function, unless `serve` takes something else. Cancellation: takes effect until a thread takes the
        call; after that the call runs to its end.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        call = Call(work, trio.lowlevel.current_task())
        self._waiting.append(call)
        self._start_soon()

        def abort(_: RaiseCancelT) -> Abort:
            if call not in self._waiting:
                return Abort.FAILED
            self._waiting.remove(call)
            return Abort.SUCCEEDED

        return await trio.lowlevel.wait_task_rescheduled(abort)

    def _start_soon(self) -> None:
        # Not at once: tasks that were resumed together call together, and then share one thread.
        if self._free_lanes and not self._start_is_due:
            self._start_is_due = True
            trio.lowlevel.current_trio_token().run_sync_soon(self._start)

    def _start(self) -> None:
        self._start_is_due = False
        if not self._waiting:
            return
        calls, self._waiting = self._waiting, []
        self._free_lanes -= 1
        token = trio.lowlevel.current_trio_token()

        def finish(served: outcome.Outcome[None]) -> None:
            token.run_sync_soon(self._finish, calls, served)

        trio.lowlevel.start_thread_soon(lambda: self._serve(calls), finish, name="mirrorsync-store")

    def _finish(self, calls: Sequence[Call], served: outcome.Outcome[None]) -> None:
        self._free_lanes += 1
        for call in calls:
            if isinstance(served, outcome.Error):
                call.result = served
            call.wake()
        if self._waiting:
            self._start_soon()
