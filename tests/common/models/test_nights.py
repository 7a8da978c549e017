"""Nights of capture time: the same noise every night, more than a week long, and noise that grows."""

from __future__ import annotations

from common.contracts.events import IncidentOpened
from common.contracts.incidents import IncidentState
from common.store import Store
from tests.common.models.site import GROWING_NOISE, Site, statuses

NIGHTS = 9


def test_the_same_noise_every_night_is_learned_once_and_no_later_night_is_announced_as_new(
    site: Site, store: Store
) -> None:
    trained = []
    for night in range(NIGHTS):
        verdicts = site.show("dock", "noise" if night == 0 else "noise again", day=night)
        assert statuses(verdicts) == ({"FAIL"} if night == 0 else {"PASS"}), f"night {night}"
        assert night == 0 or all(verdict.condition for verdict in verdicts)
        site.reports.clear()
        site.heal("dock")
        trained.append("training" in site.reports)
        assert statuses(site.show("dock", "clean", day=night + 0.4)) == {"PASS"}
    assert trained == [True, *[False] * (NIGHTS - 1)]
    incident = site.incident("dock")
    assert incident.state is IncidentState.CLOSED
    assert len(incident.occurrences) == NIGHTS
    assert incident.times_this_week == 7
    assert sum(isinstance(event, IncidentOpened) for event in store.event_log.events()) == 1
    assert len(site.conditions) == 1


def test_noise_that_grows_fails_before_severity_2_and_is_no_staircase_of_conditions(site: Site) -> None:
    failed = []
    for step, sigma in enumerate(GROWING_NOISE):
        if "FAIL" in statuses(site.show("dock", f"noise, step {step}", day=2 * step)):
            failed.append(sigma)
        site.heal("dock")
        assert len(site.conditions) <= 1
    assert failed[0] < 8.0, "before severity 2"
