"""The shape of a case: something that goes wrong in the field, played against one program, and what is wrong then."""

from collections.abc import Callable, Collection, Iterator
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from tests.field import oracle
from tests.field.contender import Contender
from tests.support.process.cli import Result
from tests.support.pypi.exchange import Answer, Request
from tests.support.pypi.faults import Ask, Fault
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World


class Scene(msgspec.Struct, frozen=True):
    """An upstream and a program that mirrors it."""

    world: World
    pypi: PyPI
    mirror: Contender

    def differences(self, *, only: Collection[str] | None = None, mirror: Contender | None = None) -> list[str]:
        """Return how a mirror differs from the world; a program without sidecars may lack them."""
        mirror = mirror or self.mirror
        return oracle.differences(mirror.web, self.world, only=only, sidecars=mirror.sidecars)


Play: TypeAlias = Callable[[Scene], Iterator[str]]
"""Yields what is wrong at the end, one sentence each; nothing when the program stands it."""


class Case(msgspec.Struct, frozen=True):
    """One row of the table."""

    sentence: str
    """What is true of a program that stands it."""
    play: Play
    slow: bool = False
    """Takes more than 10 s with mirrorsync."""
    fails_because: str = ""
    """Why mirrorsync does not stand it."""


class Replaced(Fault, frozen=True):
    """The same answer with other bytes in it, wherever `old` stands."""

    old: bytes
    new: bytes

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        return replace(answer, body=answer.body.replace(self.old, self.new))


def clean(told: Result) -> Iterator[str]:
    """Yield a problem unless the pass ended 0."""
    if told.code != 0:
        yield f"the pass ended {told.code}: {last_line(told)}"


def unclean(told: Result) -> Iterator[str]:
    """Yield a problem if the pass ended 0."""
    if told.code == 0:
        yield "it ended 0, as if all were well"


def last_line(told: Result) -> str:
    """Return the last line that it said."""
    return (told.said.strip().splitlines() or ["nothing"])[-1][:160]


def small(world: World, *names: str) -> None:
    """Upload a wheel and a source distribution of each name."""
    for name in names or ("alpha", "beta", "gamma"):
        world.upload(name, "1.0", requires_python=">=3.8")
        world.upload(name, "1.0", kind="sdist")
