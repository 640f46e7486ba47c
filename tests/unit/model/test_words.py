import pytest

from mirrorsync.model.wording import brief, counted, lasting


def test_only_one_is_singular() -> None:
    assert [counted(number, "file") for number in (0, 1, 2, 1234)] == ["0 files", "1 file", "2 files", "1,234 files"]


@pytest.mark.parametrize(
    ("seconds", "long", "short"),
    [
        (0, "0 seconds", "0 s"),
        (-5, "0 seconds", "0 s"),
        (0.3, "0 seconds", "0.3 s"),
        (4.0, "4 seconds", "4 s"),
        (59.6, "1 minute", "1 min"),
        (90, "1 minute 30 seconds", "1 min 30 s"),
        (3600, "1 hour", "1 h"),
        (3 * 3600 + 11 * 60 + 50, "3 hours 12 minutes", "3 h 12 min"),
        (93_784, "1 day 2 hours", "1 d 2 h"),
        (400 * 86_400, "400 days", "400 d"),
    ],
)
def test_a_time_span_has_its_two_largest_units(seconds: float, long: str, short: str) -> None:
    assert (lasting(seconds), brief(seconds)) == (long, short)
