"""Checks of the store's two directories before any work. All functions block."""

import errno
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from mirrorsync.errors import StoreDenied
from mirrorsync.store.directories import Directory, set_permissions
from mirrorsync.store.errors import store_errors
from mirrorsync.store.temp_files import TempFile

_DIRECTORY_MODE: Final = 0o755
_TOPMOST: Final = ("simple", "packages")


def preflight(web: Directory, staging: Directory) -> int:
    """Make the two directories if they are missing, check them, empty `staging`; return the number of files removed.

    Both are reopened. Raises: StoreError, OSError.
    """
    for directory in (web, staging):
        _make_below_mirror(directory.path)
    for path in (web.path, staging.path, *(web.path / name for name in _TOPMOST)):
        _refuse_unusable(path)
    if staging.path.resolve().is_relative_to(web.path.resolve()):
        raise StoreDenied(
            f"{staging.path} is in the served tree {web.path}",
            hint="partial files must not be served: put staging/ next to web/",
        )
    web.reopen()
    staging.reopen()
    _require_one_file_system(web, staging)
    _require_writable(staging)
    return _empty(staging)


def _make_below_mirror(path: Path) -> None:
    if not path.parent.is_dir():
        raise StoreDenied(
            f"{path.parent} does not exist",
            why="the mirror directory must exist",
            hint=f"is its disk mounted? Otherwise make it: mkdir -p {path.parent}",
        )
    with store_errors(f"{path} cannot be made"):
        try:
            path.mkdir(_DIRECTORY_MODE)
        except FileExistsError:
            return
        made = Directory(path).hold()
        set_permissions(made.descriptor, _DIRECTORY_MODE)


def _refuse_unusable(path: Path) -> None:
    """Raise StoreDenied for a link and for a read-only directory; a missing directory is accepted."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        raise StoreDenied(
            f"{path} is {'a symbolic link' if stat.S_ISLNK(mode) else 'not a directory'}",
            why="mirrorsync follows no links in its tree",
            hint="make it a directory; to keep it on another disk, mount that disk at the mirror directory",
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise StoreDenied(
            f"{path} cannot be written",
            why="its file system is mounted read-only, or its permissions exclude this user",
            hint=f"as the user that runs mirrorsync, try: touch {path}/try && rm {path}/try",
        )


def _require_one_file_system(web: Directory, staging: Directory) -> None:
    """Raise StoreDenied unless a rename from `staging` to `web` can work; no file is made in `web`.

    The kernel refuses a rename between mounts before it looks for the file, so a missing name shows it. Device numbers
    show the other cases (btrfs subvolumes).
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
            why="a rename is atomic only within one mount of one file system",
            hint="mount the disk at the mirror directory, above both",
        )


def _require_writable(staging: Directory) -> None:
    probe = TempFile(staging)
    with store_errors(f"{staging.path} cannot be written"):
        try:
            probe.append(b"")
        finally:
            probe.discard()


def _empty(staging: Directory) -> int:
    """Remove the files of an earlier run. The caller holds the mirror's lock, so no other run uses them."""
    handle = staging.hold()
    removed = 0
    with os.scandir(handle.descriptor) as entries:
        for name in [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]:
            os.unlink(name, dir_fd=handle.descriptor)
            removed += 1
    return removed
