"""Blocking operations on the served tree. No symbolic link below its root is followed."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from mirrorsync.errors import StoreDenied
from mirrorsync.model.identity import StorePath, is_segment, store_path
from mirrorsync.model.objects import ObjectInfo
from mirrorsync.store.directories import (
    Directory,
    DirectoryWalk,
    Handle,
    names_of,
    open_directory,
    open_path,
    place_and_name,
)

CHUNK: Final = 1 << 20
"""Maximum number of bytes read or written at a time."""
# O_NONBLOCK: opening a named pipe must not block.
_OBJECT: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ATTEMPTS: Final = 10
"""Attempts at a rename whose target directory is removed meanwhile, by `remove` or a person."""


class Tree:
    """The served tree. Every method blocks, and raises OSError."""

    def __init__(self, web: Directory) -> None:
        self._web = web

    def open_walk(self) -> DirectoryWalk:
        """Return a walk from the root, which consecutive calls can share."""
        return DirectoryWalk(self._web)

    def place(self, source: Handle, name: bytes, path: StorePath, walk: DirectoryWalk) -> None:
        """Rename `name` in `source` to `path`, replacing an object there; make its parents."""
        place, last = place_and_name(path)
        for attempts_left in reversed(range(_ATTEMPTS)):
            try:
                os.rename(name, last, src_dir_fd=source.descriptor, dst_dir_fd=walk.make(place))
            except FileNotFoundError:
                walk.leave()
                if not attempts_left:
                    raise
            else:
                return

    def status(self, path: StorePath) -> os.stat_result | None:
        """Return the status of the regular file at `path`; None for anything else, links included."""
        place, last = place_and_name(path)
        with self.open_walk() as walk:
            parent = walk.find(place)
            if parent is None:
                return None
            try:
                status = os.stat(last, dir_fd=parent, follow_symlinks=False)
            except FileNotFoundError:
                return None
        return status if stat.S_ISREG(status.st_mode) else None

    def holds(self, path: StorePath, body: bytes, walk: DirectoryWalk) -> bool:
        """Return whether the object at `path` is `body`; it is read only if the sizes match."""
        descriptor = _open(path, walk)
        if descriptor is None:
            return False
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size != len(body):
                return False
            with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file:
                return file.readall() == body
        finally:
            os.close(descriptor)

    def chunks(self, path: StorePath) -> Iterator[bytes]:
        """Yield the object's bytes. Raises: StoreDenied when there is none."""
        descriptor = self._open_object(path)
        if descriptor is None:
            raise StoreDenied(f"{path} is not in the store", hint="if it was deleted by hand, restore it from a backup")
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def _open_object(self, path: StorePath) -> int | None:
        with self.open_walk() as walk:
            descriptor = _open(path, walk)
        if descriptor is None or stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        return None

    def remove(self, path: StorePath) -> None:
        """Remove `path`, and then each empty directory above it except the topmost."""
        *parents, last = names_of(path)
        root = self._web.hold()
        with open_path(root, parents) as descriptors:
            if len(descriptors) > len(parents):
                _unlink(last, descriptors[-1])
            for depth in range(len(descriptors) - 1, 1, -1):
                if not _remove_if_empty(parents[depth - 1], descriptors[depth - 1]):
                    return

    def walk(self, prefix: StorePath) -> Iterator[ObjectInfo]:
        """Yield every regular file below `prefix`, except those that vanish meanwhile."""
        names = names_of(prefix)
        root = self._web.hold()
        with open_path(root, names) as descriptors:
            if len(descriptors) > len(names):
                yield from _walk(descriptors[-1], tuple(prefix.split("/")) if prefix else ())


def _open(path: StorePath, walk: DirectoryWalk) -> int | None:
    """Return a descriptor of the file at `path`; None where it is missing or a link."""
    place, last = place_and_name(path)
    parent = walk.find(place)
    if parent is None:
        return None
    try:
        return os.open(last, _OBJECT, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            return None
        raise


def _unlink(name: bytes, parent: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)


def _remove_if_empty(name: bytes, parent: int) -> bool:
    try:
        os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):  # busy: a mount point
            return False
        raise
    return True


def _walk(directory: int, above: tuple[str, ...]) -> Iterator[ObjectInfo]:
    with os.scandir(directory) as entries:
        for entry in entries:
            name = _store_name(entry)
            if name is None:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk_child(directory, (*above, name))
            elif entry.is_file(follow_symlinks=False):
                yield from _found(entry, (*above, name))


def _walk_child(parent: int, names: tuple[str, ...]) -> Iterator[ObjectInfo]:
    try:
        child = open_directory(names[-1].encode(), parent)
    except (FileNotFoundError, NotADirectoryError):  # removed, or replaced by a link, since it was listed
        return
    try:
        yield from _walk(child, names)
    finally:
        os.close(child)


def _found(entry: "os.DirEntry[str]", names: tuple[str, ...]) -> Iterator[ObjectInfo]:
    with suppress(FileNotFoundError):
        status = entry.stat(follow_symlinks=False)
        yield ObjectInfo(path=store_path(*names), size=status.st_size, modified=status.st_mtime)


def _store_name(entry: "os.DirEntry[str]") -> str | None:
    """Return the entry's name; None where it is no valid segment of a store path, and so none of our objects."""
    name = os.fsencode(entry.name).decode(errors="surrogateescape")
    return name if is_segment(name) else None
