import pytest

from mirrorsync.web.preconditions import Answer, Validators, answer

OBJECT = Validators(etag='"abc"', modified=1_700_000_000, size=100)
MODIFIED = "Tue, 14 Nov 2023 22:13:20 GMT"


def get(**headers: str) -> Answer:
    return answer({name.replace("_", "-"): value for name, value in headers.items()}, OBJECT, is_get=True)


def test_last_modified_is_an_http_date() -> None:
    assert OBJECT.last_modified == MODIFIED


@pytest.mark.parametrize("tags", ['"abc"', 'W/"abc"', '"x", "abc"', "*", ' "abc" ,"y"'])
def test_a_known_entity_tag_needs_no_body(tags: str) -> None:
    assert get(if_none_match=tags) == Answer(304)


@pytest.mark.parametrize("tags", ['"abcd"', "abc", '"x"', ""])
def test_another_entity_tag_gets_the_whole(tags: str) -> None:
    assert get(if_none_match=tags) == Answer(200, 0, 100)


def test_a_date_counts_only_without_an_entity_tag() -> None:
    assert get(if_modified_since=MODIFIED) == Answer(304)
    assert get(if_modified_since=MODIFIED, if_none_match='"old"').status == 200
    assert get(if_modified_since="Tue, 14 Nov 2023 22:13:19 GMT").status == 200


@pytest.mark.parametrize("date", ["", "yesterday", "Tue, 99 Nov 2023 22:13:20 GMT", "0"])
def test_a_date_that_is_none_is_passed_over(date: str) -> None:
    assert get(if_modified_since=date).status == 200


@pytest.mark.parametrize(
    ("value", "start", "length"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 10),
        ("bytes=90-", 90, 10),
        ("bytes=90-1000", 90, 10),
        ("bytes=-5", 95, 5),
        ("bytes=-500", 0, 100),
        ("bytes=99-99", 99, 1),
    ],
)
def test_one_range_is_honoured(value: str, start: int, length: int) -> None:
    assert get(range=value) == Answer(206, start, length)


@pytest.mark.parametrize("value", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_beyond_the_end_cannot_be_satisfied(value: str) -> None:
    assert get(range=value) == Answer(416)


@pytest.mark.parametrize(
    "value", ["bytes=-", "bytes=0-1,5-6", "bytes=5-3", "lines=1-2", "bytes", "bytes=a-b", "bytes=--1"]
)
def test_a_range_that_is_not_understood_gets_the_whole(value: str) -> None:
    assert get(range=value) == Answer(200, 0, 100)


def test_a_range_of_another_state_gets_the_whole() -> None:
    assert get(range="bytes=1-", if_range='"abc"').status == 206
    assert get(range="bytes=1-", if_range=MODIFIED).status == 206
    assert get(range="bytes=1-", if_range='"old"') == Answer(200, 0, 100)
    assert get(range="bytes=1-", if_range='W/"abc"').status == 200


def test_a_range_of_a_head_request_means_nothing() -> None:
    assert answer({"range": "bytes=1-2"}, OBJECT, is_get=False) == Answer(200, 0, 100)
