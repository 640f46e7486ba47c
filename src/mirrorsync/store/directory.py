"""Directories held by descriptor, and the way down from them that no symbolic link can divert."""

import os
import stat
import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from mirrorsync.model.identity import StorePath

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY_MODE: Final = 0o755
_PERMISSIONS: Final = 0o777


class Handle:
    """An open directory; closed when nobody refers to it any more, so that no thread meets a reused number."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)


class Directory:
    """One of the store's two roots, opened when it is first needed. Its methods block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: Handle | None = None

    def hold(self) -> Handle:
        """Return the open directory; keep the handle for as long as its descriptor is in use.

        Raises: OSError, also when the directory is a symbolic link.
        """
        return self._handle or self.reopen()

    def reopen(self) -> Handle:
        """Open what stands at the path now, as `hold` does from here on."""
        handle = Handle(open_directory(os.fsencode(self.path)))
        self._handle = handle
        return handle


def open_directory(name: bytes, parent: int | None = None) -> int:
    """Return a descriptor of the directory `name` below `parent`. Raises: NotADirectoryError for a link, too."""
    return os.open(name, _DIRECTORY, dir_fd=parent)


def names_of(path: StorePath) -> tuple[bytes, ...]:
    """Return the segments of `path` as the file system knows them: UTF-8, whatever the locale is."""
    return tuple(segment.encode() for segment in path.split("/")) if path else ()


def set_permissions(descriptor: int, mode: int) -> None:
    """Give an open file or directory `mode` where the umask took from it."""
    now = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if now & _PERMISSIONS != mode:
        # File systems with fixed modes (CIFS, vfat) refuse, and then the mount option is the operator's word.
        with suppress(PermissionError):
            os.fchmod(descriptor, now & ~_PERMISSIONS | mode)


@contextmanager
def way_down(root: Handle, names: Sequence[bytes], *, create: bool) -> Iterator[list[int]]:
    """Yield the descriptors of `root` and of each directory in `names` below it.

    The list ends early at a directory that is not there, unless `create` asks to make it (mode 0755).
    Raises: OSError; NotADirectoryError, naming the place, where a symbolic link or a file stands in the way.
    """
    with ExitStack() as opened:
        descriptors = [root.descriptor]
        for depth, name in enumerate(names):
            try:
                child = _open_child(descriptors[-1], name, create=create)
            except FileNotFoundError:
                if create:
                    raise
                break
            except NotADirectoryError as error:
                raise NotADirectoryError(error.errno, error.strerror, b"/".join(names[: depth + 1])) from error
            opened.callback(os.close, child)
            descriptors.append(child)
        yield descriptors


def _open_child(parent: int, name: bytes, *, create: bool) -> int:
    try:
        return open_directory(name, parent)
    except FileNotFoundError:
        if not create:
            raise
    with suppress(FileExistsError):  # somebody else made it meanwhile
        os.mkdir(name, _DIRECTORY_MODE, dir_fd=parent)
    child = open_directory(name, parent)
    set_permissions(child, _DIRECTORY_MODE)
    return child
