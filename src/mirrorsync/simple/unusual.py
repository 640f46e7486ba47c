"""Pages that are not of PyPI's shape: unknown keys, other hashes, odd types. Tidied into it, entry by entry."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from mirrorsync.simple.wire import (
    NAME_SHOWN,
    Entry,
    Parsed,
    Unfit,
    WireFile,
    WireHead,
    WireMeta,
    WirePage,
    keys_of,
    refuse_version,
)

_Wire = TypeVar("_Wire", bound=msgspec.Struct)

_DEPTH_MAX: Final = 32
"""Levels in a value that is passed through: it must be writable again from a deeper stack than it was read on."""
_OTHER_HASHES_MAX: Final = 16
"""More than the algorithms that hashlib guarantees (14)."""
_METADATA_KEYS: Final = ("core-metadata", "data-dist-info-metadata", "dist-info-metadata")
_DROPPED: Final = "gpg-sig"
"""A mirror that holds no signatures must not promise any."""
_FILE_KEYS: Final = keys_of(WireFile) | {_DROPPED}
_META_KEYS: Final = keys_of(WireMeta)
_PAGE_KEYS: Final = keys_of(WirePage)


def tidy_page(page: object) -> Parsed:
    """Return what can be understood of a decoded page, with the unknown keys beside it.

    Raises: Unfit, when it is not a page of PEP 691, or of another major version.
    """
    if not isinstance(page, dict):
        raise Unfit("it is not a JSON object")
    meta = page.get("meta")
    if not isinstance(meta, dict):
        raise Unfit("`meta` is missing or not an object")
    refuse_version(meta.get("api-version"))
    files = page.get("files")
    if not isinstance(files, list):
        raise Unfit("`files` is missing or not a list")
    head = _known(page, _PAGE_KEYS - {"files"}) | {"meta": _known(meta, _META_KEYS)}
    return Parsed(
        head=_convert(head, WireHead),
        entries=_tidy_entries(files),
        extra=_unknown(page, _PAGE_KEYS),
        meta_extra=_unknown(meta, _META_KEYS),
    )


def _tidy_entries(files: list[Any]) -> Iterator[Entry]:
    for number, entry in enumerate(files):
        filename = entry.get("filename") if isinstance(entry, dict) else None
        if not isinstance(filename, str):
            raise Unfit(f"entry {number} of `files` is not an object with a `filename`")
        try:
            tidied = _tidy_entry(entry)
        except Unfit as fault:
            raise Unfit(f"file {filename[:NAME_SHOWN]!r}: {fault}") from None
        yield tidied


def _tidy_entry(entry: dict[str, Any]) -> Entry:
    known = _known(entry, _FILE_KEYS - {_DROPPED})
    hashes = entry.get("hashes")
    if not isinstance(hashes, dict):
        raise Unfit("`hashes` is missing or not an object")
    known["hashes"] = _known(hashes, frozenset({"sha256"}))
    for key in _METADATA_KEYS:
        if key in known:
            known[key] = _tidy_metadata(known[key])
    if not isinstance(known.get("provenance"), str):
        known["provenance"] = None
    return Entry(_convert(known, WireFile), _other_hashes(hashes), _unknown(entry, _FILE_KEYS) or None)


def _tidy_metadata(told: object) -> object:
    """Only a sha256 counts: what has none promises a sidecar that could not be verified."""
    if isinstance(told, dict):
        sha256 = told.get("sha256")
        return {"sha256": sha256 if isinstance(sha256, str) else None}
    return told if told is None else False


def _other_hashes(hashes: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    others = tuple((name, digest) for name, digest in hashes.items() if name != "sha256")
    if len(others) > _OTHER_HASHES_MAX:
        raise Unfit(f"it has {len(others)} hashes besides sha256; {_OTHER_HASHES_MAX} are the most")
    if not all(isinstance(digest, str) for _, digest in others):
        raise Unfit("one of its hashes is not text")
    return others


def _known(values: Mapping[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key in keys}


def _unknown(values: Mapping[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    unknown = {key: value for key, value in values.items() if key not in keys}
    _refuse_depth(unknown.values(), _DEPTH_MAX)
    return unknown


def _refuse_depth(values: Iterable[Any], levels: int) -> None:
    if levels == 0:
        raise Unfit(f"a key that this version does not know holds more than {_DEPTH_MAX} levels")
    for value in values:
        if isinstance(value, dict):
            _refuse_depth(value.values(), levels - 1)
        elif isinstance(value, list):
            _refuse_depth(value, levels - 1)


def _convert(values: object, wire: type[_Wire]) -> _Wire:
    try:
        return msgspec.convert(values, wire)
    except msgspec.ValidationError as fault:
        raise Unfit(str(fault)) from None
