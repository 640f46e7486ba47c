"""The tolerant path: pages with unlearned keys, other hashes or odd types are tidied into the wire structs."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from mirrorsync.simple.wire import (
    OtherHashes,
    Parsed,
    Unfit,
    WireFile,
    WireHead,
    WireMeta,
    WirePage,
    keys_of,
    refuse_version,
    shown,
)

_Wire = TypeVar("_Wire", bound=msgspec.Struct)

_OTHER_HASHES_MAX: Final = 16
"""hashlib guarantees 14 algorithms."""
_METADATA_KEYS: Final = ("core-metadata", "data-dist-info-metadata", "dist-info-metadata")
_FILE_KEYS: Final = keys_of(WireFile)
_META_KEYS: Final = keys_of(WireMeta)
_PAGE_KEYS: Final = keys_of(WirePage)


def tidy_page(page: object) -> Parsed:
    """Return what is valid in a decoded page, with its unknown keys apart.

    Raises: Unfit, when it is not a page of PEP 691, or has another major version.
    """
    if not isinstance(page, dict):
        raise Unfit("it is not a JSON object")
    meta = page.get("meta")
    if not isinstance(meta, dict):
        raise Unfit("`meta` is missing or not an object")
    refuse_version(meta.get("api-version"))  # before anything that another version may define differently
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


def _tidy_entries(files: list[Any]) -> Iterator[tuple[WireFile, OtherHashes, Mapping[str, Any]]]:
    for number, entry in enumerate(files):
        filename = entry.get("filename") if isinstance(entry, dict) else None
        if not isinstance(filename, str):
            raise Unfit(f"entry {number} of `files` is not an object with a `filename`")
        try:
            tidied = _tidy_entry(entry)
        except Unfit as fault:
            raise Unfit(f"file {shown(filename)}: {fault}") from None
        yield tidied


def _tidy_entry(entry: dict[str, Any]) -> tuple[WireFile, OtherHashes, Mapping[str, Any]]:
    known = _known(entry, _FILE_KEYS)
    hashes = entry.get("hashes")
    if not isinstance(hashes, dict):
        raise Unfit("`hashes` is missing or not an object")
    known["hashes"] = _known(hashes, frozenset({"sha256"}))
    for key in _METADATA_KEYS:
        if key in known:
            known[key] = _tidy_metadata(known[key])
    if not isinstance(known.get("provenance"), str):
        known["provenance"] = None
    return _convert(known, WireFile), _other_hashes(hashes), _unknown(entry, _FILE_KEYS)


def _tidy_metadata(value: object) -> object:
    """Keep a sha256, null and false: no other value lets a client verify the sidecar."""
    if isinstance(value, dict):
        sha256 = value.get("sha256")
        return {"sha256": sha256 if isinstance(sha256, str) else None}
    return None if value is None else False


def _other_hashes(hashes: dict[str, Any]) -> OtherHashes:
    others = tuple(sorted((name, digest) for name, digest in hashes.items() if name != "sha256"))
    if len(others) > _OTHER_HASHES_MAX:
        raise Unfit(f"it has {len(others)} hashes besides sha256; the limit is {_OTHER_HASHES_MAX}")
    if not all(isinstance(digest, str) for _, digest in others):
        raise Unfit("one of its hashes is not text")
    return others


def _known(values: Mapping[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key in keys}


def _unknown(values: Mapping[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in keys}


def _convert(values: object, wire: type[_Wire]) -> _Wire:
    try:
        return msgspec.convert(values, wire)
    except msgspec.ValidationError as fault:
        raise Unfit(str(fault)) from None
