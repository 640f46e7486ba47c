"""The proof, before any work, that the store's two directories are fit for it. Everything here blocks."""

import errno
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from mirrorsync.errors import StoreDenied
from mirrorsync.store.directories import Directory, set_permissions
from mirrorsync.store.errors import in_words
from mirrorsync.store.temp_files import TempFile

_DIRECTORY_MODE: Final = 0o755
_TOPMOST: Final = ("simple", "packages")


def preflight(web: Directory, staging: Directory) -> int:
    """Make the two directories where they are missing, prove them, and empty `staging`; return the files removed.

    Afterwards both are open anew. Raises: StoreError, OSError.
    """
    for directory in (web, staging):
        _make_below_mirror(directory.path)
    for path in (web.path, staging.path, *(web.path / name for name in _TOPMOST)):
        _refuse_unfit(path)
    if staging.path.resolve().is_relative_to(web.path.resolve()):
        raise StoreDenied(
            f"{staging.path} lies in the served tree {web.path}",
            hint="partial files must never be served: put staging/ beside web/",
        )
    web.reopen()
    staging.reopen()
    _prove_one_file_system(web, staging)
    _prove_writable(staging)
    return _empty(staging)


def _make_below_mirror(path: Path) -> None:
    if not path.parent.is_dir():
        raise StoreDenied(
            f"{path.parent} is not there",
            why="the mirror directory must exist",
            hint=f"is its disk mounted? Else make it: mkdir -p {path.parent}",
        )
    with in_words(f"{path} cannot be made"):
        try:
            path.mkdir(_DIRECTORY_MODE)
        except FileExistsError:
            return
        made = Directory(path).hold()
        set_permissions(made.descriptor, _DIRECTORY_MODE)


def _refuse_unfit(path: Path) -> None:
    """Refuse a link, and a directory in which nothing can be made; absent is well."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        raise StoreDenied(
            f"{path} is {'a symbolic link' if stat.S_ISLNK(mode) else 'not a directory'}",
            why="mirrorsync follows no links in the tree that it writes",
            hint="make it a directory; to keep it on another disk, mount that disk at the mirror directory",
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise StoreDenied(
            f"{path} cannot be written",
            why="its file system is mounted read-only, or its permissions keep this user out",
            hint=f"as the user that runs mirrorsync, try: touch {path}/try && rm {path}/try",
        )


def _prove_one_file_system(web: Directory, staging: Directory) -> None:
    """Prove that a rename from `staging` to `web` can work, without anything ever standing in `web`.

    The kernel refuses a rename between two mounts before it looks for the file: a name that is not there tells.
    A device of its own tells the rest (btrfs subvolumes).
    """
    source, target = staging.hold(), web.hold()
    name = secrets.token_hex(8)
    split = os.fstat(source.descriptor).st_dev != os.fstat(target.descriptor).st_dev
    try:
        os.rename(name, name, src_dir_fd=source.descriptor, dst_dir_fd=target.descriptor)
    except OSError as error:
        split = split or error.errno == errno.EXDEV
    if split:
        raise StoreDenied(
            f"{staging.path} and {web.path} are not on one file system",
            why="a file can take its name in one step only within one mount of one file system",
            hint="mount the disk at the mirror directory, above both",
        )


def _prove_writable(staging: Directory) -> None:
    probe = TempFile(staging)
    with in_words(f"{staging.path} cannot be written"):
        try:
            probe.append(b"")
        finally:
            probe.discard()


def _empty(staging: Directory) -> int:
    """Remove what a dead run left; whoever calls holds the mirror's lock, so that nobody's work is in it."""
    handle = staging.hold()
    removed = 0
    with os.scandir(handle.descriptor) as entries:
        for name in [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]:
            os.unlink(name, dir_fd=handle.descriptor)
            removed += 1
    return removed
