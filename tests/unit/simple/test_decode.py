"""Decoding of valid pages, from PyPI and from other indexes."""

from typing import Any

import pytest

from mirrorsync.model.page import Hashes
from mirrorsync.simple.decode import PageDecoder
from tests.unit.simple.pages import NAME, PAGE_URL, body_of, decoded, dist_file, entry, page, sha256_of, url_of

WHEEL = "holy_grail-1.0-py3-none-any.whl"
DIGEST = sha256_of("METADATA")
SIDECAR = {"sha256": DIGEST.hex()}


def test_every_key_of_a_usual_entry_is_decoded() -> None:
    provenance = "https://index.test/integrity/holy-grail/1.0/x/provenance"
    raw = entry(
        WHEEL,
        core_metadata=SIDECAR,
        data_dist_info_metadata=SIDECAR,
        provenance=provenance,
        requires_python=">=3.6,<4",
        yanked="it's bad",
    )
    assert decoded(page(raw)).files == (
        dist_file(WHEEL, core_metadata=DIGEST, provenance=provenance, requires_python=">=3.6,<4", yanked="it's bad"),
    )


def test_a_page_has_its_validator_and_serial() -> None:
    got = PageDecoder().decode(body_of(page()), requested=NAME, page_url=PAGE_URL, etag='"abc"')
    assert (got.name, got.serial, got.etag, got.versions) == (NAME, 42, '"abc"', ("1.0",))


@pytest.mark.parametrize(("raw", "serial"), [(0, 0), (7, 7), ("7", 7), (None, None), (2**63 - 1, 2**63 - 1)], ids=repr)
def test_a_serial_may_be_a_number_or_digits_or_null(raw: object, serial: int | None) -> None:
    assert decoded(page(meta={"api-version": "1.1", "_last-serial": raw})).serial == serial


def test_page_of_version_1_0_has_no_serial_sizes_or_versions() -> None:
    raw = {
        "meta": {"api-version": "1.0"},
        "name": "Holy.Grail",
        "files": [{"filename": "a.zip", "url": "a.zip", "hashes": {"sha256": sha256_of("a").hex()}}],
    }
    got = decoded(raw)
    assert (got.serial, got.versions, got.status) == (None, (), "active")
    assert got.files[0].size is None


def test_later_minor_version_is_read_with_its_unknown_keys() -> None:
    raw = page(
        entry(namespace={"b": [1, None]}),
        meta={"api-version": "1.17", "_tracking": "x", "_last-serial": 1},
        alternate_locations=[],
    )
    got = decoded(raw)
    assert got.extra == {"alternate-locations": []}
    assert got.meta_extra == {"_tracking": "x"}
    assert got.files[0].extra == {"namespace": {"b": [1, None]}}


def test_an_unknown_key_changes_no_known_field() -> None:
    entries = [entry(WHEEL, core_metadata=SIDECAR, yanked=True), entry(requires_python=">=3", size=0)]
    usual = decoded(page(*entries))
    assert decoded(page(*entries, zebra=1)).files == usual.files


@pytest.mark.parametrize(("raw", "yanked"), [(True, True), (False, False), (None, False), ("", False), ("x", "x")])
@pytest.mark.parametrize("beside", [{}, {"zebra": 1}], ids=["usual", "tolerant"])
def test_yanked_has_three_types(raw: object, yanked: bool | str, beside: dict[str, Any]) -> None:  # noqa: FBT001 -- the value is the case
    got = decoded(page(entry(yanked=raw, **beside))).files[0].yanked
    assert got == yanked
    assert type(got) is type(yanked)


@pytest.mark.parametrize(
    ("raw", "digest"),
    [
        ({"core-metadata": SIDECAR}, DIGEST),
        ({"data-dist-info-metadata": SIDECAR}, DIGEST),
        ({"dist-info-metadata": SIDECAR}, DIGEST),
        ({"core-metadata": None, "dist-info-metadata": SIDECAR}, DIGEST),
        ({"core-metadata": False, "data-dist-info-metadata": SIDECAR}, None),
        ({"core-metadata": True}, None),
        ({"core-metadata": {}}, None),
        ({"core-metadata": {"sha512": "00"}}, None),
        ({"core-metadata": {"sha256": DIGEST.hex(), "sha512": "00"}}, DIGEST),
        ({"core-metadata": {"sha256": DIGEST.hex().upper()}}, DIGEST),
        ({"core-metadata": {"sha256": "00"}}, None),
        ({"core-metadata": {"sha256": 5}}, None),
        ({"core-metadata": "true"}, None),
        ({}, None),
    ],
    ids=repr,
)
def test_only_a_sha256_of_64_hex_digits_advertises_a_sidecar(raw: dict[str, Any], digest: bytes | None) -> None:
    wheel = {key: value for key, value in entry(WHEEL).items() if "metadata" not in key} | raw
    assert decoded(page(wheel)).files[0].core_metadata == digest


def test_wheels_with_an_unknown_sidecar_are_counted() -> None:
    def without_sidecar_keys(filename: str) -> dict[str, Any]:
        return {key: value for key, value in entry(filename).items() if "metadata" not in key}

    explicit = without_sidecar_keys("c.whl") | {"dist-info-metadata": False}
    entries = (without_sidecar_keys("a.whl"), without_sidecar_keys("b.whl"), explicit, without_sidecar_keys("d.zip"))
    assert decoded(page(*entries)).sidecars_untold == 2
    assert decoded(page(*entries, zebra=1)).sidecars_untold == 2


