"""Measuring the steps of a run."""

import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from mirrorsync.observe.run_observer import Step
from mirrorsync.sync.context import SyncContext

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Work = Callable[Concatenate[SyncContext, _P], Awaitable[_T]]


def timed(step: Step) -> Callable[[_Work[_P, _T]], _Work[_P, _T]]:
    """Return a decorator that reports each call's duration to the observer, however the call ended."""

    def decorate(work: _Work[_P, _T]) -> _Work[_P, _T]:
        @wraps(work)
        async def measured(context: SyncContext, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
            began = time.perf_counter()
            try:
                return await work(context, *args, **kwargs)
            finally:
                context.audience.took(step, time.perf_counter() - began)

        return measured

    return decorate
