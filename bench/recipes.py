"""The size and shape of each upstream."""

from typing import Final

import msgspec

FIRST_SERIAL: Final = 10_000_001
_PORT: Final = 18471


class Recipe(msgspec.Struct, frozen=True):
    name: str
    projects: int
    """Projects with a page."""
    files: int
    wheels: int
    """How many of the files are wheels, each with a sidecar (PEP 658); `varied` decides for itself."""
    size: int
    """Bytes of all files and sidecars. 0: only the index exists, its files do not."""
    port: int
    """Where it is served: pages contain it in their links, as PyPI's pages contain a host."""
    listed: int = 0
    """Projects in the root list; the last ones have pages. 0: as many as have pages."""
    even: bool = True
    """The same number of files in each project; otherwise log-normal, as PyPI's are."""
    varied: bool = False
    """Releases, yanks, times, requires-python and sidecars differ as much as PyPI's do (bench/varied.py)."""
    new_key: bool = False
    """Each page has one key that mirrorsync does not know."""
    delay: float = 0.0
    """Seconds by which a relay delays each byte, each way (bench/line.py)."""
    tls: bool = False

    @property
    def base(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def serials(self) -> range:
        """Serials of all that is listed. A project's name contains its serial, which nginx copies into a header."""
        return range(FIRST_SERIAL, FIRST_SERIAL + (self.listed or self.projects))

    @property
    def paged(self) -> range:
        return self.serials[-self.projects :]

    @property
    def last(self) -> int:
        return self.serials[-1]


def project(serial: int) -> str:
    return f"parcel-{serial}"


SMALL: Final = Recipe("small", 2_000, 16_695, 8_889, 139_000_000, _PORT, even=False)
INDEX: Final = Recipe("index", 20_000, 240_000, 0, 0, _PORT + 1, even=False, varied=True)
LARGE: Final = Recipe("large", 25, 75, 0, 2_000_000_000, _PORT + 2)
CHANGED: Final = Recipe("changed-200k", 50, 600, 300, 6_000_000, _PORT + 3, listed=200_000)
CHANGED_FEW: Final = Recipe("changed-20k", 50, 600, 300, 6_000_000, _PORT + 4, listed=20_000)
TLS: Final = msgspec.structs.replace(SMALL, name="small-tls", port=_PORT + 5, tls=True)
NEW_KEY: Final = msgspec.structs.replace(INDEX, name="index-new-key", port=_PORT + 6, new_key=True)
LINE: Final = Recipe("line", 500, 4_174, 2_222, 35_000_000, _PORT + 7, even=False, delay=0.03)

ALL: Final = (SMALL, INDEX, LARGE, CHANGED, CHANGED_FEW, TLS, NEW_KEY, LINE)


def quick(recipe: Recipe) -> Recipe:
    """Return a recipe of the same shape, about fifty times smaller, for a smoke test."""

    def less(number: int) -> int:
        return -(-number // 50)

    projects = less(recipe.projects) if recipe.listed == 0 else 10
    each = recipe.files / recipe.projects
    return msgspec.structs.replace(
        recipe,
        name=f"{recipe.name}-quick",
        projects=projects,
        files=round(projects * each),
        wheels=round(projects * recipe.wheels / recipe.projects),
        size=less(recipe.size),
        port=recipe.port + 20,
        listed=max(less(recipe.listed), projects) if recipe.listed else 0,
    )
