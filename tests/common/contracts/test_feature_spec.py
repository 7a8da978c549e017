"""How features are made, and which features may be compared."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from common.contracts.batches import FeatureSpec
from tests.common.builders import FEATURE_SPEC


@given(st.integers(1, 64), st.integers(0, 10_000))
def test_the_backbone_sees_one_of_every_so_many_frames_and_the_first_of_each_source(every: int, turn: int) -> None:
    spec = FEATURE_SPEC.model_copy(update={"embed_every": every})
    assert spec.embeds(0)
    assert sum(spec.embeds(turn * every + place) for place in range(every)) == 1


def test_what_alternates_is_seen_on_both_sides() -> None:
    spec = FEATURE_SPEC.model_copy(update={"embed_every": 4})
    seen = [index for index in range(400) if spec.embeds(index)]
    for rhythm in (2, 3, 4, 12):
        shares = [sum(index % rhythm == place for index in seen) / len(seen) for place in range(rhythm)]
        assert min(shares) > 0.5 / rhythm


def test_a_spec_that_chooses_nothing_reads_and_counts_as_before_there_was_a_choice() -> None:
    assert not {"embed_every", "ignore"} & set(json.loads(FEATURE_SPEC.to_json()))
    before = FEATURE_SPEC.model_copy(update={"decode_pipeline": "r1", "sensors": "s1"})
    assert before.digest().hex() == "8c05e4452821471eff9c3622c8fbc2de"


def test_features_of_other_frames_or_of_less_of_the_picture_are_other_features() -> None:
    changes: list[dict[str, object]] = [{"embed_every": 4}, {"ignore": ((0.0, 0.0, 0.3, 0.08),)}]
    specs = [FEATURE_SPEC.model_copy(update=change) for change in [{}, *changes, changes[0] | changes[1]]]
    assert len({spec.digest() for spec in specs}) == len(specs)
    assert [FeatureSpec.from_json(spec.to_json()) for spec in specs] == specs
