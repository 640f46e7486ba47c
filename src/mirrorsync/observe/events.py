"""What each event is in words: the sentence of a line of text. The JSON form has the fields as they are."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from mirrorsync.model.units import format_size
from mirrorsync.model.wording import brief, counted

Fields = Mapping[str, Any]
"""What is known of an event: numbers in bytes and seconds, text as it is."""


def _started(told: Fields) -> str:
    return f"{told['command']}: following {told['upstream']} into {told['directory']} (process {told['process']})"


def _done(told: Fields) -> str:
    return (
        f"{counted(told['projects'], 'project')} brought up, {counted(told['files'], 'file')} fetched"
        f" ({format_size(told['bytes'])}), {counted(told['errors'], 'failed attempt')} in {brief(told['seconds'])}"
    )


def _served(told: Fields) -> str:
    return "" if not told.get("serial") else f"; everything up to serial {told['serial']} is served"


def _progress(told: Fields) -> str:
    waiting = "" if told.get("waiting") is None else f"; {counted(told['waiting'], 'project')} waiting"
    return _done(told) + waiting + _served(told)


def _failed(told: Fields) -> str:
    again = told.get("retry_seconds")
    # The reason names the project in most cases; a name that is there twice is in the reader's way.
    name, reason = told["project"], told["reason"]
    text = reason if reason.startswith(f"{name}:") else f"{name}: {reason}"
    return text if again is None else f"{text}; tried again in {brief(again)}"


def _goes_on(told: Fields) -> str:
    return f"{told['where']}: for {brief(told['seconds'])} now, {told['count']} times: {told['reason']}"


SENTENCES: Final[Mapping[str, Callable[[Fields], str]]] = {
    "run started": _started,
    "progress": _progress,
    "run ended": lambda told: f"{told['command']} ended: {_done(told)}{_served(told)}",
    "stopped": lambda told: (
        f"stopped by {told['signal']}; what was brought up is kept, and the next start goes on from there"
    ),
    "unmet": lambda told: f"{counted(told['unmet'], 'project')} unmet",
    "failed": lambda told: told["reason"],
    "bug": lambda told: told["exception"],
    "trouble": lambda told: f"{told['where']}: {told['reason']}",
    "trouble goes on": _goes_on,
    "trouble is over": lambda told: (
        f"{told['where']}: well again after {brief(told['seconds'])} (met {counted(told['count'], 'time')})"
    ),
    "project failed": _failed,
    "removal held": _failed,
    "project recovered": lambda told: (
        f"{told['project']}: well again after {brief(told['seconds'])} ({counted(told['attempts'], 'failed attempt')})"
    ),
    "project removed": lambda told: f"{told['project']}: {told['reason']}",
    "left out": lambda told: (
        f'{counted(told["count"], "more line")} of the kind "{told["kind"]}" in the last'
        f" {brief(told['seconds'])}, not written one by one"
    ),
    "notice": lambda told: told["text"],
}
"""By event. The names and the fields are what programs rely on; the sentences are for people and may change."""


def sentence(event: str, fields: Fields) -> str:
    """Return the event as a sentence, with its exception where it has one and no place for it."""
    tell = SENTENCES.get(event)
    if tell is None:
        return " ".join((event, *(f"{key}={value}" for key, value in fields.items())))
    text = tell(fields)
    exception = fields.get("exception")
    return text if exception is None or event == "bug" else f"{text}: {exception}"
