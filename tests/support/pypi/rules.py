"""Which requests meet which faults.

A rule matches by path, method and XML-RPC call; the first rule that matches and is not used up applies, and all
of its faults do, in their order: `faults.add(r"\\.whl$", IgnoreRange(), Truncate(100), times=2)`.
"""

import re
import threading

from tests.support.pypi.exchange import Request
from tests.support.pypi.faults import Fault


class Rule:
    """Some faults and what they are for; `hits` counts how often they applied."""

    def __init__(
        self, pattern: str, faults: tuple[Fault, ...], *, times: int | None, method: str | None, call: str | None
    ) -> None:
        self.hits = 0
        self._pattern = re.compile(pattern)
        self._faults = faults
        self._times = times
        self._method = method
        self._call = f"<methodName>{call}</methodName>".encode() if call else b""

    def take(self, request: Request) -> tuple[Fault, ...]:
        """Return the faults if this request is meant and they are not used up."""
        if (self._times is not None and self.hits >= self._times) or self._method not in (None, request.method):
            return ()
        if self._call not in request.body or not self._pattern.search(request.target):
            return ()
        self.hits += 1
        return self._faults


class Faults:
    """The rules in force. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []

    def add(
        self,
        pattern: str,
        *faults: Fault,
        times: int | None = None,
        method: str | None = None,
        call: str | None = None,
    ) -> Rule:
        """Add a rule behind the others: `pattern` is searched in path and query, `times` None is for ever.

        `call` is the XML-RPC method that a request must make.
        """
        rule = Rule(pattern, faults, times=times, method=method, call=call)
        with self._lock:
            self._rules = [*self._rules, rule]
        return rule

    def remove(self, rule: Rule) -> None:
        """Let `rule` apply no more."""
        with self._lock:
            self._rules = [other for other in self._rules if other is not rule]

    def clear(self) -> None:
        """Let all be well."""
        with self._lock:
            self._rules = []

    def take(self, request: Request) -> tuple[Fault, ...]:
        """Return the faults for this request, none for most."""
        if not self._rules:
            return ()
        with self._lock:
            return next((faults for rule in self._rules if (faults := rule.take(request))), ())
