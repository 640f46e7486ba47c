"""Storing many small objects in one thread hop: written, flushed, renamed and flushed again.

A hop costs as much as storing several small files, and one flush serves all objects written before it.
"""

from collections.abc import Sequence
from typing import Final

from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.identity import StorePath
from mirrorsync.model.objects import Small
from mirrorsync.runtime.batched_threads import BatchedThread, Call
from mirrorsync.store.directories import Directory
from mirrorsync.store.durable import GroupSync
from mirrorsync.store.errors import store_error
from mirrorsync.store.temp_files import TempFiles
from mirrorsync.store.tree import Tree
from mirrorsync.store.verifier import verify_whole

_LANES: Final = 1
"""Threads. A second one would split the batches that arrive during a flush, and flush for each part."""

Result = int | MirrorsyncError


class Hop:
    """What all batches of one thread hop share."""

    def __init__(self, tree: Tree, staging: Directory) -> None:
        self.tree = tree
        self.walk = tree.open_walk()
        self.temp_files = TempFiles(staging)


class Batch:
    """Objects to store; `results` has the size or the failure of each. Every method blocks."""

    stops_at_failure = False
    """Whether the objects after a failed one are left as they were."""

    def __init__(self, count: int) -> None:
        self.written: list[tuple[int, StorePath, bytes]] = []
        """Objects without their final name: index, path, and the name of the temporary file."""
        self.results: list[Result] = [0] * count

    def fill(self, hop: Hop) -> None:
        """Verify the objects and write them to temporary files."""
        raise NotImplementedError

    def write(self, index: int, path: StorePath, body: bytes, hop: Hop) -> None:
        """Write one object to a temporary file; a failure becomes its result."""
        try:
            name = hop.temp_files.write(body)
        except OSError as error:
            self.results[index] = _failure(error, f"{path} cannot be stored")
        else:
            self.results[index] = len(body)
            self.written.append((index, path, name))

    def rename_all(self, hop: Hop) -> None:
        """Rename the temporary files to their paths, in order."""
        if not self.written:
            return
        home, place, walk = hop.temp_files.home, hop.tree.place, hop.walk
        for position, (index, path, name) in enumerate(self.written):
            try:
                place(home, name, path, walk)
            except OSError as error:
                self.results[index] = _failure(error, f"{path} cannot be stored")
                if self.stops_at_failure:
                    self.written = self.written[position:]
                    self.discard(hop)
                    return
                hop.temp_files.discard(name)

    def discard(self, hop: Hop) -> None:
        """Remove the temporary files: their content may not be on the disk."""
        for _, _, name in self.written:
            hop.temp_files.discard(name)

    @property
    def has_success(self) -> bool:
        """Whether an object did not fail."""
        return any(not isinstance(result, MirrorsyncError) for result in self.results)

    def fail(self, error: MirrorsyncError) -> None:
        """Make `error` the result of all objects that did not fail themselves: they may not be on the disk."""
        self.results = [result if isinstance(result, MirrorsyncError) else error for result in self.results]


class Files(Batch):
    """Small files. Each fails or succeeds by itself."""

    def __init__(self, objects: Sequence[Small]) -> None:
        super().__init__(len(objects))
        self._objects = objects

    def fill(self, hop: Hop) -> None:
        """Hash and write each file, sorted by path, so that a file and its sidecar share a directory walk."""
        objects = self._objects
        for index in sorted(range(len(objects)), key=lambda index: objects[index].path):
            small = objects[index]
            try:
                verify_whole(small.path, small.expect, small.body)
            except MirrorsyncError as error:
                self.results[index] = error.as_value()
            else:
                self.write(index, small.path, small.body, hop)


class Pages(Batch):
    """Pages. Those that are already stored with the same bytes are left untouched.

    After a failed one none is replaced: a page must never be newer than its compressed sibling, which precedes it.
    """

    stops_at_failure = True

    def __init__(self, pages: Sequence[tuple[StorePath, bytes]]) -> None:
        super().__init__(len(pages))
        self._pages = pages
        self.replaced = 0
        """Number of pages that were missing or different."""

    def fill(self, hop: Hop) -> None:
        """Write each page that differs from the stored one; the result of an equal page is 0."""
        for index, (path, body) in enumerate(self._pages):
            try:
                is_equal = hop.tree.holds(path, body, hop.walk)
            except OSError as error:
                self.results[index] = _failure(error, f"{path} cannot be examined")
            else:
                if not is_equal:
                    self.replaced += 1
                    self.write(index, path, body, hop)
            if isinstance(self.results[index], MirrorsyncError):
                return


class Batches:
    """Stores the batches of many tasks; those that arrive during a hop share the next one."""

    def __init__(self, tree: Tree, staging: Directory, sync: GroupSync) -> None:
        self._tree = tree
        self._staging = staging
        self._sync = sync
        self._threads = BatchedThread(self._serve, lanes=_LANES)

    async def store(self, batch: Batch) -> list[Result]:
        """Store `batch` and return its results. Objects that did not fail are durable.

        Cancellation: takes effect until a thread starts on the batch; from then on it is completed.
        """
        await self._threads.call(batch)
        return batch.results

    def _serve(self, calls: Sequence[Call]) -> None:
        failures_before = self._sync.failures
        batches: list[Batch] = [call.work for call in calls]
        hop = Hop(self._tree, self._staging)
        with hop.walk:
            for batch in batches:
                batch.fill(hop)
            if any(batch.written for batch in batches):
                hop.walk.leave()  # during a flush, which may take seconds, an open directory may be moved
                if not self._flushed(batches, failures_before):
                    for batch in batches:
                        batch.discard(hop)
                    return
                for batch in batches:
                    batch.rename_all(hop)
        # An equal page, too, may have been renamed by a process that died before its flush.
        if any(batch.has_success for batch in batches) and not self._flushed(batches, failures_before):
            self._sync.mark_unflushed()

    def _flushed(self, batches: Sequence[Batch], failures_before: int) -> bool:
        """Flush; if that fails, all objects fail."""
        try:
            self._sync.flush_here(failures_before)
        except OSError as error:
            for batch in batches:
                batch.fail(_failure(error, "the disk cannot be flushed"))
            return False
        return True


def _failure(error: OSError, what: str) -> MirrorsyncError:
    # The traceback refers to the batch, whose result the error becomes: a cycle that would keep all bodies in memory.
    return store_error(error.with_traceback(None), what)
