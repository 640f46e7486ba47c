"""Loading a library without what it takes along and nobody here uses: starting is most of what some commands cost."""

import gc
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any


@contextmanager
def sparing(*, without: Collection[str] = (), later: Collection[str] = ()) -> Iterator[None]:
    """Within the context `without` is not to be had, and of `later` those who import it get a promise.

    A library that takes what it finds must do without the one, as where it is not installed. The other is loaded when
    something of it is used for the first time. Afterwards everybody else imports both as ever. For the import of a
    library, in the thread that starts the program: no other one may import meanwhile.
    """
    names = (*without, *later)
    kept = {name: sys.modules[name] for name in names if name in sys.modules}
    sys.modules.update(dict.fromkeys(without))  # type: ignore[arg-type] # None: what importlib takes for "not to be had"
    sys.modules.update({name: _promise(name) for name in later if name not in kept})
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(kept)


@contextmanager
def for_good() -> Iterator[None]:
    """Take all that is loaded within the context for what stays: no garbage is looked for in it, now or ever after."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def _promise(name: str) -> ModuleType:
    """Return a module that loads the one called `name` when it is asked for something. Source: PEP 562."""

    def found(attribute: str) -> Any:
        return getattr(import_module(name), attribute)

    module = ModuleType(name)
    vars(module)["__getattr__"] = found
    return module
