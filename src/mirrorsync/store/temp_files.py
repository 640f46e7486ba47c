"""Temporary files in the staging directory."""

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
    """Small files that one thread writes, each in one call. Every method blocks, and raises OSError.

    A name is a random number and a count: upstream's names must not choose a path.
    """

    def __init__(self, staging: Directory) -> None:
        self._staging = staging
        self._home: Handle | None = None
        self._stem = secrets.token_hex(8).encode()
        self._count = 0
        self._modes_are_right = False

    @property
    def home(self) -> Handle:
        """The staging directory."""
        self._home = self._home or self._staging.hold()
        return self._home

    def write(self, body: bytes) -> bytes:
        """Write `body` to a new file and return its name; a failure leaves no file."""
        self._count += 1
        name = b"%b%x" % (self._stem, self._count)
        descriptor = os.open(name, _NEW_FILE, _FILE_MODE, dir_fd=self.home.descriptor)
        try:
            try:
                if not self._modes_are_right:  # the umask affects all files alike
                    self._modes_are_right = not set_permissions(descriptor, _FILE_MODE)
                _write_whole(descriptor, body)
            finally:
                os.close(descriptor)
        except OSError:
            self.discard(name)
            raise
        return name

    def discard(self, name: bytes) -> None:
        """Remove a file; `Store.check` removes it later if this fails."""
        with suppress(OSError):
            os.unlink(name, dir_fd=self.home.descriptor)


class TempFile:
    """Exists from the first `append` until `move` or `discard`. Every method blocks, and raises OSError.

    The name is random and short: upstream's name may already have 255 bytes, and must not choose a path.
    """

    def __init__(self, staging: Directory) -> None:
        self._staging = staging
        self._name = secrets.token_hex(8).encode()
        self._home: Handle | None = None
        self._descriptor: int | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a file to discard."""
        return self._home is not None

    def append(self, body: Chunk) -> None:
        """Append `body`; the first call creates the file."""
        descriptor = self._create() if self._descriptor is None else self._descriptor
        _write_whole(descriptor, body)

    def _create(self) -> int:
        home = self._staging.hold()
        self._descriptor = os.open(self._name, _NEW_FILE, _FILE_MODE, dir_fd=home.descriptor)
        self._home = home
        set_permissions(self._descriptor, _FILE_MODE)
        return self._descriptor

    def close(self) -> None:
        """Close the file; network file systems and quotas report failed writes here."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def move(self, tree: Tree, path: StorePath) -> None:
        """Rename the closed file to `path` in `tree`."""
        if self._home is not None:
            with tree.open_walk() as walk:
                tree.place(self._home, self._name, path, walk)
            self._home = None

    def discard(self) -> None:
        """Remove the file if it exists; `Store.check` removes it later if this fails."""
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
