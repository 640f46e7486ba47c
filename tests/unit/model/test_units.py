import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirrorsync.model.units import format_duration, format_size, parse_duration, parse_size

KIB, MIB, GIB = 1024, 1024**2, 1024**3


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("1d", 86_400), ("90m", 5_400), ("2h30m", 9_000), ("250ms", 0.25), ("1.5h", 5_400), ("0s", 0)],
)
def test_a_duration_parses_to_its_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


def test_spaces_in_a_duration_change_nothing() -> None:
    assert parse_duration(" 2 h 30 m ") == parse_duration("2h30m")


@pytest.mark.parametrize("text", ["", "60", "s", "-1s", "1y", "30m2h", "1h1h", "1e3s", "٣s", "9" * 400 + "d", "inf"])
def test_an_invalid_duration_is_refused_with_valid_examples(text: str) -> None:
    with pytest.raises(ValueError, match='is not a duration; valid are "250ms", "60s"') as caught:
        parse_duration(text)
    assert repr(text[:40]) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64 MiB", 64 * MIB),
        ("20GiB", 20 * GIB),
        ("500 GB", 500 * 1000**3),
        ("1024", 1024),
        ("1 kb", 1000),
        ("1.5 gib", 1536 * MIB),
        ("0", 0),
    ],
)
def test_a_size_parses_to_its_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "-1 MiB", "1 G", "20 GiBs", "1,5 GiB", "1 2 MiB", "nan", "٣ MiB"])
def test_an_invalid_size_is_refused_with_valid_examples(text: str) -> None:
    with pytest.raises(ValueError, match='is not a size; valid are "64 MiB"') as caught:
        parse_size(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (1.5, "1.5s"), (60, "60s"), (119, "119s"), (120, "2m"), (5_400, "1h30m")],
)
def test_seconds_are_formatted_with_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
    assert format_duration(-seconds) == (f"-{text}" if seconds else text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (19_293_798, "18.4 MiB"),
        (500 * GIB, "500 GiB"),
        (MIB - 1, "1.0 MiB"),
        (MIB + 1, "1.0 MiB"),
        (MIB, "1 MiB"),
        (-2 * KIB, "-2 KiB"),
    ],
)
def test_bytes_are_formatted_in_binary_units(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(min_value=0, max_value=10**14))
def test_every_duration_survives_formatting(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.integers(min_value=0, max_value=1023), st.integers(min_value=0, max_value=6))
def test_every_whole_size_survives_formatting(count: int, power: int) -> None:
    assert parse_size(format_size(count * 1024**power)) == count * 1024**power


@given(st.integers(min_value=0, max_value=1024**7))
def test_a_formatted_size_is_rounded_to_tenths(size: int) -> None:
    shown = format_size(size)
    unit = parse_size(f"1 {shown.split()[1]}")
    assert abs(parse_size(shown) - size) <= unit // 20 + 1
    assert 1 <= float(shown.split()[0]) <= 1024 or size == 0


@given(st.text(max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for parse in (parse_duration, parse_size):
        with contextlib.suppress(ValueError):
            assert parse(text) >= 0
