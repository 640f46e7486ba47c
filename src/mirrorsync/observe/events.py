"""The sentence of each event, for lines of text; lines of JSON hold the fields instead."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from mirrorsync.model.units import format_size
from mirrorsync.model.wording import brief, counted

Fields = Mapping[str, Any]
"""The fields of an event; sizes in bytes, durations in seconds."""


def _started(fields: Fields) -> str:
    command, process = fields["command"], fields["process"]
    return f"{command}: mirroring {fields['upstream']} into {fields['directory']} (process {process})"


def _done(fields: Fields) -> str:
    projects, files = counted(fields["projects"], "project"), counted(fields["files"], "file")
    errors, seconds = counted(fields["errors"], "failed attempt"), brief(fields["seconds"])
    return f"{projects} mirrored, {files} fetched ({format_size(fields['bytes'])}), {errors} in {seconds}"


def _served(fields: Fields) -> str:
    return "" if not fields.get("serial") else f"; everything up to serial {fields['serial']} is served"


def _progress(fields: Fields) -> str:
    waiting = "" if fields.get("waiting") is None else f"; {counted(fields['waiting'], 'project')} waiting"
    return _done(fields) + waiting + _served(fields)


def _failed(fields: Fields) -> str:
    again = fields.get("retry_seconds")
    # Most reasons begin with the project's name; do not repeat it.
    name, reason = fields["project"], fields["reason"]
    text = reason if reason.startswith(f"{name}:") else f"{name}: {reason}"
    return text if again is None else f"{text}; tried again in {brief(again)}"


def _persists(fields: Fields) -> str:
    return f"{fields['where']}: lasts for {brief(fields['seconds'])}, seen {fields['count']} times: {fields['reason']}"


SENTENCES: Final[Mapping[str, Callable[[Fields], str]]] = {
    "run started": _started,
    "progress": _progress,
    "run ended": lambda fields: f"{fields['command']} ended: {_done(fields)}{_served(fields)}",
    "stopped": lambda fields: (
        f"stopped by {fields['signal']}; finished projects are kept, and the next start continues from there"
    ),
    "unmet": lambda fields: f"{counted(fields['unmet'], 'project')} unmet",
    "failed": lambda fields: fields["reason"],
    "bug": lambda fields: fields["exception"],
    "trouble": lambda fields: f"{fields['where']}: {fields['reason']}",
    "trouble goes on": _persists,
    "trouble is over": lambda fields: (
        f"{fields['where']}: recovered after {brief(fields['seconds'])} (seen {counted(fields['count'], 'time')})"
    ),
    "project failed": _failed,
    "removal held": _failed,
    "project recovered": lambda fields: (
        f"{fields['project']}: recovered after {brief(fields['seconds'])}"
        f" ({counted(fields['attempts'], 'failed attempt')})"
    ),
    "project removed": lambda fields: f"{fields['project']}: {fields['reason']}",
    "left out": lambda fields: (
        f'{counted(fields["count"], "more line")} of the kind "{fields["kind"]}" in the last'
        f" {brief(fields['seconds'])}, not logged one by one"
    ),
    "notice": lambda fields: fields["text"],
}
"""By event. Programs may rely on the names and the fields; the sentences may change."""


def sentence(event: str, fields: Fields) -> str:
    """Return the event as a sentence; its exception, if any, is appended unless the sentence contains it."""
    compose = SENTENCES.get(event)
    if compose is None:
        return " ".join((event, *(f"{key}={value}" for key, value in fields.items())))
    text = compose(fields)
    exception = fields.get("exception")
    return text if exception is None or event == "bug" else f"{text}: {exception}"
