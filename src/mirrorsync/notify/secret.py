"""Secrets, in files of their own, which are read at each use, so that a change needs no restart."""

import os
from pathlib import Path
from typing import Final

import trio

from mirrorsync.notify.errors import NotifyError

_CREDENTIAL: Final = "credential:"
"""Prefix of a file name for a file in $CREDENTIALS_DIRECTORY."""
_LONGEST: Final = 4096
"""Bytes."""


def read_secret(path: Path, sink: str) -> str:
    """Return the secret in the file at `path`, stripped of white space. Blocks. Raises: NotifyError."""
    path = _resolved(path, sink)
    try:
        with path.open("rb") as file:
            secret = file.read(_LONGEST).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not plain ASCII"
        raise NotifyError(
            f"{sink}: its secret in {path} cannot be read",
            why=why,
            hint="the user that runs mirrorsync must be able to read it",
        ) from None
    if not secret or not secret.isprintable():
        raise NotifyError(
            f"{sink}: its secret in {path} is empty or not one line", hint="the file must hold the secret alone"
        )
    return secret


def _resolved(path: Path, sink: str) -> Path:
    if not path.name.startswith(_CREDENTIAL):
        return path
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if not folder:
        raise NotifyError(
            f"{sink}: its secret is {path.name}",
            why="$CREDENTIALS_DIRECTORY is not set",
            hint="systemd sets it with LoadCredential=NAME:/path/to/file",
        )
    return Path(folder) / path.name.removeprefix(_CREDENTIAL)


async def secret_from(path: Path, sink: str) -> str:
    """Call `read_secret` in a thread."""
    return await trio.to_thread.run_sync(read_secret, path, sink)
