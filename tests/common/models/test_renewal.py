"""Conditions that grow old, on real video: fresh footage proves them again, and without any they expire."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.contracts.conditions import ConditionRecord
from common.contracts.events import ConditionDropped
from common.contracts.incidents import IncidentState
from tests.common.builders import record
from tests.common.models.site import DAY, FIRST, Site, statuses
from tests.common.models.thrifty import Denoiser


@pytest.fixture
def condition(site: Site) -> ConditionRecord:
    """A condition of `dock`, of noise that was seen on day 0."""
    site.show("dock", "noise", day=0)
    site.heal("dock")
    (found,) = site.conditions
    return found


def test_a_condition_expires_when_its_days_are_over_and_its_noise_fails_again(
    site: Site, condition: ConditionRecord
) -> None:
    days = site.settings.condition_days
    assert FIRST <= condition.proved < FIRST + 60.0
    assert condition.expires == condition.proved + DAY * days
    assert statuses(site.show("dock", "noise again", day=days - 0.1)) == {"PASS"}
    assert statuses(site.show("dock", "noise again", day=days + 0.1)) == {"FAIL"}


def test_fresh_footage_in_the_second_half_of_its_life_lets_it_live_on(site: Site, condition: ConditionRecord) -> None:
    days = site.settings.condition_days
    site.show("dock", "noise again", day=days - 1)
    site.reports.clear()
    outcome = site.heal("dock")
    assert outcome.settled_as("dock") == "promoted"
    assert site.reports == ["proving again"], "no training"
    (renewed,) = site.conditions
    assert (renewed.id, renewed.path, renewed.digest) == (condition.id, condition.path, condition.digest)
    assert FIRST + DAY * (days - 1) <= renewed.proved < FIRST + DAY * days
    assert renewed.expires == renewed.proved + DAY * days
    assert statuses(site.show("dock", "noise again", day=days + 1)) == {"PASS"}
    assert statuses(site.show("dock", "noise again", day=2 * days)) == {"FAIL"}


def test_fresh_footage_in_the_first_half_of_its_life_changes_nothing(site: Site, condition: ConditionRecord) -> None:
    site.show("dock", "noise again", day=1)
    assert site.heal("dock").settled_as("dock") == "idle"
    assert site.conditions == (condition,)


def test_fresh_footage_that_cannot_be_read_is_neither_a_healing_nor_a_rejection(
    site: Site, condition: ConditionRecord, tmp_path: Path
) -> None:
    clip = Path(site.camera["noise again"].sources[0])
    site.show("dock", "noise again", day=site.settings.condition_days - 1)
    clip.rename(tmp_path / clip.name)
    try:
        outcome = site.heal("dock")
    finally:
        (tmp_path / clip.name).rename(clip)
    assert "not proved again yet" in " ".join(outcome.sentences)
    assert (outcome.settled_as("dock"), outcome.rejected) == ("idle", False)
    assert site.conditions == (condition,)


def test_footage_of_another_stream_does_not_renew_it(site: Site, condition: ConditionRecord) -> None:
    site.show("gate", "noise again", day=site.settings.condition_days - 1)
    site.heal("gate")
    assert condition in site.conditions


def test_a_condition_that_its_champion_is_no_longer_proved_on_is_let_go_and_its_noise_fails_again(
    site: Site, condition: ConditionRecord
) -> None:
    days = site.settings.condition_days
    forgetful = Denoiser({})
    forgetful.save(site.settings.state_dir / "forgetful")
    champion = record(
        3,
        parent=2,
        model_path=str(site.settings.state_dir / "forgetful"),
        model_digest=forgetful.digest,
        conditions=(condition,),
    )
    assert site.store.champions.promote(champion, over=2)
    assert statuses(site.show("dock", "noise again", day=days - 1)) == {"PASS"}
    outcome = site.heal("dock")
    assert "let go" in " ".join(outcome.sentences)
    assert site.conditions == ()
    dropped = [event for event in site.store.event_log.events() if isinstance(event, ConditionDropped)]
    assert [(event.stream, event.condition.id) for event in dropped] == [("dock", condition.id)]
    incident = site.incident("dock").id
    assert statuses(site.show("dock", "noise again", day=days - 0.5)) == {"FAIL"}
    assert (site.incident("dock").id, site.incident("dock").state) == (incident, IncidentState.FAILING)
