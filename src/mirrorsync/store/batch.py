"""Many small objects at once: written, made durable and named in one thread hop, with whoever comes at the same time.

An empty hop costs as much as storing two or three small files, and a flush serves all that was written before it.
"""

from collections.abc import Sequence
from typing import Final

from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.blob import Small
from mirrorsync.model.identity import StorePath
from mirrorsync.store.directory import Directory
from mirrorsync.store.durable import GroupSync
from mirrorsync.store.failures import in_words
from mirrorsync.store.temporary import Temporary
from mirrorsync.store.together import Call, Together
from mirrorsync.store.tree import Tree
from mirrorsync.store.verifier import Verifier

_LANES: Final = 2
"""Threads: while one waits for the disk, the other hashes and writes."""

Result = int | MirrorsyncError


class Batch:
    """Objects on their way; `results` holds each one's bytes or failure. Every method blocks."""

    def __init__(self, tree: Tree, staging: Directory, count: int) -> None:
        self._tree = tree
        self._staging = staging
        self._waiting: list[tuple[int, StorePath, Temporary]] = []
        self.results: list[Result] = [0] * count

    def fill(self) -> None:
        """Verify and write what is to be stored, not yet under its name."""
        raise NotImplementedError

    def write(self, index: int, path: StorePath, body: bytes) -> None:
        """Write one object; a failure is its result."""
        temporary = Temporary(self._staging)
        try:
            with in_words(f"{path} cannot be stored"):
                temporary.append(body)
                temporary.close()
        except MirrorsyncError as error:
            temporary.discard()
            self.results[index] = error
        else:
            self.results[index] = len(body)
            self._waiting.append((index, path, temporary))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be named."""
        return not self._waiting

    def name_all(self) -> None:
        """Give the objects their names, in their order."""
        for index, path, temporary in self._waiting:
            try:
                with in_words(f"{path} cannot be stored"):
                    temporary.move(self._tree, path)
            except MirrorsyncError as error:
                self.results[index] = error
                temporary.discard()

    def give_up(self, error: MirrorsyncError) -> None:
        """Name none of the objects: what was written is not known to be on the disk."""
        for index, _, temporary in self._waiting:
            temporary.discard()
            self.results[index] = error


class Files(Batch):
    """Small files, each judged by itself."""

    def __init__(self, tree: Tree, staging: Directory, objects: Sequence[Small]) -> None:
        super().__init__(tree, staging, len(objects))
        self._objects = objects

    def fill(self) -> None:
        """Hash and write each object that is what its page promises."""
        for index, small in enumerate(self._objects):
            verifier = Verifier(small.path, small.expect)
            try:
                verifier.admit(len(small.body))
                verifier.update(small.body)
                verifier.verify()
            except MirrorsyncError as error:
                self.results[index] = error
            else:
                self.write(index, small.path, small.body)


class Pages(Batch):
    """Pages, of which those that stand already with the same bytes are left untouched."""

    def __init__(self, tree: Tree, staging: Directory, pages: Sequence[tuple[StorePath, bytes]]) -> None:
        super().__init__(tree, staging, len(pages))
        self._tree_of_pages = tree
        self._pages = pages
        self.replaced = 0
        """Pages that did not stand with the same bytes."""

    def fill(self) -> None:
        """Write each page that differs from what stands; the result of another is 0."""
        for index, (path, body) in enumerate(self._pages):
            try:
                with in_words(f"{path} cannot be looked up"):
                    stands = self._tree_of_pages.holds(path, body)
            except MirrorsyncError as error:
                self.results[index] = error
            else:
                if not stands:
                    self.replaced += 1
                    self.write(index, path, body)


class Batches:
    """Takes batches from many tasks; those that come while a thread is busy go together in the next."""

    def __init__(self, sync: GroupSync) -> None:
        self._sync = sync
        self._together = Together(self._serve, lanes=_LANES)

    async def store(self, batch: Batch) -> list[Result]:
        """Fill, flush and name `batch`; return its results.

        Cancellation: heeded until a thread takes the batch; then it is stored to its end.
        """
        await self._together.call(batch)
        return batch.results

    def _serve(self, calls: Sequence[Call]) -> None:
        failures_before = self._sync.failures
        batches: list[Batch] = [call.work for call in calls]
        for batch in batches:
            batch.fill()
        if all(batch.is_empty for batch in batches):
            return
        try:
            with in_words("the disk cannot be flushed"):
                self._sync.flush_here(failures_before)
        except MirrorsyncError as error:
            for batch in batches:
                batch.give_up(error)
            return
        for batch in batches:
            batch.name_all()
