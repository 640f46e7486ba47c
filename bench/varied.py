"""Files of a project that differ as PyPI's do: releases, platforms, yanks, times, requires-python, sidecars. Pure."""

import random
from typing import Final

from bench.pages import Upload
from bench.recipes import project

_BEGIN: Final = 1_262_304_000.0
"""2010-01-01, in seconds since the epoch."""
_END: Final = 1_735_689_600.0
"""2025-01-01; the last releases of a project may be somewhat later."""
_REQUIRES_PYTHON: Final = {
    None: 18,
    ">=3.6": 14,
    ">=3.7": 14,
    ">=3.8": 20,
    ">=3.9": 14,
    ">=3.10": 8,
    ">=3.8,<4.0": 6,
    ">=2.7, !=3.0.*, !=3.1.*, !=3.2.*, !=3.3.*": 4,
    ">=3.6.1,<4": 2,
}
"""Values by weight. PyPI has some thousands of them; nearly all files have one of a few."""
_YANK_REASONS: Final = (
    "Broken metadata",
    "Use 2.x instead: <https://parcels.test/migrate>",
    'Built from the wrong branch ("develop")',
    "Accidental release - wrong version number",
    "CVE-2023-0001 & CVE-2023-0002",
)
_YANKED: Final = 0.02
"""Share of the releases that are yanked; half of these have a reason."""
_WITHOUT_SIDECAR: Final = 0.05
"""Share of the wheels that have no core-metadata."""
_WITH_PROVENANCE: Final = 0.1
"""Share of the projects that publish attestations."""
_PLATFORMS: Final = (
    "manylinux_2_17_x86_64.manylinux2014_x86_64",
    "musllinux_1_1_x86_64",
    "macosx_11_0_arm64",
    "win_amd64",
)
_UNIVERSAL: Final = ("-py3-none-any.whl",)
_PER_PLATFORM: Final = tuple(
    f"-cp3{minor}-cp3{minor}-{platform}.whl" for minor in range(8, 14) for platform in _PLATFORMS
)


def uploads(serial: int, count: int, noise: random.Random) -> list[Upload]:
    """Return `count` files in the order of their versions and names, which is the order of PyPI's pages."""
    name = project(serial).replace("-", "_")
    suffixes = (*_wheels(noise), ".tar.gz")
    requires_python = noise.choices(tuple(_REQUIRES_PYTHON), tuple(_REQUIRES_PYTHON.values()))[0]
    provenance = noise.random() < _WITH_PROVENANCE
    uploaded = noise.uniform(_BEGIN, _END)
    interval = (_END - uploaded) * len(suffixes) / count
    found: list[Upload] = []
    while len(found) < count:
        release = len(found) // len(suffixes)
        version = f"{release // 12}.{release % 12}.{noise.randrange(4)}"
        yanked = _yanked(noise)
        for suffix in suffixes[-(count - len(found)) :]:
            sidecar = suffix.endswith(".whl") and noise.random() >= _WITHOUT_SIDECAR
            found.append(
                Upload(
                    version=version,
                    filename=f"{name}-{version}{suffix}",
                    place=noise.randbytes(32).hex(),
                    sha256=noise.randbytes(32).hex(),
                    size=int(noise.lognormvariate(10.5, 1.6)),
                    metadata_sha256=noise.randbytes(32).hex() if sidecar else "",
                    uploaded=round(uploaded, 6),
                    requires_python=requires_python,
                    yanked=yanked,
                    provenance=provenance,
                )
            )
            uploaded += noise.uniform(1, 40)
        uploaded += interval * noise.expovariate(1)
    return found


def _wheels(noise: random.Random) -> tuple[str, ...]:
    """Return the ends of a project's wheel names: none, a universal one, or one per platform and Python version."""
    chance = noise.random()
    if chance < 0.25:
        return ()
    return _UNIVERSAL if chance < 0.9 else _PER_PLATFORM[-noise.randrange(4, len(_PER_PLATFORM)) :]


def _yanked(noise: random.Random) -> bool | str:
    if noise.random() >= _YANKED:
        return False
    return noise.choice(_YANK_REASONS) if noise.random() < 0.5 else True
