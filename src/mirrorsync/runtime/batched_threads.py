"""Blocking calls that share a thread hop: what comes while a thread is busy is served together by the next one."""

from collections.abc import Callable, Sequence
from typing import Any

import outcome
import trio
from trio.lowlevel import Abort, RaiseCancelT, Task


def _nothing() -> None:
    pass


class Call:
    """One task's wish, and what came of it."""

    def __init__(self, work: Any, task: Task) -> None:
        self.work = work
        self.result: outcome.Outcome[Any] = outcome.Value(None)
        self._task = task

    def wake(self) -> None:
        """Hand the result to the task that waits for it."""
        trio.lowlevel.reschedule(self._task, self.result)


def serve_each(calls: Sequence[Call]) -> None:
    """Do each call's work, one after the other."""
    for call in calls:
        call.result = outcome.capture(call.work)


class BatchedThread:
    """Up to `lanes` threads; each serves at once all calls that wait when it starts.

    An empty thread hop costs more than writing a small file does, and it is the hop that is shared here.
    `serve` runs in the thread and sets each call's result, None if it is left alone; what it raises, all get.
    """

    def __init__(self, serve: Callable[[Sequence[Call]], None] = serve_each, *, lanes: int) -> None:
        self._serve = serve
        self._free_lanes = lanes
        self._waiting: list[Call] = []
        self._start_is_due = False

    async def call(self, work: Any = _nothing) -> Any:
        """Return what comes of `work` (a function, unless `serve` knows better) in a thread that started after this.

        Cancellation: heeded until a thread takes the call, which is never abandoned then.
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
        # Not now: tasks that were woken together call together, and share one thread if it waits for them all.
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
