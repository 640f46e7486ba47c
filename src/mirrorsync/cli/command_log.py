"""The log of a command that works for long: begun before anything can fail, and with the command's last word."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mirrorsync import __version__
from mirrorsync.config.schema import Settings
from mirrorsync.errors import MirrorsyncError

if TYPE_CHECKING:
    from mirrorsync.observe.log import Log, LogFormat, LogLevel
    from mirrorsync.observe.log_lines import LogLines


@contextmanager
def logged(wanted: "LogFormat", level: "LogLevel") -> Iterator["Log"]:
    """Start the process's log; where all goes into it, an error that ends the command does too.

    Raises: SystemExit, in place of such an error; where the command line is to tell it, the error without secrets.
    """
    from mirrorsync.observe.log import start  # noqa: PLC0415 -- who tells nothing over time needs no structlog

    log = start(wanted, level)
    try:
        yield log
    except MirrorsyncError as error:
        if not log.shape.is_only_log:
            error.what, error.why, error.hint = map(log.clean, (error.what, error.why, error.hint))
            raise
        log.say("error", "failed", reason=str(error), hint=error.hint, exit_code=error.exit_code)
        raise SystemExit(error.exit_code) from None


def lines(log: "Log", settings: Settings, **told: Any) -> "LogLines":
    """Return the audience that writes the log of a run; from now on no line holds the settings' secrets."""
    from mirrorsync.observe.log_lines import LogLines  # noqa: PLC0415 -- structlog is a tenth of a second to load

    hide_secrets(log, settings)
    upstream, directory = settings.upstream.index, str(settings.mirror.directory)
    return LogLines(log.say, **told, upstream=upstream, directory=directory, version=__version__)


def hide_secrets(log: "Log", settings: Settings) -> None:
    """Let no line hold the settings' secrets from now on: the proxy's password, the webhooks' paths, all tokens."""
    from mirrorsync.app.redaction import secrets_in  # noqa: PLC0415 -- `--help` and bad arguments hide nothing

    log.hide(secrets_in(settings))
