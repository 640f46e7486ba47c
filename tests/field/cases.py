"""A case: something that goes wrong in the field, played against one mirror program."""

from collections.abc import Callable, Collection, Iterator
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from tests.field.contender import Contender
from tests.support.oracle import Folder, Level, Oracle, Terms, broken_links
from tests.support.oracle.offered import leftovers, offered_files, pages_with, project_names, project_page
from tests.support.oracle.pages import PublishedPage
from tests.support.process.launch import Result
from tests.support.pypi.exchange import Answer, Request
from tests.support.pypi.faults import Ask, Fault
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World


class Scene(msgspec.Struct, frozen=True):
    """An upstream, and a program that mirrors it."""

    world: World
    pypi: PyPI
    mirror: Contender

    @property
    def tree(self) -> Folder:
        """What the program serves."""
        return Folder(self.mirror.web)

    def differences(
        self,
        *,
        only: Collection[str] | None = None,
        mirror: Contender | None = None,
        sidecars: bool | None = None,
    ) -> list[str]:
        """Return how a mirror differs from the world; by default a program without sidecars may lack them."""
        mirror = mirror or self.mirror
        expects_sidecars = mirror.sidecars if sidecars is None else sidecars
        terms = Terms(projects=only, sidecars=expects_sidecars, quarantined_may_be_absent=True)
        return Oracle(mirror.web, self.world, terms).problems(Level.OFFERED)

    def broken_links(self) -> list[str]:
        return list(broken_links(self.tree))

    def leftovers(self) -> list[str]:
        return leftovers(self.tree, self.world)

    def offered(self, name: str) -> list[str]:
        return offered_files(self.tree, name)

    def page(self, name: str) -> PublishedPage | None:
        return project_page(self.tree, name)

    def pages_with(self, text: bytes) -> list[str]:
        return pages_with(self.tree, text)

    def served(self) -> set[str]:
        return project_names(self.tree)


Play: TypeAlias = Callable[[Scene], Iterator[str]]
"""Yields what is wrong at the end, one sentence each; nothing when the program handles the case correctly."""


class Case(msgspec.Struct, frozen=True):
    """One row of the table."""

    sentence: str
    """What is true of a program that handles the case correctly."""
    play: Play
    slow: bool = False
    """Takes more than 10 s with mirrorsync."""
    fails_because: str = ""
    """Why mirrorsync fails it; empty: it passes."""


class Replaced(Fault, frozen=True):
    """The same answer with each `old` replaced by `new`."""

    old: bytes
    new: bytes

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return replace(answer, body=answer.body.replace(self.old, self.new))


def clean(result: Result) -> Iterator[str]:
    """Yield a problem unless the pass exited with 0."""
    if result.code != 0:
        yield f"the pass exited with {result.code}: {last_line(result)}"


def unclean(result: Result) -> Iterator[str]:
    """Yield a problem if the pass exited with 0."""
    if result.code == 0:
        yield "the pass exited with 0, as if nothing were wrong"


def last_line(result: Result) -> str:
    """Return the last line of its output."""
    return (result.said.strip().splitlines() or ["no output"])[-1][:160]


def small(world: World, *names: str) -> None:
    """Upload a wheel and a source distribution of each name."""
    for name in names or ("alpha", "beta", "gamma"):
        world.upload(name, "1.0", requires_python=">=3.8")
        world.upload(name, "1.0", kind="sdist")
