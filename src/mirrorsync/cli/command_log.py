"""The log of a long-running command: started before anything can fail, and holding the error that ends it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mirrorsync import __version__
from mirrorsync.config.schema import Settings
from mirrorsync.errors import MirrorsyncError
from mirrorsync.observe.log import Log, LogFormat, LogLevel, start

if TYPE_CHECKING:
    from mirrorsync.observe.log_lines import LogLines


@contextmanager
def logged(wanted: LogFormat, level: LogLevel) -> Iterator[Log]:
    """Start the process's log. Where all output goes to the log, write the error that ends the command there too.

    Raises: SystemExit, in place of that error; otherwise the error, without secrets, for the command line to print.
    """
    log = start(wanted, level)
    try:
        yield log
    except MirrorsyncError as error:
        if not log.shape.is_only_log:
            error.what, error.why, error.hint = map(log.clean, (error.what, error.why, error.hint))
            raise
        log.say("error", "failed", reason=str(error), hint=error.hint, exit_code=error.exit_code)
        raise SystemExit(error.exit_code) from None


def log_lines(log: Log, settings: Settings, **fields: Any) -> "LogLines":
    """Return the observer that logs a run; from now on the log masks the settings' secrets."""
    from mirrorsync.observe.log_lines import LogLines  # noqa: PLC0415 -- only runs need it

    mask_secrets(log, settings)
    upstream, directory = settings.upstream.index, str(settings.mirror.directory)
    return LogLines(log.say, **fields, upstream=upstream, directory=directory, version=__version__)


def mask_secrets(log: Log, settings: Settings) -> None:
    """Mask the settings' secrets in every later line: the proxy's password, the webhooks' paths, all tokens."""
    from mirrorsync.app.wiring import secrets_in  # noqa: PLC0415 -- loads trio, which `status` and `--help` do without

    log.hide(secrets_in(settings))
