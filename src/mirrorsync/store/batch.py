"""Many small objects at once: written, flushed, named and flushed again, in one thread hop with all who come meanwhile.

An empty hop costs as much as storing several small files, and a flush serves all that was done before it.
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
"""Threads. A second one would part those who come while the disk is flushed, and flush for each part anew."""

Result = int | MirrorsyncError


class Hop:
    """What all objects that one thread stores together share."""

    def __init__(self, tree: Tree, staging: Directory) -> None:
        self.tree = tree
        self.descent = tree.descent()
        self.drafts = TempFiles(staging)


class Batch:
    """Objects on their way; `results` holds each one's bytes or failure. Every method blocks."""

    ends_at_a_failure = False
    """Whether what comes after one that fails is left as it was."""

    def __init__(self, count: int) -> None:
        self.drafts: list[tuple[int, StorePath, bytes]] = []
        """What is to be named: its index, its path, and the name of its draft."""
        self.results: list[Result] = [0] * count

    def fill(self, hop: Hop) -> None:
        """Verify and write what is to be stored, not yet under its name."""
        raise NotImplementedError

    def write(self, index: int, path: StorePath, body: bytes, hop: Hop) -> None:
        """Write one object; a failure is its result."""
        try:
            name = hop.drafts.write(body)
        except OSError as error:
            self.results[index] = _told(error, f"{path} cannot be stored")
        else:
            self.results[index] = len(body)
            self.drafts.append((index, path, name))

    def name_all(self, hop: Hop) -> None:
        """Give the objects their names, in their order."""
        if not self.drafts:
            return
        home, place, descent = hop.drafts.home, hop.tree.place, hop.descent
        for position, (index, path, name) in enumerate(self.drafts):
            try:
                place(home, name, path, descent)
            except OSError as error:
                self.results[index] = _told(error, f"{path} cannot be stored")
                if self.ends_at_a_failure:
                    self.drafts = self.drafts[position:]
                    self.discard(hop)
                    return
                hop.drafts.discard(name)

    def discard(self, hop: Hop) -> None:
        """Name none of the objects: what was written is not known to be on the disk."""
        for _, _, name in self.drafts:
            hop.drafts.discard(name)

    @property
    def succeeds(self) -> bool:
        """Whether there is an object that did not fail."""
        return any(not isinstance(result, MirrorsyncError) for result in self.results)

    def fail(self, error: MirrorsyncError) -> None:
        """Say `error` of all objects that did not fail by themselves: they are not known to be on the disk."""
        self.results = [result if isinstance(result, MirrorsyncError) else error for result in self.results]


class Files(Batch):
    """Small files, each judged by itself."""

    def __init__(self, objects: Sequence[Small]) -> None:
        super().__init__(len(objects))
        self._objects = objects

    def fill(self, hop: Hop) -> None:
        """Hash and write each object that is what its page promises; a file and its sidecar follow each other."""
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
    """Pages, of which those that stand already with the same bytes are left untouched.

    After one that fails none is replaced: a page must not get newer than the compressed sibling that goes before it.
    """

    ends_at_a_failure = True

    def __init__(self, pages: Sequence[tuple[StorePath, bytes]]) -> None:
        super().__init__(len(pages))
        self._pages = pages
        self.replaced = 0
        """Pages that did not stand with the same bytes."""

    def fill(self, hop: Hop) -> None:
        """Write each page that differs from what stands; the result of another is 0."""
        for index, (path, body) in enumerate(self._pages):
            try:
                stands = hop.tree.holds(path, body, hop.descent)
            except OSError as error:
                self.results[index] = _told(error, f"{path} cannot be looked up")
            else:
                if not stands:
                    self.replaced += 1
                    self.write(index, path, body, hop)
            if isinstance(self.results[index], MirrorsyncError):
                return


class Batches:
    """Takes batches from many tasks; those that come while a thread is busy go together in the next."""

    def __init__(self, tree: Tree, staging: Directory, sync: GroupSync) -> None:
        self._tree = tree
        self._staging = staging
        self._sync = sync
        self._together = BatchedThread(self._serve, lanes=_LANES)

    async def store(self, batch: Batch) -> list[Result]:
        """Fill, flush and name `batch`, and flush the names; return its results, durable where they are no failures.

        Cancellation: heeded until a thread takes the batch; then it is stored to its end.
        """
        await self._together.call(batch)
        return batch.results

    def _serve(self, calls: Sequence[Call]) -> None:
        failures_before = self._sync.failures
        batches: list[Batch] = [call.work for call in calls]
        hop = Hop(self._tree, self._staging)
        with hop.descent:
            for batch in batches:
                batch.fill(hop)
            if any(batch.drafts for batch in batches):
                hop.descent.leave()  # a flush may take seconds, in which somebody may move what is open
                if not self._flushed(batches, failures_before):
                    for batch in batches:
                        batch.discard(hop)
                    return
                for batch in batches:
                    batch.name_all(hop)
        # Pages that stood already, too, may have been named by a process that died before it could flush.
        if any(batch.succeeds for batch in batches) and not self._flushed(batches, failures_before):
            self._sync.loosen()

    def _flushed(self, batches: Sequence[Batch], failures_before: int) -> bool:
        """Flush; where that fails, let all objects fail."""
        try:
            self._sync.flush_here(failures_before)
        except OSError as error:
            for batch in batches:
                batch.fail(_told(error, "the disk cannot be flushed"))
            return False
        return True


def _told(error: OSError, what: str) -> MirrorsyncError:
    # Without its traceback, which would hold the batch, whose result it becomes, and all bodies in a circle.
    return store_error(error.with_traceback(None), what)
