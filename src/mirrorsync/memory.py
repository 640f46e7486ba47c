"""Memory that goes back to the system. A process that lives for months is to be as large as what it does.

glibc gives a thread that finds the heap busy one of its own, up to eight for each core, and keeps in each what was
freed there. After ten minutes of changes and troubles such a process had 25 MiB of heaps, and 14 of them were nobody's
(tests/soak). One thread at a time runs Python, so that those who share a heap hardly ever wait for one another.
Source: mallopt(3), malloc_trim(3). Other C libraries do as they like.
"""

import ctypes
import sys
from typing import Any, Final

_LIBRARY: Final = ctypes.CDLL(None)
_M_ARENA_MAX: Final = -8
"""malloc.h: how many heaps there may be."""


def keep_one_heap() -> None:
    """Let all threads share one heap from now on; to be called before there are any."""
    _call("mallopt", _M_ARENA_MAX, 1)


def give_back() -> None:
    """Give what is free to the system: half a millisecond, and whoever needs it again asks for it again."""
    _call("malloc_trim", ctypes.c_size_t(0))


def _call(name: str, *arguments: Any) -> None:
    function = getattr(_LIBRARY, name, None) if sys.platform == "linux" else None
    if function is not None:
        function(*arguments)
