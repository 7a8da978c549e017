"""Zones to ignore: what is one, what is refused, and how they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.zones import Zone, as_zones, check_zones, covered_share, parse_zones, zones_text

edges = st.integers(0, 20)
zones = st.builds(
    lambda x, y, width, height: (x / 40, y / 40, (width + 1) / 100, (height + 1) / 100), edges, edges, edges, edges
)


@given(st.lists(zones, max_size=4))
def test_zones_are_read_as_they_are_written_in_whatever_order(found: list[Zone]) -> None:
    checked = check_zones(tuple(found))
    assert check_zones(tuple(reversed(found))) == checked
    assert as_zones([list(zone) for zone in found]) == checked
    if found:
        assert covered_share(parse_zones(zones_text(checked))) == pytest.approx(covered_share(checked), abs=1e-4)
    assert max(zone[2] * zone[3] for zone in [*found, (0, 0, 0, 0)]) <= covered_share(checked) + 1e-9
    assert covered_share(checked) <= sum(zone[2] * zone[3] for zone in found) + 1e-9


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ([[0, 0, 0.3]], r"\[0, 0, 0.3\] is no zone: write \[x, y, width, height\]"),
        ([0, 0, 0.3, 0.1], "0 is no zone"),
        ("0,0,0.3,0.1", "no list of zones"),
        ([[0, 0, "0.3", 0.1]], "is no zone"),
        ([[0, 0, True, 0.1]], "is no zone"),
        ([[0, 0, 0.0, 0.1]], "has no area"),
        ([[0, 0, float("nan"), 0.1]], "has no area"),
        ([[0.9, 0, 0.2, 0.1]], "reaches beyond the picture"),
        ([[-0.1, 0, 0.2, 0.1]], "reaches beyond the picture"),
        ([[0, 0, 100, 60]], "reaches beyond the picture"),
        ([[0, 0, 1, 1]], "cover 100% of the picture, at most 80%.*make them smaller"),
        ([[0, 0, 1, 0.45], [0, 0.5, 1, 0.5]], "cover 95%"),
        ([[0, 0, 0.1, 0.1]] * 33, "more than 32"),
    ],
)
def test_what_cannot_be_ignored_is_refused_with_what_to_do(wrong: object, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        as_zones(wrong)


@pytest.mark.parametrize("wrong", ["0,0,0.3", "a,b,c,d", "0 0 0.3 0.1", "0,0,0.3,0.1,0.2"])
def test_a_text_that_is_no_zone_is_refused_with_the_form(wrong: str) -> None:
    with pytest.raises(ValueError, match="write x,y,width,height"):
        parse_zones(wrong)
