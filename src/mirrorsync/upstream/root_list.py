"""The root list, parsed piece by piece in bounded memory. Pure."""

from collections.abc import Iterable
from typing import Any, Final

import ijson  # type: ignore[import-untyped]  # it ships no types; the two functions used are wrapped here

from mirrorsync.errors import Malformed
from mirrorsync.model.change import Listed
from mirrorsync.model.identity import Serial, project_name

_SERIAL_DIGITS: Final = 18
_MAJOR: Final = "1"
_IN_META: Final = ("{", "meta", "{")
_IN_PROJECT: Final = ("{", "projects", "[", "{")
_DEEPEST: Final = 64
"""Unknown nested values are skipped, up to this depth."""
_OPENS: Final = frozenset({"start_map", "start_array"})
_CLOSES: Final = frozenset({"end_map", "end_array"})


class RootReader:
    """Parse projects from the root list's JSON as its bytes arrive. Source: PEP 691.

    It uses events, not ijson's objects: ijson's C backend (3.6.0) crashes the process on an integer of 4,301 digits,
    and its memory grows with the square of the depth. With `use_float` and without prefixes it does neither.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._events: list[tuple[str, Any]] = ijson.sendable_list()
        self._parser = ijson.basic_parse_coro(self._events, use_float=True)
        self._path: list[str] = []
        self._key = ""
        self._project: dict[str, Any] = {}
        self._has_list = False
        self.serial: Serial | None = None
        """The serial of the list itself, once it was parsed."""
        self.skipped = 0
        """Entries without a valid project name."""

    def feed(self, data: bytes) -> tuple[Listed, ...]:
        """Return the projects that `data` completes. Raises: Malformed."""
        self._parse(data)
        return tuple(self._take())

    def end(self) -> tuple[Listed, ...]:
        """Check that the list is complete; return its last projects. Raises: Malformed."""
        self._parse(None)
        listed = tuple(self._take())
        if not self._has_list:
            raise Malformed(self._what, why="the JSON has no list `projects`")
        return listed

    def _parse(self, data: bytes | None) -> None:
        try:
            self._parser.close() if data is None else self._parser.send(data)
        except (ijson.JSONError, ValueError, ArithmeticError) as error:
            reason = " ".join(str(error).split())[:200]
            raise Malformed(
                self._what,
                why=f"incomplete or invalid JSON ({reason})",
                hint="a cut connection or a proxy; nothing of it was used",
            ) from error

    def _take(self) -> Iterable[Listed]:
        events = tuple(self._events)
        del self._events[:]
        for event, value in events:
            if event == "map_key":
                self._key = value
            elif event in _OPENS:
                self._open(event)
            elif event in _CLOSES:
                if tuple(self._path) == _IN_PROJECT:
                    yield from self._listed()
                self._close()
            else:
                self._scalar(value)

    def _open(self, event: str) -> None:
        if not self._path and event != "start_map":
            raise Malformed(self._what, why="the JSON is not an object")
        if len(self._path) >= _DEEPEST:
            raise Malformed(self._what, why=f"values are nested more than {_DEEPEST} deep")
        if len(self._path) == 1:
            self._path.append(self._key)
            self._has_list = self._has_list or (self._key == "projects" and event == "start_array")
        self._path.append("{" if event == "start_map" else "[")
        if tuple(self._path) == _IN_PROJECT:
            self._project = {}

    def _close(self) -> None:
        self._path.pop()
        if len(self._path) == len(("{", "key")):
            self._path.pop()

    def _scalar(self, value: Any) -> None:
        here = tuple(self._path)
        if here == _IN_PROJECT and self._key in ("name", "_last-serial"):
            self._project[self._key] = value
        elif here == _IN_META and self._key == "_last-serial":
            self.serial = self._to_serial(value)
        elif here == _IN_META and self._key == "api-version" and str(value).partition(".")[0] != _MAJOR:
            raise Malformed(self._what, why=f"api-version {str(value)[:20]!r}; this version supports {_MAJOR}.x")

    def _listed(self) -> Iterable[Listed]:
        name = self._project.get("name")
        try:
            normalised = project_name(name if isinstance(name, str) else "")
        except Malformed:
            self.skipped += 1
            return
        yield Listed(name=normalised, display_name=str(name), serial=self._to_serial(self._project.get("_last-serial")))

    def _to_serial(self, value: Any) -> Serial | None:
        """Return a serial, which some mirrors write as text; None if the list has none."""
        if value is None:
            return None
        text = str(value) if type(value) is int or isinstance(value, str) else ""
        if not (text.isascii() and text.isdecimal() and len(text) <= _SERIAL_DIGITS):
            raise Malformed(self._what, why=f"{str(value)[:40]!r} is not a serial")
        return Serial(int(text))
