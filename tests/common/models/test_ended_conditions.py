"""Conditions that expired or were let go match nothing, and keep a growing fault from being learned step by step."""

from __future__ import annotations

import pytest

from common.errors import NotPromoted
from common.models import registry
from common.models.condition_records import end_conditions, forget_ended
from tests.common.models.site import Site, statuses


@pytest.fixture
def healed(site: Site) -> Site:
    """A stream with a condition of noise, proved on day 10."""
    site.show("dock", "noise", day=10)
    assert site.heal("dock").settled_as("dock") == "promoted"
    return site


def test_footage_that_comes_late_does_not_bring_an_expired_condition_back(healed: Site) -> None:
    life = healed.settings.condition_days
    assert statuses(healed.show("dock", "noise again", day=11)) == {"PASS"}
    healed.show("dock", "clean", day=10 + life + 1)
    assert statuses(healed.show("dock", "noise again", day=12)) == {"FAIL"}


def test_a_camera_whose_clock_was_set_back_meets_no_condition(healed: Site) -> None:
    assert statuses(healed.show("dock", "noise again", day=-3000)) == {"FAIL"}


def test_a_condition_that_was_let_go_still_keeps_worse_noise_from_being_learned(healed: Site) -> None:
    end_conditions(healed.store, "vfi", lambda _: True)
    assert healed.conditions == ()
    assert statuses(healed.show("dock", "noise worse", day=11)) == {"FAIL"}
    healed.heal("dock")
    assert "the fault grows or changes" in healed.said("dock")
    assert healed.conditions == ()


def test_the_same_noise_is_proved_afresh_after_its_condition_was_let_go(healed: Site) -> None:
    end_conditions(healed.store, "vfi", lambda _: True)
    assert statuses(healed.show("dock", "noise", day=11)) == {"FAIL"}
    assert healed.heal("dock").settled_as("dock") == "promoted"
    assert [row.cause for row in healed.conditions] == ["noise"]
    assert healed.champion is not None
    assert healed.champion.ended == ()


def test_what_ended_long_ago_is_forgotten(healed: Site) -> None:
    (condition,) = healed.conditions
    end_conditions(healed.store, "vfi", lambda _: True)
    for days, left in ((4, 1), (6, 0)):
        at = condition.proved + days * (condition.expires - condition.proved)
        forget_ended(healed.store, "vfi", lambda row, at=at: row.is_forgotten(at))  # type: ignore[misc]
        assert healed.champion is not None
        assert len(healed.champion.ended) == left


def test_a_retraining_that_somebody_else_was_quicker_than_is_tried_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.show("dock", "noise")

    def lost(*_: object, **__: object) -> None:
        raise NotPromoted("somebody else was quicker")

    with monkeypatch.context() as patch:
        patch.setattr(registry, "promote", lost)
        with pytest.raises(NotPromoted):
            site.heal("dock")
    assert site.said("dock").startswith("broke off")
    assert site.heal("dock").settled_as("dock") == "promoted"
