"""Bodies of a wrong size or type, and bodies that never end or never begin."""

import json
import os
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from mirrorsync.model.outcome import Mirrored
from mirrorsync.upstream.build import open_upstream
from mirrorsync.upstream.http.retry import RetryPolicy
from tests.hostile.siege import Siege, entry_of, page_of, place_in
from tests.support.pypi.faults import (
    Body,
    DelayHeaders,
    Drip,
    Endless,
    Fault,
    Headers,
    HugeHeader,
    MediaType,
    Redirect,
    Repeat,
    Stall,
    Truncate,
    WrongBytes,
    WrongSize,
)
from tests.support.pypi.server import PyPI
from tests.support.pypi.values import Shape
from tests.support.pypi.world import World
from tests.support.upstream import request_page

_SIZES: Final[tuple[Any, ...]] = (
    0,
    1,
    -1,
    2**40,
    2**40 + 1,
    2**63,
    2**64,
    10**400,
    1.5,
    1e308,
    "1000",
    "",
    True,
    [],
    {},
)
"""Wrong or missing sizes."""
_META: Final = b'"meta":{"api-version":"1.4"},"name":"%s"'
_PAGES: Final[dict[str, Fault]] = {
    "deep-lists": Body(b"[" * 500_000),
    "deep-objects": Body(b'{"a":' * 500_000),
    "deep-key": Body(b'{"files":[],"new":' + b"[" * 100_000 + b"]" * 100_000 + b',"meta":{"api-version":"1.4"}}'),
    "long-number": Body(b'{"files":[],"meta":{"_last-serial":' + b"9" * 1_000_000 + b',"api-version":"1.4"}}'),
    "long-float": Body(b'{"files":[],"meta":{"_last-serial":1e' + b"9" * 1_000_000 + b',"api-version":"1.4"}}'),
    "long-name": Body(b'{"files":[{"filename":"' + b"x" * 1_000_000 + b'"}],"meta":{"api-version":"1.4"},"name":"x"}'),
    "not-json": Body(b"<html>"),
    "nothing": Body(b""),
    "utf-16": Body('{"files":[]}'.encode("utf-16")),
    "xml": MediaType("text/xml"),
    "no-type": MediaType(""),
    "huge-header": HugeHeader(1_000_000),
    "many-headers": Headers(tuple((f"X-{number}", "y" * 50) for number in range(5000))),
    "no-gzip": Headers((("Content-Encoding", "gzip"),)),
    "brotli": Headers((("Content-Encoding", "br"),)),
    "cut": Truncate(20),
    "silent": Stall(None),
    "half-silent": Stall(20),
    "late": DelayHeaders(30.0),
    "round": Redirect("/simple/round/"),
}
_FILES: Final[dict[str, Fault]] = {
    "longer": WrongSize(1),
    "shorter": WrongSize(-1),
    "other": WrongBytes(),
    "endless": Endless(),
    "repeated": Repeat(b"x" * 65_536, times=1000),
    "cut": Truncate(10),
    "silent": Stall(None),
    "half-silent": Stall(10),
    "huge-header": HugeHeader(1_000_000),
    "empty": Body(b""),
}


async def test_wrong_announced_size_is_refused(siege: Siege, pypi: PyPI) -> None:
    victims = {f"size-{number}": size for number, size in enumerate(_SIZES)}
    for victim, size in victims.items():
        file = pypi.world.upload(victim, "1.0", body=b"x" * 1000)
        digits = json.dumps(entry_of(pypi, file, size="SIZE")).replace('"SIZE"', json.dumps(size))
        body = b'{"files":[' + digits.encode() + b"]," + _META % victim.encode() + b"}"
        place_in(pypi, victim, Body(body))
    await siege.sync()
    assert siege.refusal_problems(*victims) == []


@pytest.mark.parametrize("where", ["page", "file", "sidecar"])
async def test_wrong_body_fails_its_project_alone_and_leaves_no_file(tmp_path: Path, pypi: PyPI, where: str) -> None:
    siege = Siege(tmp_path / "around", pypi, silence=0.3)
    victims = _PAGES if where == "page" else _FILES
    if where == "sidecar":  # short enough to be joined from many cut responses; endless ones have their own test
        victims = {name: fault for name, fault in victims.items() if name not in ("endless", "cut", "half-silent")}
    for victim, fault in victims.items():
        place_in(pypi, victim, fault, where=where)
    with trio.fail_after(30):
        await siege.sync()
    # A missing sidecar does not delay its file; what is advertised must be correct in any case.
    assert (siege.harm() if where == "sidecar" else siege.refusal_problems(*victims)) == []
    siege.heal()
    for victim in victims if where == "sidecar" else ():
        pypi.world.upload(victim, "2.0")  # a missing sidecar is requested again when its project changes
    await siege.sync()
    assert siege.problems() == []


async def test_endless_sidecar_is_stopped_at_16_mib(siege: Siege, pypi: PyPI) -> None:
    place_in(pypi, "victim", Endless(), where="sidecar")
    await siege.sync()
    assert siege.harm() == []
    assert not siege.page("victim")["files"][0]["core-metadata"]
    assert max(request.sent for request in pypi.seen(r"victim.*\.metadata$")) < 40 * 2**20


