"""What each upstream holds, in numbers."""

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
    """How many of the files are wheels: each has a sidecar (PEP 658)."""
    size: int
    """Bytes of all files and sidecars; 0: the index alone is made, its files are nowhere."""
    port: int
    """Where it is served: pages name it, as PyPI's do."""
    listed: int = 0
    """Projects in the root list; the last ones have the pages. 0: those that have."""
    even: bool = True
    """As many files in each project; else as uneven as PyPI's."""
    tls: bool = False

    @property
    def base(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def serials(self) -> range:
        """Serials of all that is listed. A project is named after its serial, so that nginx can tell it unasked."""
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
INDEX: Final = Recipe("index", 20_000, 240_000, 120_000, 0, _PORT + 1)
LARGE: Final = Recipe("large", 25, 75, 0, 2_000_000_000, _PORT + 2)
CHANGED: Final = Recipe("changed-200k", 50, 600, 300, 6_000_000, _PORT + 3, listed=200_000)
CHANGED_FEW: Final = Recipe("changed-20k", 50, 600, 300, 6_000_000, _PORT + 4, listed=20_000)
TLS: Final = msgspec.structs.replace(SMALL, name="small-tls", port=_PORT + 5, tls=True)


def quick(recipe: Recipe) -> Recipe:
    """Return the recipe for a smoke test: the same shape, some fifty times smaller."""

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
