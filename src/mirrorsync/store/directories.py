"""Open directories, and walks below them that follow no symbolic link."""

import os
import stat
import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from mirrorsync.model.identity import StorePath

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY_MODE: Final = 0o755
_PERMISSIONS: Final = 0o777


class Handle:
    """An open directory, closed with its last reference, so that no thread uses a recycled descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)


class Directory:
    """One of the store's two roots, opened on first use. Its methods block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: Handle | None = None

    def hold(self) -> Handle:
        """Return the open directory; keep the handle while its descriptor is in use.

        Raises: OSError, also when the directory is a symbolic link.
        """
        return self._handle or self.reopen()

    def reopen(self) -> Handle:
        """Open the directory that is now at the path, also for later calls of `hold`."""
        handle = Handle(open_directory(os.fsencode(self.path)))
        self._handle = handle
        return handle


def open_directory(name: bytes, parent: int | None = None) -> int:
    """Return a descriptor of the directory `name` below `parent`. Raises: OSError; NotADirectoryError for a link."""
    return os.open(name, _DIRECTORY, dir_fd=parent)


def names_of(path: StorePath) -> tuple[bytes, ...]:
    """Return the segments of `path` in the file system's encoding: UTF-8 in every locale."""
    return tuple(segment.encode() for segment in path.split("/")) if path else ()


def place_and_name(path: StorePath) -> tuple[bytes, bytes]:
    """Return the directory of `path` (empty for the root) and the name in it."""
    place, _, name = path.encode().rpartition(b"/")
    return place, name


def set_permissions(descriptor: int, mode: int) -> bool:
    """Give an open file or directory `mode` if the umask changed it; return whether it did."""
    now = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if now & _PERMISSIONS == mode:
        return False
    # File systems with fixed modes (CIFS, vfat) refuse; there the operator decides by mount option.
    with suppress(PermissionError):
        os.fchmod(descriptor, now & ~_PERMISSIONS | mode)
    return True


class DirectoryWalk:
    """One thread's walk to one directory after another; ancestors that two in a row share stay open.

    Use it briefly: an open directory that is moved meanwhile is followed to its new place.
    Raises: OSError; NotADirectoryError, with the path, where a symbolic link or a file takes a directory's place.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._root: Handle | None = None
        self._names: list[bytes] = []
        self._descriptors: list[int] = []
        """Of the root, once it is open, and of each name."""
        self._reached: bytes | None = None
        self._absent: set[bytes] = set()
        self._right_below: bytes | None = None
        """The topmost directory in which the umask left a new directory's mode right: no need to check the next."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Close all directories; the next walk starts at the root."""
        self._climb(0)
        self._descriptors.clear()
        self._reached = self._root = None

    def find(self, place: bytes) -> int | None:
        """Return the descriptor of the directory `place`; None if it did not exist at the first look."""
        if place == self._reached:
            return self._descriptors[-1]
        if place in self._absent:
            return None
        names = self._keep_shared(place)
        try:
            for name in names:
                self._enter(name, open_directory(name, self._descriptors[-1]))
        except FileNotFoundError:
            self._absent.add(place)
            return None
        except NotADirectoryError as error:
            raise self._not_a_directory(place, error) from error
        self._reached = place
        return self._descriptors[-1]

    def make(self, place: bytes) -> int:
        """Return the descriptor of the directory `place`; make it and its parents if they do not exist.

        Raises: also FileNotFoundError, when a new directory is removed meanwhile; the next try starts at the root.
        """
        if place == self._reached:
            return self._descriptors[-1]
        try:
            names = self._keep_shared(place)
            new = len(names) == 1 and place in self._absent
            for name in names:
                # A new directory is empty: no need to look.
                child = None if new else _open_if_there(name, self._descriptors[-1])
                new = child is None
                self._enter(name, self._made_child(name) if child is None else child)
        except FileNotFoundError:
            self.leave()
            raise
        except NotADirectoryError as error:
            raise self._not_a_directory(place, error) from error
        self._reached = place
        self._absent.discard(place)
        return self._descriptors[-1]

    def _made_child(self, name: bytes) -> int:
        parent = self._descriptors[-1]
        try:
            os.mkdir(name, _DIRECTORY_MODE, dir_fd=parent)
        except FileExistsError:  # another thread made it meanwhile, and sets its mode
            return open_directory(name, parent)
        child = open_directory(name, parent)
        if not self._names or self._right_below != self._names[0]:
            try:
                right = not set_permissions(child, _DIRECTORY_MODE)
            except OSError:
                os.close(child)
                raise
            self._right_below = self._names[0] if right and self._names else None
        return child

    def _keep_shared(self, place: bytes) -> Sequence[bytes]:
        """Close the directories that are not ancestors of `place`; return the names from there to `place`."""
        if not self._descriptors:
            self._root = self._directory.hold()
            self._descriptors.append(self._root.descriptor)
        self._reached = None
        names = place.split(b"/") if place else []
        shared = 0
        for old, new in zip(self._names, names, strict=False):
            if old != new:
                break
            shared += 1
        self._climb(shared)
        return names[shared:]

    def _climb(self, depth: int) -> None:
        while len(self._names) > depth:
            self._names.pop()
            os.close(self._descriptors.pop())

    def _enter(self, name: bytes, descriptor: int) -> None:
        self._names.append(name)
        self._descriptors.append(descriptor)

    def _not_a_directory(self, place: bytes, error: NotADirectoryError) -> NotADirectoryError:
        names = place.split(b"/")[: len(self._names) + 1]
        return NotADirectoryError(error.errno, error.strerror, b"/".join(names))


def _open_if_there(name: bytes, parent: int) -> int | None:
    try:
        return open_directory(name, parent)
    except FileNotFoundError:
        return None


@contextmanager
def open_path(root: Handle, names: Sequence[bytes]) -> Iterator[list[int]]:
    """Yield the descriptors of `root` and of each directory in `names` below it, up to the first that is missing.

    Raises: as DirectoryWalk.
    """
    with ExitStack() as opened:
        descriptors = [root.descriptor]
        for depth, name in enumerate(names):
            try:
                child = open_directory(name, descriptors[-1])
            except FileNotFoundError:
                break
            except NotADirectoryError as error:
                raise NotADirectoryError(error.errno, error.strerror, b"/".join(names[: depth + 1])) from error
            opened.callback(os.close, child)
            descriptors.append(child)
        yield descriptors
