"""Journal rows as changes: what each action means for a mirror. Pure."""

import re
import reprlib
from typing import Any, Final

from mirrorsync.errors import Malformed
from mirrorsync.model.change import Change, ChangeBatch
from mirrorsync.model.identity import Serial, project_name

_FIELDS: Final = 5
_SERIAL_MAX: Final = 2**63 - 1
"""What our database can hold; PyPI's own are below 2^31."""
_ROLE_ACTION: Final = re.compile(
    r"(?:add|remove|accepted|invite|revoke_invite) (?:Owner|Maintainer) (?!file ).+"
    r"|change (?:Owner|Maintainer) .+ to (?:Owner|Maintainer)"
)
"""Who may do what: the page's serial moves, its files do not. `add <tag> file <name>` may have any tag."""
_NOT_A_PROJECT: Final = re.compile(r"add alternate repository .+ to project .+|deleted alternate repository .+ from .+")
"""One week of September 2024: the row's name is a label that its author chose."""


def to_batch(rows: Any, *, since: Serial, what: str) -> ChangeBatch | None:
    """Return the rows of one `changelog_since_serial` as a batch, None when there are none.

    Rows that name no project are left out; `upto` counts them. Unknown actions touch the page.
    Raises: Malformed, when these are no rows or do not ascend from `since`.
    """
    if not isinstance(rows, list):
        raise Malformed(what, why=f"the answer is {type(rows).__name__}, not a list of rows")
    changes: list[Change] = []
    last = since
    for row in rows:
        name, version, action, serial = _fields(row, what)
        if serial <= last:
            raise Malformed(what, why=f"serial {serial} comes after {last}: the rows do not ascend")
        last = serial
        change = _to_change(name, version, action, serial)
        if change is not None:
            changes.append(change)
    return ChangeBatch(upto=last, changes=tuple(changes)) if rows else None


def _to_change(name: str, version: str | None, action: str, serial: Serial) -> Change | None:
    if version is None and _NOT_A_PROJECT.fullmatch(action):
        return None
    try:
        normalised = project_name(name)
    except Malformed:
        return None
    return Change(
        name=normalised,
        display_name=name,
        serial=serial,
        removes_project=action == "remove project" or (action == "remove" and version is None),
        touches_page=version is not None or not _ROLE_ACTION.fullmatch(action),
    )


def to_serial(value: Any, *, what: str) -> Serial:
    """Return `value` as a serial. Raises: Malformed."""
    if type(value) is not int or not 0 <= value <= _SERIAL_MAX:  # True is an int to isinstance
        raise Malformed(what, why=f"{reprlib.repr(value)} is not a serial")
    return Serial(value)


def _fields(row: Any, what: str) -> tuple[str, str | None, str, Serial]:
    if not isinstance(row, list) or len(row) != _FIELDS:
        raise Malformed(what, why=f"a row is not a list of {_FIELDS} values: {reprlib.repr(row)}")
    name, version, _, action, serial = row
    if not all(text is None or isinstance(text, str) for text in (name, version, action)):
        raise Malformed(what, why=f"a row's name, version or action is not text: {reprlib.repr(row)}")
    return name or "", version, action or "", to_serial(serial, what=what)
