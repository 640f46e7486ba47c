import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirrorsync.web.negotiation import Representation, choose

HTML, V1_HTML, V1_JSON = Representation
PIP = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
UV = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, HTML),
        ("", HTML),
        ("*/*", HTML),
        ("text/html", HTML),
        ("text/*", HTML),
        ("text/plain", HTML),
        ("application/json", HTML),
        ("application/*", V1_HTML),
        ("application/vnd.pypi.simple.v1+html", V1_HTML),
        ("application/vnd.pypi.simple.v1+json", V1_JSON),
        ("application/vnd.pypi.simple.latest+json", V1_JSON),
        ("application/vnd.pypi.simple.latest+html", V1_HTML),
        (PIP, V1_JSON),
        (UV, V1_JSON),
        ("text/html, application/vnd.pypi.simple.v1+html, application/vnd.pypi.simple.v1+json", HTML),
        (
            "text/html;q=0.01, application/vnd.pypi.simple.v1+html;q=0.2, application/vnd.pypi.simple.v1+json",
            V1_JSON,
        ),
        ("application/vnd.pypi.simple.v1+json;q=0.5, text/html;q=0.9", HTML),
        ("application/vnd.pypi.simple.latest+json;q=0.2, application/vnd.pypi.simple.latest+html;q=0.3", V1_HTML),
        ("Application/Vnd.PyPI.Simple.V1+JSON;Q=1.0, text/html;q=0.9", V1_JSON),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML),
    ],
)
def test_the_best_accepted_type_is_served(accept: str | None, expected: Representation) -> None:
    assert choose(accept) is expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*, text/html;q=0", V1_HTML),
        ("application/*;q=0.9, text/html;q=0.5, application/vnd.pypi.simple.v1+html;q=0", V1_JSON),
        ("application/*, application/vnd.pypi.simple.v1+html;q=0.1, text/html;q=0.3", V1_JSON),
        ("*/*;q=0.1, application/*;q=0.2", V1_HTML),
        ("application/vnd.pypi.simple.v1+json;q=0", HTML),
        ("*/*;q=0", HTML),
    ],
)
def test_a_more_specific_range_overrides_a_wider_one(accept: str, expected: Representation) -> None:
    assert choose(accept) is expected


@pytest.mark.parametrize(
    "broken",
    ["application/vnd.pypi.simple.v1+json;q=2", "application/vnd.pypi.simple.v1+json;q=-1", ";;;", "q=1", "json", "/"],
)
def test_a_malformed_element_is_ignored(broken: str) -> None:
    assert choose(broken) is HTML
    assert choose(f"{broken}, application/vnd.pypi.simple.v1+html") is V1_HTML


def test_a_range_with_parameters_does_not_match_a_type_without() -> None:
    assert choose("application/vnd.pypi.simple.v1+json;version=1, application/vnd.pypi.simple.v1+html;q=0.1") is V1_HTML


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("format=application/vnd.pypi.simple.v1+json", V1_JSON),
        ("format=application/vnd.pypi.simple.v1%2Bjson", V1_JSON),
        ("format=application%2Fvnd.pypi.simple.latest%2Bjson", V1_JSON),
        ("format=application/vnd.pypi.simple.v1+html", V1_HTML),
        ("format=text/html", HTML),
        ("x=1&format=application/vnd.pypi.simple.v1+html&format=text/html", V1_HTML),
        ("format=application/*", HTML),
        ("format=application/json", HTML),
        ("format=", HTML),
    ],
)
def test_format_names_one_exact_type_and_overrides_accept(query: str, expected: Representation) -> None:
    assert choose("application/vnd.pypi.simple.v1+json;q=0.3, text/html;q=0.1", query) is expected


def test_other_query_parameters_change_nothing() -> None:
    assert choose(PIP, "informat=text/html&x=y") is V1_JSON


@given(st.text(), st.text())
def test_every_request_gets_some_representation(accept: str, query: str) -> None:
    assert choose(accept, query) in Representation


_WEIGHTS = st.integers(min_value=0, max_value=1000)


@given(_WEIGHTS, _WEIGHTS, _WEIGHTS)
def test_no_representation_outweighs_the_one_that_is_served(html: int, v1_html: int, v1_json: int) -> None:
    weights = dict(zip(Representation, (html, v1_html, v1_json), strict=True))
    accept = ", ".join(f"{offer.media_type};q={weight / 1000:.3f}" for offer, weight in weights.items())
    assert weights[choose(accept)] == max(weights.values())
