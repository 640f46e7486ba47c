"""The simple API's bodies as PyPI renders them, and its media types. Pure.

Source: PEP 503, 592, 629, 658, 691, 700, 714, 740, 792; the white space is PyPI's own (PEP 833 froze it).
"""

import functools
import re
import urllib.parse
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from tests.support.pypi.values import Listed, Page, Shape, WorldFile

HTML: Final = "text/html"
SIMPLE_HTML: Final = "application/vnd.pypi.simple.v1+html"
SIMPLE_JSON: Final = "application/vnd.pypi.simple.v1+json"
_OFFERED: Final = (HTML, SIMPLE_HTML, SIMPLE_JSON)
_UNQUOTED: Final = "~!$&'()*+,;=:@/"


class Origin(msgspec.Struct, frozen=True):
    """The base URLs of an index, without a final slash."""

    index_url: str
    files_url: str
    shape: Shape


@functools.lru_cache(maxsize=1024)
def negotiate(accept: str | None) -> str:
    """Return the media type of PyPI's answer: never 406; HTML for unknown types."""
    if not accept:
        return HTML
    wishes: dict[str, float] = {}
    for part in accept.replace("simple.latest+", "simple.v1+").split(","):
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        wishes[media_type] = float(quality) if re.fullmatch(r"\d(\.\d*)?", quality) else 1.0
    return max(_OFFERED, key=lambda offered: _quality(offered, wishes))


def _quality(offered: str, wishes: dict[str, float]) -> float:
    for pattern in (offered, offered.split("/", 1)[0] + "/*", "*/*"):
        if pattern in wishes:
            return wishes[pattern]
    return 0.0


def to_json(value: Any) -> bytes:
    """Return PyPI's JSON: keys sorted, no spaces, raw UTF-8, one final newline."""
    return msgspec.json.encode(value, order="sorted") + b"\n"


def escape(text: str) -> str:
    """Escape for HTML as PyPI's templates do."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&#34;").replace("'", "&#39;")


def file_url(origin: Origin, page: Page, file: WorldFile) -> str:
    """Return the file's URL as the index gives it."""
    path = file.path if origin.shape.hashed_paths else f"files/{page.name}/{file.filename}"
    base = "../.." if origin.shape.relative_urls else origin.files_url
    return f"{base}/{urllib.parse.quote(path, safe=_UNQUOTED)}"


def provenance_url(origin: Origin, page: Page, file: WorldFile) -> str | None:
    """Return the URL of the file's attestations, None if it has none."""
    if not file.provenance:
        return None
    path = f"integrity/{page.name}/{file.version}/{file.filename}/provenance"
    return f"{origin.index_url}/{urllib.parse.quote(path, safe=_UNQUOTED)}"


def detail_json(page: Page, origin: Origin) -> bytes:
    """Return `/simple/<name>/` as JSON."""
    shape = origin.shape
    body: dict[str, Any] = {
        "meta": _meta(page.serial, shape),
        "name": page.name,
        "versions": page.versions,
        "files": [_file_object(page, file, origin) for file in page.files],
    }
    if shape.project_status:
        body["project-status"] = {"status": page.status}
    return to_json(body)


def _file_object(page: Page, file: WorldFile, origin: Origin) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "filename": file.filename,
        "url": file_url(origin, page, file),
        "hashes": {"sha256": file.sha256},
        "requires-python": file.requires_python,
        "size": file.size,
        "upload-time": file.upload_time,
        "yanked": file.yanked,
    }
    if origin.shape.sidecar_keys:
        sidecar = {"sha256": file.metadata_sha256} if file.metadata is not None else False
        entry["core-metadata"] = entry["data-dist-info-metadata"] = sidecar
        entry["provenance"] = provenance_url(origin, page, file)
    return entry


def _meta(serial: int, shape: Shape) -> dict[str, Any]:
    meta: dict[str, Any] = {"api-version": shape.api_version}
    if shape.serials:
        meta["_last-serial"] = _serial(serial, shape)
    return meta


def _serial(serial: int, shape: Shape) -> int | str:
    return str(serial) if shape.serial_as_string else serial


def detail_html(page: Page, origin: Origin) -> bytes:
    """Return `/simple/<name>/` as HTML."""
    shape = origin.shape
    status = f'<meta name="pypi:project-status" content="{page.status}">' if shape.project_status else ""
    serial = f"\n<!--SERIAL {page.serial}-->" if shape.serials else ""
    anchors = "".join(_anchor(page, file, origin) for file in page.files)
    return (
        f"{_head(shape)}{status}    <title>Links for {page.name}</title>\n  </head>\n  <body>\n"
        f"    <h1>Links for {page.name}</h1>\n{anchors}</body>\n</html>{serial}"
    ).encode()


def _anchor(page: Page, file: WorldFile, origin: Origin) -> str:
    attributes = f'href="{escape(file_url(origin, page, file))}#sha256={file.sha256}" '
    if file.requires_python is not None:
        attributes += f'data-requires-python="{escape(file.requires_python)}" '
    if file.yanked:
        attributes += f'data-yanked="{escape(file.yanked) if isinstance(file.yanked, str) else ""}" '
    if origin.shape.sidecar_keys and file.metadata is not None:
        digest = f"sha256={file.metadata_sha256}"
        attributes += f'data-dist-info-metadata="{digest}" data-core-metadata="{digest}"'
    provenance = provenance_url(origin, page, file)
    if origin.shape.sidecar_keys and provenance is not None:
        attributes += f' data-provenance="{escape(provenance)}"'
    return f"<a {attributes}>{escape(file.filename)}</a><br />\n"


def _head(shape: Shape) -> str:
    version = f'<meta name="pypi:repository-version" content="{shape.api_version}">'
    return f'<!DOCTYPE html>\n<html lang="en">\n  <head>\n    {version}\n'


def root_json(listing: Sequence[Listed], serial: int, shape: Shape) -> bytes:
    """Return `/simple/` as JSON."""
    projects: list[dict[str, Any]] = [{"name": listed.display_name} for listed in listing]
    if shape.serials:
        for entry, listed in zip(projects, listing, strict=True):
            entry["_last-serial"] = _serial(listed.serial, shape)
    return to_json({"meta": _meta(serial, shape), "projects": projects})


def root_html(listing: Iterable[Listed], shape: Shape) -> bytes:
    """Return `/simple/` as HTML, which has no serial."""
    anchors = "".join(f'<a href="/simple/{row.name}/">{escape(row.display_name)}</a>\n' for row in listing)
    return f"{_head(shape)}    <title>Simple index</title>\n  </head>\n  <body>\n{anchors}</body>\n</html>".encode()


def provenance_json(file: WorldFile) -> bytes:
    """Return a minimal provenance object (Source: PEP 740), without a final newline."""
    attestation = {"version": 1, "subject": file.filename, "sha256": file.sha256}
    bundle = {"attestations": [attestation], "publisher": {"kind": "GitHub"}}
    return msgspec.json.encode({"attestation_bundles": [bundle], "version": 1})
