"""Root writes into nobody else's mirror: what root makes there its owner could never replace."""

import os
import pwd
from pathlib import Path

from mirrorsync.errors import BadConfig


def refuse_root(directory: Path) -> None:
    """Return unless this process is root's and the mirror in `directory` is somebody else's. Raises: BadConfig."""
    if os.geteuid() != 0:
        return
    try:
        owner = directory.stat().st_uid
    except OSError:
        return  # whoever needs it says that it is not there
    if owner == 0:
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"#{owner}"
    raise BadConfig(
        f"[mirror] directory {directory} belongs to {name}, and this is root",
        why="what root makes there, the daemon could not replace any more",
        hint=f"run it as its owner: `runuser -u {name} -- mirrorsync …`, or `sudo -u {name} mirrorsync …`",
    )
