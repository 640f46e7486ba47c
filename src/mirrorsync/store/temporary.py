"""A file in the staging directory, on its way to a name."""

import os
import secrets
from contextlib import suppress
from typing import Final

from mirrorsync.model.identity import StorePath
from mirrorsync.store.directory import Directory, Handle, set_permissions
from mirrorsync.store.tree import Tree

_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_MODE: Final = 0o644


class Temporary:
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

    def append(self, body: bytes) -> None:
        """Write `body` at the end, making the file where this is the first."""
        descriptor = self._create() if self._descriptor is None else self._descriptor
        rest = memoryview(body)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

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
            tree.place(self._home, self._name, path)
            self._home = None

    def discard(self) -> None:
        """Remove what there is. What cannot be removed now, the next `Store.check` removes."""
        with suppress(OSError):
            self.close()
        if self._home is not None:
            with suppress(OSError):
                os.unlink(self._name, dir_fd=self._home.descriptor)
            self._home = None