@pytest.mark.parametrize(
    ("raw", "status", "reason"),
    [
        ({"status": "archived"}, "archived", None),
        ({"status": "deprecated", "reason": "use x"}, "deprecated", "use x"),
        ({"status": "some-later-word"}, "some-later-word", None),
        ({}, "active", None),
        ({"status": None, "reason": None, "since": 1}, "active", None),
        (None, "active", None),
    ],
    ids=repr,
)
def test_a_status_passes_through(raw: object, status: str, reason: str | None) -> None:
    got = decoded(page(entry(), project_status=raw))
    assert (got.status, got.status_reason, len(got.files)) == (status, reason, 1)


def test_a_quarantined_project_has_no_files() -> None:
    got = decoded(page(entry(), project_status={"status": "quarantined"}))
    assert (got.status, got.files) == ("quarantined", ())


def test_a_relative_url_keeps_a_semicolon_at_its_end() -> None:
    file = decoded(page(entry("a;", url="../../files/a;")), page_url="https://mirror.test/simple/holy-grail/").files[0]
    assert (file.filename, file.url) == ("a;", "https://mirror.test/files/a;")


def test_a_relative_url_is_resolved_without_query_and_fragment() -> None:
    digits = sha256_of("x").hex()
    raw = f"../../packages/{digits[:2]}/{digits[2:4]}/{digits[4:]}/a.zip?x=1#sha256=00"
    file = decoded(page(entry("a.zip", url=raw)), page_url="https://mirror.test/root/simple/holy-grail/").files[0]
    assert file.url == f"https://mirror.test/root/packages/{digits[:2]}/{digits[2:4]}/{digits[4:]}/a.zip"
    assert file.place.hex() == digits


@pytest.mark.parametrize(
    "url",
    [
        "https://files.test/somewhere/a.zip",
        "https://packages/aa/bb/" + "c" * 60 + "/a.zip",
        "https://files.test/packages/aa/bb/" + "C" * 60 + "/a.zip",
        "https://files.test/packages/aa/bb/" + "c" * 59 + "/a.zip",
        "https://files.test/packages/aa/bb/" + "c" * 60 + "/more/a.zip",
        "https://files.test/xpackages/aa/bb/" + "c" * 60 + "/a.zip",
    ],
)
def test_a_file_without_a_place_in_its_url_gets_its_sha256(url: str) -> None:
    assert decoded(page(entry("a.zip", url=url))).files[0].place == sha256_of("a.zip")


@pytest.mark.parametrize(
    "before", ["http://127.0.0.1:7000", "https://files.test/deep/er", "HTTPS://files.test", "https://[::1]:8443"]
)
def test_a_place_is_read_from_the_end_of_the_url(before: str) -> None:
    got = decoded(page(entry("a.zip", url=f"{before}/packages/aa/bb/{'c' * 60}/a.zip"))).files[0]
    assert got.place.hex() == "aabb" + "c" * 60


@pytest.mark.parametrize(
    ("filename", "quoted"),
    [
        ("Odd Pkg-1.0.tar.gz", "Odd%20Pkg-1.0.tar.gz"),
        ("odd-1.0+local.1.whl", "odd-1.0+local.1.whl"),
        ("odd-1.0+local.1.whl", "odd-1.0%2Blocal.1.whl"),
        ("odd-1!2.0.zip", "odd-1!2.0.zip"),
        ("Ödd-1.0.zip", "%C3%96dd-1.0.zip"),
        ("Ödd-1.0.zip", "Ödd-1.0.zip"),
        ("odd-1.0#a?b=1&y='z'%20[1].zip", "odd-1.0%23a%3Fb=1&y='z'%2520%5B1%5D.zip"),
        ("odd\x01-1.0.zip", "odd%01-1.0.zip"),
        ("-odd-1.0.exe", "-odd-1.0.exe"),
        ("x" * 249 + ".whl", "x" * 249 + ".whl"),
    ],
)
def test_unusual_filenames_are_kept(filename: str, quoted: str) -> None:
    raw = entry(filename, url=url_of(filename, quoted))
    got = decoded(page(raw)).files[0]
    assert (got.filename, got.url) == (filename, raw["url"])


def test_signatures_are_not_advertised() -> None:
    assert "gpg-sig" not in decoded(page(entry(gpg_sig=True))).files[0].extra


@pytest.mark.parametrize("raw", ["/integrity/x", "javascript:x", "https://a b/c", "https:///x", "", 5, {}, None])
def test_provenance_that_is_not_an_absolute_url_is_dropped(raw: object) -> None:
    assert decoded(page(entry(provenance=raw))).files[0].provenance is None


def test_other_hashes_are_kept_beside_sha256() -> None:
    raw = entry(hashes={"blake2b": "aa", "sha256": sha256_of("a").hex().upper(), "md5": "bb"})
    hashes = decoded(page(raw)).files[0].hashes
    assert hashes == Hashes(sha256_of("a"), (("blake2b", "aa"), ("md5", "bb")))


def test_a_file_listed_twice_is_one_file() -> None:
    again = entry("a.zip", url=url_of("a.zip").replace("files.index.test", "other.test"))
    got = decoded(page(entry("a.zip"), again)).files
    assert got == (dist_file("a.zip"),)


def test_one_name_at_two_places_is_two_files() -> None:
    other = entry("a.zip", url=url_of("b.zip").replace("b.zip", "a.zip"), hashes={"sha256": sha256_of("b").hex()})
    assert len(decoded(page(entry("a.zip"), other)).files) == 2
