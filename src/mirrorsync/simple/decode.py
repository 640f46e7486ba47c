"""Decoding a project's page: tolerant of the differences between indexes, strict about what could do harm.

Any body yields a page or Malformed, after an amount of work bounded by its length. Source: PEP 691, 700, 792.
"""

import re
import threading
from typing import Any, Final

import msgspec

from mirrorsync.errors import Malformed
from mirrorsync.model.identity import ProjectName, Serial, project_name
from mirrorsync.model.page import DistFile, ProjectPage
from mirrorsync.simple.decode_file import decode_file, has_unknown_sidecar
from mirrorsync.simple.decode_unusual import tidy_page
from mirrorsync.simple.shape import KNOWN_SHAPE
from mirrorsync.simple.wire import Parsed, Unfit, WireStatus, is_later, refuse_deep, refuse_version, shown

_STRUCTURE_MAX: Final = 2_000_000
"""Brackets and commas: each can take 100 bytes of memory once decoded, and 130,000 files need fewer."""
_REASON_MAX: Final = 1000
"""Characters of a reason: the decoder's path into deep JSON is as long as the JSON is deep."""
_SERIAL_MAX: Final = 2**63 - 1
"""SQLite's largest integer; PyPI's serials have 32 bits."""
_NUMBER: Final = re.compile(r"[0-9]{1,19}").fullmatch
_QUARANTINED: Final = "quarantined"


class PageDecoder:
    """Decodes the pages of one index, and learns the unknown keys that they carry. May be used from several threads.

    What it has learned affects only the speed.
    """

    def __init__(self) -> None:
        self.shape = KNOWN_SHAPE
        self._learning = threading.Lock()

    def decode(self, body: bytes, *, requested: ProjectName, page_url: str, etag: str | None = None) -> ProjectPage:
        """Return the page of `requested`; its file URLs are absolute, resolved against `page_url`.

        Unknown keys are kept. A quarantined project has no files, even if the body lists some (PEP 792).
        Raises: Malformed, naming the file at fault where it is one file; no other exception.
        """
        try:
            _refuse_size(body)
            try:
                parsed = self.shape.parse(body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # another shape, or not JSON
                page = _make_page(tidy_page(_parse_json(body)), requested, page_url, etag)
                self._learn(page)
                return page
            return _make_page(parsed, requested, page_url, etag)
        except Unfit as fault:
            raise Malformed(
                f"the index's page of {requested} ({len(body):,} bytes) cannot be used",
                why=str(fault)[:_REASON_MAX],
                hint="the project keeps its page; usually a proxy rewrites responses, or the index has a fault",
            ) from None

    def _learn(self, page: ProjectPage) -> None:
        with self._learning:  # two threads that learn at once must not lose each other's keys
            self.shape = self.shape.learn(page)


def _refuse_size(body: bytes) -> None:
    structure = body.count(b",") + body.count(b"{") + body.count(b"[") if len(body) > _STRUCTURE_MAX else 0
    if structure > _STRUCTURE_MAX:
        raise Unfit(f"it has {structure:,} brackets and commas; the limit is {_STRUCTURE_MAX:,}")


def _parse_json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise Unfit("its objects and lists are nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise Unfit(f"it is not JSON ({fault})") from None


def _make_page(parsed: Parsed, requested: ProjectName, page_url: str, etag: str | None) -> ProjectPage:
    head = parsed.head
    version = head.meta.api_version
    refuse_version(version)
    _refuse_other_project(head.name, requested)
    refuse_deep(parsed.extra)
    refuse_deep(parsed.meta_extra)
    status = head.project_status or WireStatus()
    quarantined = status.status == _QUARANTINED
    files, sidecars_untold = ((), 0) if quarantined else _make_files(parsed, page_url)
    return ProjectPage(
        name=requested,
        serial=_serial(head.meta.last_serial),
        status=status.status or "active",
        status_reason=status.reason or None,
        versions=tuple(head.versions or ()),
        files=files,
        extra=parsed.extra,
        meta_extra=parsed.meta_extra,
        etag=etag,
        sidecars_untold=sidecars_untold,
        later_version=version if is_later(version) else None,
    )


def _refuse_other_project(name: str, requested: ProjectName) -> None:
    if name == requested:
        return
    try:
        normalised = project_name(name)
    except Malformed as fault:
        raise Unfit(f"its `name` is invalid, {fault}") from None
    if normalised != requested:
        raise Unfit(f"it is the page of {name[:80]!r}")


def _serial(value: int | str | None) -> Serial | None:
    if value is None:
        return None
    number = int(value) if isinstance(value, int) or _NUMBER(value) else -1
    if not 0 <= number <= _SERIAL_MAX:
        raise Unfit(f"its `_last-serial` is not a serial, {str(value)[:40]!r}")
    return Serial(number)


def _make_files(parsed: Parsed, page_url: str) -> tuple[tuple[DistFile, ...], int]:
    """Return the files in the page's order, each once, and the number of wheels with an unknown sidecar."""
    files: dict[tuple[bytes, str], DistFile] = {}
    unknown_sidecars = 0
    for wire, other_hashes, extra in parsed.entries:
        file = decode_file(wire, page_url, other_hashes, extra)
        first = files.setdefault((file.place, file.filename), file)
        if first is not file:
            _refuse_contradiction(first, file)
        elif has_unknown_sidecar(wire):
            unknown_sidecars += 1
    return tuple(files.values()), unknown_sidecars


def _refuse_contradiction(first: DistFile, second: DistFile) -> None:
    """Raise Unfit unless the entries differ in the URL only: a path in the mirror has one content."""
    if msgspec.structs.replace(second, url=first.url) != first:
        raise Unfit(f"file {shown(first.filename)}: it is listed twice, and the entries contradict each other")
