"""Random events, faults of upstream, deaths and waits: the invariants hold, and the mirror ends up complete."""

import math
import os
import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from mirrorsync.errors import MirrorsyncError, NoListing, Unreachable
from tests.machine.sim import DAY, Cut, Sim, Violation
from tests.machine.world_upstream import FileFault, ListFault, PageFault
from tests.support.oracle.instant import held_back
from tests.support.pypi.world import World

STEPS = int(os.environ.get("MIRRORSYNC_MACHINE_STEPS", "12000"))
NAMES = st.sampled_from(["alpha", "beta", "gamma", "delta"])
SPELLINGS = st.sampled_from([str.lower, str.upper, str.title])
VERSIONS = st.sampled_from(["1.0", "2.0", "3.0"])
CUTS: st.SearchStrategy[Cut] = st.sampled_from(["kill", "least", "any"])
LIE_LASTS = 20 * 3600.0
"""Seconds: caches serve an old page for a day at most; after that the mirror accepts it."""
COUNTED: Counter[str] = Counter()


class Lives(RuleBasedStateMachine):
    """A mirror's life."""

    def __init__(self) -> None:
        super().__init__()
        self.sim = Sim(World())
        self.lied_since = 0.0

    @property
    def world(self) -> World:
        return self.sim.world

    def here(self, name: str) -> bool:
        return name in self.world.projects

    def pick(self, names: list[str], number: int) -> str:
        return names[number % len(names)]

    @initialize()
    def begin(self) -> None:
        for name in ("alpha", "beta", "gamma"):
            self.world.upload(name, "1.0")
            self.world.upload(name, "1.0", kind="sdist")
        self.sync(0)

    def remember_list(self) -> None:
        self.sim.upstream.old_lists.append(self.sim.upstream.list_now())

    # --- what happens upstream -----------------------------------------------------------------------------------

    @rule(name=NAMES, spell=SPELLINGS, version=VERSIONS, sdist=st.booleans(), late=st.booleans())
    def upload(self, name: str, spell: object, version: str, *, sdist: bool, late: bool) -> None:
        assert callable(spell)
        self.remember_list()
        suffix = ".tar.gz" if sdist else "-py3-none-any.whl"
        if self.here(name) and any(f.filename == f"{name}-{version}{suffix}" for f in self.world.project(name).files):
            return
        if late and not sdist:
            self.world.upload(
                spell(name),
                version,
                metadata=None,
                filename=f"{name}-{version}{suffix}",
                content=f"{name} {version}".encode(),
            )
        else:
            self.world.upload(spell(name), version, kind="sdist" if sdist else "wheel")

    @rule(name=NAMES, number=st.integers(0, 9), backfill=st.booleans())
    def change_a_file(self, name: str, number: int, *, backfill: bool) -> None:
        self.remember_list()
        files = self.world.projects[name].files if self.here(name) else []
        if not files:
            return
        file = files[number % len(files)]
        if not backfill:
            self.world.remove_file(name, file.filename)
        elif file.filename.endswith(".whl") and file.metadata is None:
            self.world.backfill_metadata(name, file.filename)

    @rule(
        name=NAMES,
        version=VERSIONS,
        what=st.sampled_from(["remove_release", "yank", "unyank", "quarantine_release", "clear_release_quarantine"]),
    )
    def change_a_release(self, name: str, version: str, what: str) -> None:
        self.remember_list()
        if self.here(name) and version in self.world.project(name).releases:
            getattr(self.world, what)(name, version)

    @rule(
        name=NAMES,
        what=st.sampled_from(["remove_project", "quarantine", "clear_quarantine", "archive", "add_role", "invite"]),
    )
    def change_a_project(self, name: str, what: str) -> None:
        self.remember_list()
        if self.here(name) and (what not in {"clear_quarantine", "archive"} or self.fits(name, what)):
            getattr(self.world, what)(name)

    def fits(self, name: str, what: str) -> bool:
        return (self.world.project(name).status == "quarantined") == (what == "clear_quarantine")

    @rule(old=NAMES, new=NAMES)
    def rename(self, old: str, new: str) -> None:
        self.remember_list()
        if self.here(old) and not self.here(new):
            self.world.rename(old, new)

    @rule(count=st.integers(1, 5))
    def lose_serials(self, count: int) -> None:
        self.world.skip_serials(count)

    # --- faults of upstream --------------------------------------------------------------------------------------

    @rule(name=NAMES, fault=st.sampled_from(["stale", "absent", "unreachable"]))
    def lie_about_a_page(self, name: str, fault: PageFault) -> None:
        self.sim.upstream.lies.pages[name] = fault
        self.lied_since = self.sim.clock.now

    @rule(
        name=NAMES,
        version=VERSIONS,
        suffix=st.sampled_from([".tar.gz", "-py3-none-any.whl"]),
        fault=st.sampled_from(["missing", "truncated", "wrong bytes", "no sidecar", "unreachable"]),
    )
    def spoil_a_file(self, name: str, version: str, suffix: str, fault: FileFault) -> None:
        self.sim.upstream.lies.files[f"{name}-{version}{suffix}"] = fault

    @rule(fault=st.sampled_from(["stale", "absent"]))
    def spoil_the_list(self, fault: ListFault) -> None:
        self.sim.upstream.lies.listing = fault

    @rule(share=st.integers(1, 4))
    def cut_the_list(self, share: int) -> None:
        """Leave out a quarter to all of the projects that the mirror serves."""
        served = [row["name"] for row in self.sim.connection.execute("SELECT name FROM project WHERE present = 1")]
        self.sim.upstream.lies.hidden = frozenset(served[: len(served) * share // 4])

    @rule()
    def break_the_journal(self) -> None:
        self.sim.upstream.lies.no_journal = True

    @rule()
    def tell_the_truth(self) -> None:
        self.sim.upstream.lies.stop()

    # --- what the mirror does ------------------------------------------------------------------------------------

    def excuse(self) -> None:
        """Exempt projects from I2 for which the mirror cannot know better.

        After a day what a cache has is taken. And without a journal a removal shows in the root list alone: an old
        page that contradicts it is believed until the list is read again, and the quarantined are in no list. Two
        witnesses that lie alike, a page that is 404 and a list that leaves its project out, are believed (I5).
        """
        lies = self.sim.upstream.lies
        old = {name for name, fault in lies.pages.items() if fault == "stale"}
        rows = self.sim.connection.execute("SELECT name, stale_since, status, unlisted FROM project").fetchall()
        late = {row["name"] for row in rows if self.sim.clock.now - (row["stale_since"] or math.inf) > LIE_LASTS}
        hidden = {row["name"] for row in rows if row["status"] == "quarantined"}
        unlisted = lies.hidden | {row["name"] for row in rows if row["unlisted"]}
        self.sim.oracle.excused |= {name for name, fault in lies.pages.items() if fault == "absent"} & unlisted
        self.sim.oracle.excused |= old | hidden if lies.no_journal else old & late

    @rule(seed=st.integers(0, 99))
    def sync(self, seed: int) -> None:
        self.excuse()
        try:
            self.sim.run(seed=seed)
        except (Unreachable, NoListing):
            return
        if not self.sim.upstream.lies.no_journal:
            self.look_at_neighbours()

    @rule(seed=st.integers(0, 99), step=st.integers(0, 30), cut=CUTS)
    def die(self, seed: int, step: int, cut: Cut) -> None:
        self.excuse()
        try:
            life = self.sim.run(seed=seed, dies_at=step)
        except (Unreachable, NoListing):
            return
        if life.dead:
            COUNTED["deaths"] += 1
            self.sim.end(cut, random.Random(seed))  # noqa: S311 - no secret

    @rule(seconds=st.sampled_from([30.0, 400.0, 4000.0, DAY / 2, 1.1 * DAY]))
    def wait(self, seconds: float) -> None:
        self.sim.clock.forward(seconds)
        if self.sim.clock.now - self.lied_since > LIE_LASTS:
            self.sim.upstream.lies.pages.clear()

    @invariant()
    def promises_hold(self) -> None:
        """I1, I2 and I4 hold after every rule."""
        COUNTED["rules"] += 1
        self.sim.look("after a rule")

    def look_at_neighbours(self) -> None:
        """I7: every project that has not failed matches upstream."""
        sim = self.sim
        excused = {*sim.oracle.excused, *sim.upstream.lies.pages}
        found = list(held_back(sim.oracle.tree, self.world, sim.connection, excused))
        if found:
            raise Violation("; ".join(found))

    def teardown(self) -> None:
        self.sim.upstream.lies.stop()
        try:
            for _ in range(2):
                self.sim.clock.forward(32 * DAY)
                self.sim.run()
        except MirrorsyncError as error:
            raise Violation(f"upstream is well, and a run ends with {error!r}") from error
        self.sim.converge(3)
        COUNTED["lives"] += 1
        COUNTED["watched steps"] += self.sim.steps


def live(steps: int, *, each: int, always_the_same: bool) -> None:
    """Run lives of `each` rules, at least `steps` rules in all. Raises: Violation, with the rules that led to it."""
    COUNTED.clear()
    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=-(-steps * 5 // (4 * each)),  # some lives are shorter
            stateful_step_count=each,
            deadline=None,
            database=None,
            derandomize=always_the_same,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),  # threads prevent exact repetition, and so shrinking
        ),
    )


def test_invariants_hold_in_short_random_lives() -> None:
    live(450, each=30, always_the_same=True)
    assert COUNTED["lives"] >= 10


@pytest.mark.slow
def test_invariants_hold_in_long_random_lives(capsys: pytest.CaptureFixture[str]) -> None:
    live(STEPS, each=50, always_the_same=False)
    with capsys.disabled():
        print(f"\n{dict(COUNTED)}")  # noqa: T201 - the counts are the result
    assert COUNTED["rules"] >= STEPS
