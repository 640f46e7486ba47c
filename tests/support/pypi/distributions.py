"""Make small, real distributions: pip installs them, and the same arguments give the same bytes."""

import base64
import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from typing import Literal

from packaging.utils import canonicalize_name

_WHEEL = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_EPOCH = (2020, 1, 1, 0, 0, 0)
_BACKEND = b'''"""An in-tree build backend that needs no index: the wheel is beside it."""

import pathlib
import shutil


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    (wheel,) = pathlib.Path(__file__).parent.glob("*.whl")
    shutil.copy(wheel, wheel_directory)
    return wheel.name
'''
_PYPROJECT = b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def make_wheel(
    name: str,
    version: str,
    *,
    requires_python: str | None = None,
    requires_dist: Sequence[str] = (),
    body: bytes = b"",
    module: str | None = None,
) -> tuple[str, bytes, bytes]:
    """Return a wheel's file name, its bytes, and the bytes of its METADATA.

    `body` is an uncompressed file in the module's folder and determines the size of the wheel. `module` is the name to
    import (by default the project's name with underscores).
    """
    stem = _stem(name, version)
    package = module or canonicalize_name(name).replace("-", "_")
    metadata = core_metadata(name, version, requires_python=requires_python, requires_dist=requires_dist)
    members = {
        f"{package}/__init__.py": f'__version__ = "{version}"\n'.encode(),
        f"{stem}.dist-info/METADATA": metadata,
        f"{stem}.dist-info/WHEEL": _WHEEL,
    }
    if body:
        members[f"{package}/body.bin"] = body
    members[f"{stem}.dist-info/RECORD"] = _record(members, f"{stem}.dist-info/RECORD")
    return f"{stem}-py3-none-any.whl", _zip(members), metadata


def make_sdist(
    name: str,
    version: str,
    *,
    requires_python: str | None = None,
    requires_dist: Sequence[str] = (),
    body: bytes = b"",
) -> tuple[str, bytes]:
    """Return a source distribution's file name and its bytes; pip builds it without an index."""
    stem = _stem(name, version)
    wheel_name, wheel, metadata = make_wheel(
        name, version, requires_python=requires_python, requires_dist=requires_dist, body=body
    )
    members = {"PKG-INFO": metadata, "backend.py": _BACKEND, "pyproject.toml": _PYPROJECT, wheel_name: wheel}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in members.items():
            info = tarfile.TarInfo(f"{stem}/{path}")
            info.size = len(content)
            info.mtime = 1_577_836_800
            archive.addfile(info, io.BytesIO(content))
    return f"{stem}.tar.gz", gzip.compress(buffer.getvalue(), compresslevel=1, mtime=0)


def make_distribution(
    kind: Literal["wheel", "sdist"],
    name: str,
    version: str,
    body: bytes,
    *,
    requires_python: str | None,
    requires_dist: Sequence[str],
) -> tuple[str, bytes, bytes | None]:
    """Return the file name, the bytes, and the bytes of METADATA (None for an sdist, which has no sidecar)."""
    if kind == "wheel":
        return make_wheel(name, version, requires_python=requires_python, requires_dist=requires_dist, body=body)
    made = make_sdist(name, version, requires_python=requires_python, requires_dist=requires_dist, body=body)
    return *made, None


def core_metadata(
    name: str, version: str, *, requires_python: str | None = None, requires_dist: Sequence[str] = ()
) -> bytes:
    """Return METADATA (Source: the core metadata specification, 2.1)."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", f"Summary: {name} for tests"]
    if requires_python is not None:
        lines.append(f"Requires-Python: {requires_python}")
    lines += [f"Requires-Dist: {requirement}" for requirement in requires_dist]
    return ("\n".join(lines) + "\n").encode()


def _stem(name: str, version: str) -> str:
    return f"{canonicalize_name(name).replace('-', '_')}-{version}"


def _record(members: Mapping[str, bytes], own_path: str) -> bytes:
    lines = []
    for path, content in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(content)}\n")
    return "".join([*lines, f"{own_path},,\n"]).encode()


def _zip(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path, content in members.items():
            info = zipfile.ZipInfo(path, _EPOCH)
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return buffer.getvalue()
