"""Directories held by descriptor, and the way down from them that no symbolic link can divert."""

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


def place_and_name(path: StorePath) -> tuple[bytes, bytes]:
    """Return the directory of `path`, empty for the root, and the name in it."""
    place, _, name = path.encode().rpartition(b"/")
    return place, name


def set_permissions(descriptor: int, mode: int) -> bool:
    """Give an open file or directory `mode` where the umask took from it; tell whether it did."""
    now = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if now & _PERMISSIONS == mode:
        return False
    # File systems with fixed modes (CIFS, vfat) refuse, and then the mount option is the operator's word.
    with suppress(PermissionError):
        os.fchmod(descriptor, now & ~_PERMISSIONS | mode)
    return True


class DirectoryWalk:
    """One thread's way down to one directory after another: what the next shares with the last stays open.

    Not to be kept: where a directory on the way is moved meanwhile, it leads to where it is now.
    Raises: OSError; NotADirectoryError, naming the place, where a symbolic link or a file stands in the way.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._root: Handle | None = None
        self._names: list[bytes] = []
        self._descriptors: list[int] = []
        """Of the root, where it was needed yet, and of each of the names."""
        self._reached: bytes | None = None
        self._absent: set[bytes] = set()
        self._right_below: bytes | None = None
        """The topmost directory in which a new one came out with the right mode: so will the next."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Close what is open: the next way begins at the top."""
        self._climb(0)
        self._descriptors.clear()
        self._reached = self._root = None

    def find(self, place: bytes) -> int | None:
        """Return the descriptor of the directory `place`, None if it was not there when it was first looked for."""
        if place == self._reached:
            return self._descriptors[-1]
        if place in self._absent:
            return None
        names = self._turn_to(place)
        try:
            for name in names:
                self._enter(name, open_directory(name, self._descriptors[-1]))
        except FileNotFoundError:
            self._absent.add(place)
            return None
        except NotADirectoryError as error:
            raise self._in_the_way(place, error) from error
        self._reached = place
        return self._descriptors[-1]

    def make(self, place: bytes) -> int:
        """Return the descriptor of the directory `place`, which is made, with its parents, if it is not there.

        Raises: FileNotFoundError, too, when somebody removes what was made; the next try begins at the top.
        """
        if place == self._reached:
            return self._descriptors[-1]
        try:
            names = self._turn_to(place)
            new = len(names) == 1 and place in self._absent
            for name in names:
                # In a directory that is new nothing stands yet: no need to look.
                child = None if new else _open_if_there(name, self._descriptors[-1])
                new = child is None
                self._enter(name, self._made_child(name) if child is None else child)
        except FileNotFoundError:
            self.leave()
            raise
        except NotADirectoryError as error:
            raise self._in_the_way(place, error) from error
        self._reached = place
        self._absent.discard(place)
        return self._descriptors[-1]

    def _made_child(self, name: bytes) -> int:
        parent = self._descriptors[-1]
        try:
            os.mkdir(name, _DIRECTORY_MODE, dir_fd=parent)
        except FileExistsError:  # somebody else made it meanwhile, and sees to its mode
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

    def _turn_to(self, place: bytes) -> Sequence[bytes]:
        """Leave the directories that do not lead to `place`; return the names that are still to go."""
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

    def _in_the_way(self, place: bytes, error: NotADirectoryError) -> NotADirectoryError:
        names = place.split(b"/")[: len(self._names) + 1]
        return NotADirectoryError(error.errno, error.strerror, b"/".join(names))


def _open_if_there(name: bytes, parent: int) -> int | None:
    try:
        return open_directory(name, parent)
    except FileNotFoundError:
        return None


@contextmanager
def way_down(root: Handle, names: Sequence[bytes]) -> Iterator[list[int]]:
    """Yield the descriptors of `root` and of each directory in `names` below it, up to one that is not there.

    Raises: OSError; NotADirectoryError, naming the place, where a symbolic link or a file stands in the way.
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
