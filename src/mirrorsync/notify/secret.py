"""Secrets: in files of their own, read when they are needed, so that a new one needs no restart."""

import os
from pathlib import Path
from typing import Final

import trio

from mirrorsync.notify.errors import PurgeError

_CREDENTIAL: Final = "credential:"
"""A file name that begins so is one in $CREDENTIALS_DIRECTORY."""
_LONGEST: Final = 4096
"""Bytes."""


def read_secret(path: Path, who: str) -> str:
    """Return what the file at `path` holds, without the white space around it. Blocks. Raises: PurgeError."""
    path = _resolved(path, who)
    try:
        with path.open("rb") as file:
            secret = file.read(_LONGEST).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not plain ASCII"
        raise PurgeError(
            f"{who}: its secret in {path} cannot be read", why=why, hint="the user that runs mirrorsync must read it"
        ) from None
    if not secret or not secret.isprintable():
        raise PurgeError(f"{who}: its secret in {path} is empty or not one line", hint="write the secret alone into it")
    return secret


def _resolved(path: Path, who: str) -> Path:
    if not path.name.startswith(_CREDENTIAL):
        return path
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if not folder:
        raise PurgeError(
            f"{who}: its secret is {path.name}",
            why="$CREDENTIALS_DIRECTORY is not set",
            hint="systemd sets it with LoadCredential=NAME:/path/to/file",
        )
    return Path(folder) / path.name.removeprefix(_CREDENTIAL)


async def secret_from(path: Path, who: str) -> str:
    """As `read_secret`, in a thread."""
    return await trio.to_thread.run_sync(read_secret, path, who)
