"""Files in the staging directory, on their way to a name."""

import os
import secrets
from contextlib import suppress
from typing import Final

from mirrorsync.model.identity import StorePath
from mirrorsync.model.objects import Chunk
from mirrorsync.store.directories import Directory, Handle, set_permissions
from mirrorsync.store.tree import Tree

_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_MODE: Final = 0o644


class TempFiles:
    """Small files, each written in one go, by one thread. Every method blocks, and raises OSError.

    Their names are of one random number and a count: names of upstream's must choose no path.
    """

    def __init__(self, staging: Directory) -> None:
        self._staging = staging
        self._home: Handle | None = None
        self._stem = secrets.token_hex(8).encode()
        self._count = 0
        self._modes_are_right = False

    @property
    def home(self) -> Handle:
        """The directory that they are in."""
        self._home = self._home or self._staging.hold()
        return self._home

    def write(self, body: bytes) -> bytes:
        """Return the name of a new file that holds `body`; a failure leaves none."""
        self._count += 1
        name = b"%b%x" % (self._stem, self._count)
        descriptor = os.open(name, _NEW_FILE, _FILE_MODE, dir_fd=self.home.descriptor)
        try:
            try:
                if not self._modes_are_right:  # what the umask took from one it takes from all in the same directory
                    self._modes_are_right = not set_permissions(descriptor, _FILE_MODE)
                _write_whole(descriptor, body)
            finally:
                os.close(descriptor)
        except OSError:
            self.discard(name)
            raise
        return name

    def discard(self, name: bytes) -> None:
        """Remove a file. What cannot be removed now, the next `Store.check` removes."""
        with suppress(OSError):
            os.unlink(name, dir_fd=self.home.descriptor)


class TempFile:
    """Exists from the first `append` until `move` or `discard`. Every method blocks, and raises OSError.

    Its name is random and short: a name of upstream's may have 255 bytes already, and must choose no path.
    """

    def __init__(self, staging: Directory) -> None:
        self._staging = staging
        self._name = secrets.token_hex(8).encode()
        self._home: Handle | None = None
        self._descriptor: int | None = None

    @property
    def exists(self) -> bool:
        """Whether there is something to discard."""
        return self._home is not None

    def append(self, body: Chunk) -> None:
        """Write `body` at the end, making the file where this is the first."""
        descriptor = self._create() if self._descriptor is None else self._descriptor
        _write_whole(descriptor, body)

    def _create(self) -> int:
        home = self._staging.hold()
        self._descriptor = os.open(self._name, _NEW_FILE, _FILE_MODE, dir_fd=home.descriptor)
        self._home = home
        set_permissions(self._descriptor, _FILE_MODE)
        return self._descriptor

    def close(self) -> None:
        """Close the file: network file systems and quotas tell of a failed write here."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def move(self, tree: Tree, path: StorePath) -> None:
        """Give the file, closed before, the name `path` in `tree`."""
        if self._home is not None:
            with tree.descent() as descent:
                tree.place(self._home, self._name, path, descent)
            self._home = None

    def discard(self) -> None:
        """Remove what there is. What cannot be removed now, the next `Store.check` removes."""
        with suppress(OSError):
            self.close()
        if self._home is not None:
            with suppress(OSError):
                os.unlink(self._name, dir_fd=self._home.descriptor)
            self._home = None


def _write_whole(descriptor: int, body: Chunk) -> None:
    written = os.write(descriptor, body) if body else 0
    while written < len(body):
        written += os.write(descriptor, memoryview(body)[written:])
