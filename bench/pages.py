"""An upstream's pages, lists and XML-RPC responses, in PyPI's own shapes. Pure."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from xmlrpc import client

import msgspec

from bench.recipes import Recipe, project

UPLOADED: Final = 1_714_564_800.25
"""Upload time of each file that has no other, in seconds since the epoch; exact as a float and as a file's time."""
_DESCRIPTION: Final = "A project without a purpose, so that a mirror has something to copy. " * 45
_NEW_PAGE_KEY: Final = {"organization": {"name": "parcels", "verified": True}}


class Upload(msgspec.Struct, frozen=True):
    version: str
    filename: str
    place: str
    """64 hex digits: blake2b-256 of the content."""
    sha256: str
    size: int
    metadata_sha256: str = ""
    """Empty: it has no sidecar."""
    metadata_size: int = 0
    uploaded: float = UPLOADED
    """Seconds since the epoch."""
    requires_python: str | None = ">=3.9"
    yanked: bool | str = False
    provenance: bool = False

    @property
    def path(self) -> str:
        return f"packages/{self.place[:2]}/{self.place[2:4]}/{self.place[4:]}/{self.filename}"

    @property
    def core_metadata(self) -> Mapping[str, str] | bool:
        return {"sha256": self.metadata_sha256} if self.metadata_sha256 else False

    @property
    def iso_time(self) -> str:
        return f"{dt.datetime.fromtimestamp(self.uploaded, dt.UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def simple(recipe: Recipe, serial: int, uploads: Sequence[Upload]) -> bytes:
    page = {
        "files": [_simple_file(recipe, serial, upload) for upload in uploads],
        "meta": {"_last-serial": serial, "api-version": "1.4"},
        "name": project(serial),
        **(_NEW_PAGE_KEY if recipe.new_key else {}),
        "project-status": {"status": "active"},
        "versions": list(dict.fromkeys(upload.version for upload in uploads)),
    }
    return msgspec.json.encode(page)


def _simple_file(recipe: Recipe, serial: int, upload: Upload) -> dict[str, Any]:
    integrity = f"{recipe.base}/integrity/{project(serial)}/{upload.version}/{upload.filename}/provenance"
    return {
        "core-metadata": upload.core_metadata,
        "data-dist-info-metadata": upload.core_metadata,
        "filename": upload.filename,
        "hashes": {"sha256": upload.sha256},
        "provenance": integrity if upload.provenance else None,
        "requires-python": upload.requires_python,
        "size": upload.size,
        "upload-time": upload.iso_time,
        "url": f"{recipe.base}/{upload.path}",
        "yanked": upload.yanked,
    }


def legacy(recipe: Recipe, serial: int, uploads: Sequence[Upload]) -> bytes:
    releases: dict[str, list[dict[str, Any]]] = {}
    for upload in uploads:
        releases.setdefault(upload.version, []).append(_legacy_file(recipe, upload))
    newest = uploads[-1]
    document = {
        "info": {
            "author": "The parcel authors",
            "classifiers": ["Programming Language :: Python :: 3"] * 5,
            "description": _DESCRIPTION,
            "description_content_type": "text/markdown",
            "name": project(serial),
            "requires_dist": ["requests>=2", "rich"],
            "requires_python": newest.requires_python,
            "summary": _DESCRIPTION[:70],
            "version": newest.version,
        },
        "last_serial": serial,
        "releases": releases,
        "urls": releases[newest.version],
        "vulnerabilities": [],
    }
    return msgspec.json.encode(document)


def _legacy_file(recipe: Recipe, upload: Upload) -> dict[str, Any]:
    wheel = upload.filename.endswith(".whl")
    return {
        "comment_text": None,
        "core-metadata": upload.core_metadata,
        "digests": {"blake2b_256": upload.place, "md5": upload.sha256[:32], "sha256": upload.sha256},
        "downloads": -1,
        "filename": upload.filename,
        "has_sig": False,
        "md5_digest": upload.sha256[:32],
        "packagetype": "bdist_wheel" if wheel else "sdist",
        "python_version": "py3" if wheel else "source",
        "requires_python": upload.requires_python,
        "size": upload.size,
        "upload_time": upload.iso_time[:19],
        "upload_time_iso_8601": upload.iso_time,
        "url": f"{recipe.base}/{upload.path}",
        "yanked": upload.yanked is not False,
        "yanked_reason": upload.yanked if isinstance(upload.yanked, str) else None,
    }


def root(recipe: Recipe) -> bytes:
    listed = [{"_last-serial": serial, "name": project(serial)} for serial in recipe.serials]
    return msgspec.json.encode({"meta": {"_last-serial": recipe.last, "api-version": "1.4"}, "projects": listed})


def xmlrpc_responses(recipe: Recipe) -> Iterable[tuple[str, bytes]]:
    """Yield each method's name and its response; `nothing` is an empty changelog."""
    rows = [[project(serial), "11.0", int(UPLOADED), "new release", serial] for serial in recipe.paged]
    yield "changelog_since_serial", _response(rows)
    yield "nothing", _response([])
    yield "changelog_last_serial", _response(recipe.last)
    yield "list_packages_with_serial", _response({project(serial): serial for serial in recipe.serials})


def _response(value: Any) -> bytes:
    return client.dumps((value,), methodresponse=True).encode()
