"""What a server was asked, and over how many connections. Thread-safe."""

import threading

from msgspec.structs import replace

from tests.support.pypi.exchange import Recorded


class Log:
    """Requests in the order in which they were complete; a request is there before its answer goes out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[int, Recorded] = {}
        self._count = 0
        self._open = 0
        self.connections = 0
        """Connections accepted so far."""
        self.peak_connections = 0
        """Connections open at one time, at most."""

    def add(self, record: Recorded) -> int:
        """Remember a request; return what `settle` knows it by."""
        with self._lock:
            self._count += 1
            self._records[self._count] = record
            return self._count

    def settle(self, number: int, *, status: int, sent: int) -> None:
        """Tell what came of a request, unless it was cleared meanwhile."""
        with self._lock:
            if number in self._records:
                self._records[number] = replace(self._records[number], status=status, sent=sent)

    def all(self) -> list[Recorded]:
        """Return them as they are now."""
        with self._lock:
            return list(self._records.values())

    def clear(self) -> None:
        """Forget all requests; the peak begins anew with what is open."""
        with self._lock:
            self._records.clear()
            self.peak_connections = self._open

    def opened(self) -> int:
        """Count a connection in; return its number."""
        with self._lock:
            self.connections += 1
            self._open += 1
            self.peak_connections = max(self.peak_connections, self._open)
            return self.connections

    def closed(self) -> None:
        """Count a connection out."""
        with self._lock:
            self._open -= 1