async def test_trickling_bodies_are_read_and_delay_no_other(tmp_path: Path, pypi: PyPI) -> None:
    siege = Siege(tmp_path / "around", pypi, silence=0.4)
    place_in(pypi, "slow-page", Drip(40, 0.1))
    place_in(pypi, "slow-file", Drip(100, 0.05), where="file")
    await siege.sync()
    assert siege.problems() == []
    assert [outcome.name for outcome in siege.observer.outcomes][-2:] in (
        ["slow-page", "slow-file"],
        ["slow-file", "slow-page"],
    )


async def test_page_that_trickles_without_end_fails(pypi: PyPI, world: World) -> None:
    world.upload("victim", "1.0")
    place_in(pypi, "victim", Body(os.urandom(1000)), Drip(1, 0.05))  # incompressible
    async with open_upstream(
        index=pypi.url,
        contact="a@b.test",
        connections=trio.CapacityLimiter(2),
        allow_http=True,
        retry_policy=RetryPolicy(attempts=1),
        silence=0.1,
    ) as upstream:
        with trio.fail_after(0.1 * 30), pytest.raises(Exception, match="slow"):
            await request_page(upstream, "victim")


_XML: Final[dict[str, Fault]] = {
    "entities": Body(
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
        b"<methodResponse><params><param><value>&c;</value></param></params></methodResponse>"
    ),
    "an external entity": Body(
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        b"<methodResponse><params><param><value>&x;</value></param></params></methodResponse>"
    ),
    "depth": Body(
        b"<methodResponse><params><param><value>"
        + b"<array><data><value>" * 50_000
        + b"</value></data></array>" * 50_000
        + b"</value></param></params></methodResponse>"
    ),
    "a row of depth": Body(
        b"<methodResponse><params><param><value><array><data><value>"
        + b"<array><data><value>" * 3_000
        + b"</value></data></array>" * 3_000
        + b"</value></data></array></value></param></params></methodResponse>"
    ),
    "a huge number": Body(
        b"<methodResponse><params><param><value><int>"
        + b"9" * 1_000_000
        + b"</int></value></param></params></methodResponse>"
    ),
    "a huge header": HugeHeader(1_000_000),
    "a cut": Truncate(20),
    "silence": Stall(None),
    "not XML": MediaType("text/html"),
    "utf-7": Body(b"+ADw-methodResponse+AD4-"),
}


@pytest.mark.parametrize("fault", _XML.values(), ids=_XML)
async def test_invalid_changelog_is_reported_and_replaced_by_the_root_list(
    tmp_path: Path, pypi: PyPI, fault: Fault
) -> None:
    siege = Siege(tmp_path / "around", pypi, silence=0.3)
    pypi.faults.add(r"^/pypi$", fault)
    try:
        await siege.sync()
    except siege.expected as error:
        assert 0 < len(str(error)) < 2000  # noqa: PT017 - a run may go on or be refused
        pypi.faults.clear()
        await siege.sync()
    assert siege.problems() == []
    assert siege.harm() == []


@pytest.mark.parametrize("fault", [*_PAGES.values()], ids=_PAGES)
async def test_invalid_root_list_is_reported_and_removes_nothing(tmp_path: Path, pypi: PyPI, fault: Fault) -> None:
    siege = Siege(tmp_path / "around", pypi, silence=0.3, upstream={"feed": "json"})
    await siege.sync()
    rule = pypi.faults.add(r"^/simple/$", fault)
    siege.clock.forward(2 * 86400)
    with pytest.raises(siege.expected) as refusal:
        await siege.sync()
    assert rule.hits
    assert 0 < len(str(refusal.value)) < 2000
    assert siege.harm() == []
    siege.heal()
    await siege.sync()
    assert siege.problems() == []


@pytest.mark.parametrize(("length", "advertised"), [(246, True), (247, False), (249, False), (255, False)])
async def test_long_file_name_is_mirrored_and_its_sidecar_if_it_fits(
    siege: Siege, pypi: PyPI, length: int, *, advertised: bool
) -> None:
    tail = "-1.0-py3-none-any.whl"
    name = "v" * (length - len(tail)) + tail
    pypi.world.upload("victim", "1.0", filename=name, content=b"wheel", metadata=b"Name: victim\n")
    await siege.sync()
    assert isinstance(siege.outcomes["victim"], Mirrored)
    assert bool(siege.page("victim")["files"][0]["core-metadata"]) is advertised
    assert name in siege.stored()
    assert (f"{name}.metadata" in siege.stored()) is advertised
    assert siege.harm() == []


async def test_page_without_sizes_gets_the_sizes_of_its_files(siege: Siege, pypi: PyPI) -> None:
    file = pypi.world.upload("victim", "1.0")
    place_in(pypi, "victim", page_of("victim", entry_of(pypi, file, size=None)))
    await siege.sync()
    assert siege.page("victim")["files"][0]["size"] == file.size
    assert siege.harm() == []


async def test_proxy_redirect_to_an_invalid_url_is_an_expected_failure(pypi: PyPI) -> None:
    with PyPI(World(), shape=Shape()) as proxy:
        for location in ("http://[", "http://127.0.0.1:99999/", "https:///x"):
            proxy.faults.clear()
            proxy.faults.add("simple", Redirect(location))
            async with open_upstream(
                index=pypi.url,
                contact="a@b.test",
                connections=trio.CapacityLimiter(2),
                allow_http=True,
                proxy=proxy.url,
                retry_policy=RetryPolicy(attempts=1),
            ) as upstream:
                with pytest.raises(Siege.expected):
                    await request_page(upstream, "victim")
