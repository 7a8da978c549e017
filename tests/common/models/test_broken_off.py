"""A retraining that is killed: the next one says how it ended, and learns nothing twice."""

from __future__ import annotations

import pytest

from common.contracts.incidents import Action, IncidentNote
from common.models.healing import Healer
from common.models.kinds import load_kind
from common.models.reporting import Report
from tests.common.models.site import Site


class Killed(BaseException):
    """Stands for SIGKILL: nothing is noted after it."""


def heal_until_killed(site: Site, report: Report = lambda *_: None) -> None:
    """Retrain for stream `dock`; whatever happens, no note about an end gets out."""

    def leave(note: IncidentNote) -> None:
        if note.action.ended_at is not None:
            raise Killed
        site.store.streams.note(note)

    healer = Healer(site.store, site.settings, site.baselines, "vfi", load_kind("vfi"), report=report, leave=leave)
    with pytest.raises(Killed):
        healer.heal(["dock"])


def actions(site: Site) -> tuple[Action, ...]:
    return site.incident("dock").actions


def test_a_retraining_that_is_killed_after_its_promotion_is_ended_by_the_next_one(site: Site) -> None:
    site.show("dock", "noise")
    heal_until_killed(site)
    assert site.champion is not None
    assert (site.champion.version, len(site.conditions)) == (2, 1)
    site.heal("dock")
    assert (site.champion.version, len(site.conditions)) == (2, 1), "nothing is learned twice"
    assert all(action.ended_at is not None for action in actions(site))
    assert actions(site)[0].outcome == "v2 is proved on it (noise); the worker was killed before it could say so"
    assert all("grows" not in action.outcome for action in actions(site))


@pytest.mark.parametrize(
    ("stage", "outcomes"),
    [
        ("fitting the first champion", ["noise: v2 promoted"]),  # the same footage and champion: the same action
        ("training", ["broke off: its worker was killed", "noise: v2 promoted"]),  # there is a v1 by then
    ],
)
def test_a_retraining_that_is_killed_before_its_promotion_is_done_again(
    site: Site, stage: str, outcomes: list[str]
) -> None:
    site.show("dock", "noise")

    def die(now: str, share: float, detail: str) -> None:
        if now == stage:
            raise Killed

    heal_until_killed(site, die)
    assert site.conditions == ()
    site.heal("dock")
    assert [action.outcome.partition(": +")[0] for action in actions(site)] == outcomes
    assert all(action.ended_at is not None for action in actions(site))


def test_footage_that_failed_while_its_like_was_learned_is_no_fault_that_grows(site: Site) -> None:
    site.show("dock", "noise")
    came: list[str] = []

    def meanwhile(stage: str, *_: object) -> None:
        if stage == "training" and not came:
            came.append(stage)
            site.show("dock", "noise again")

    site.heal("dock", report=meanwhile)
    assert came
    assert site.heal("dock").settled_as("dock") == "idle"
    assert len(site.conditions) == 1
    assert site.said("dock") == "v2 is proved on it"


def test_a_retraining_that_is_given_up_is_ended_with_the_reason(site: Site) -> None:
    site.show("dock", "noise")

    def die(stage: str, *_: object) -> None:
        raise Killed

    heal_until_killed(site, die)
    healer = Healer(
        site.store, site.settings, site.baselines, "vfi", load_kind("vfi"), report=die, leave=site.store.streams.note
    )
    healer.end_broken_off(["dock"], "given up: the worker died of it again and again")
    site.heal("dock")
    assert actions(site)[0].outcome == "given up: the worker died of it again and again"
    assert all(action.ended_at is not None for action in actions(site))
