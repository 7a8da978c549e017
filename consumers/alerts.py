"""Tells people of incidents: a message when one begins, and one when it is over, by Apprise, webhook and workflow.

    sentinel:events  --incident begins, is over-->  outbox in Redis  --when due-->  destinations, each by itself

What is muted or acknowledged is told to nobody. An alert waits a moment before it is sent, so that many streams that
fail at once are one digest. A destination that does not take it is tried again, ever more seldom; one that does not for
a week leaves a dead letter. An alert is settled after it was taken: a process that is killed in between sends it again,
with the same id.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from common.contracts.alerts import Alert, AlertChange
from common.contracts.dead_letters import DeadLetterKind
from common.contracts.events import Event, IncidentChanged, IncidentClosed, IncidentOpened
from common.contracts.incidents import Incident, IncidentState
from common.contracts.policy import Policy
from common.contracts.verdicts import Cause
from common.errors import DestinationRefused
from common.printable import printable
from common.settings import Settings
from common.store import Store, open_store
from common.store.event_log import dead_letter
from consumers.destinations import Destination, destinations_of
from consumers.listener import Listener, keep_running

log = logging.getLogger(__name__)

GROUP = "alerts"
"""The consumer group."""

_MOST = 200  # alerts that are sent in one turn
_BACK_SECONDS = 120.0  # alerts that a process took before it died are sent by another one after this
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 5.0, 600.0
_ATTEMPTS = 1000  # about a week
_PRUNE_SECONDS = 3600.0
_REMEMBERED_SECONDS = 30 * 86_400.0  # an incident is reopened within a day; its camera may be offline for weeks


class Alerts:
    """One process of alerts. Any number may run.

    Parameters
    ----------
    destinations : by id; where there are none, nothing is noted either
    """

    def __init__(self, store: Store, destinations: Mapping[str, Destination]) -> None:
        self._store = store
        self._settings = store.settings
        self._policy = Policy.parse(store.settings.policy)
        self._destinations = destinations
        self._pruned_at = 0.0
        self._listener = Listener(store, GROUP, self.note)

    def step(self) -> None:
        """Note what events say, and send what is due."""
        self._listener.step()
        now = time.time()
        self.send(now)
        if now > self._pruned_at + _PRUNE_SECONDS:
            self._store.alerts.prune(now - _REMEMBERED_SECONDS)
            self._pruned_at = now

    def note(self, event: Event) -> None:
        """Put the alert that an event calls for into the outbox, once for each change of an incident."""
        if not isinstance(event, IncidentOpened | IncidentChanged | IncidentClosed) or not self._destinations:
            return
        incident, change = event.incident, _change_of(event.incident)
        if self._is_quiet(incident):
            self._store.alerts.pass_over(incident.id, change, event.time)
            return
        trains = self._policy.of(incident.cause).trains
        told = [name for name, one in self._destinations.items() if one.wants(change, trains=trains)]
        link = f"{self._settings.page_url.rstrip('/')}/incidents/{incident.id}" if self._settings.page_url else ""
        alert = Alert(
            id=event.id,
            incident=incident.id,
            stream=incident.stream,
            model=incident.model,
            cause=incident.cause,
            change=change,
            title=_title(incident, change),
            body=_body(incident, change, self._policy),
            link=link,
            trains=trains,
            time=event.time,
            open_to=tuple(told),
        )
        self._store.alerts.put(alert, due=time.time() + self._settings.alert_delay_seconds)

    def _is_quiet(self, incident: Incident) -> bool:
        muted_until = self._store.streams.window(incident.stream).muted_until
        muted = incident.muted or (muted_until is not None and muted_until > time.time())
        return muted or incident.acknowledged_by is not None

    def send(self, now: float) -> int:
        """Send the alerts that are due at `now`, seconds since the epoch; return how many there were."""
        due = self._store.alerts.take(now=now, back_at=now + _BACK_SECONDS, most=_MOST)
        wanted = [alert for alert in due if self._is_still_wanted(alert)]
        for alert in due:
            if alert not in wanted:
                self._store.alerts.settle(alert, due=None)
        open_to = {alert.id: {name for name in alert.open_to if name in self._destinations} for alert in wanted}
        for name, destination in self._destinations.items():
            mine = [alert for alert in wanted if name in open_to[alert.id]]
            for group in destination.groups(mine, digest_from=self._settings.alert_digest):
                try:
                    destination.send(group, self._picture(group))
                except DestinationRefused as error:
                    log.warning("alerts are not taken by %s: %s", destination.title, error)
                    continue
                for alert in group:  # at once: whoever is killed after this does not send it again
                    open_to[alert.id].discard(name)
                    left = alert.model_copy(update={"open_to": tuple(sorted(open_to[alert.id]))})
                    self._store.alerts.settle(left, due=now + _BACK_SECONDS if left.open_to else None)
        for alert in wanted:
            if open_to[alert.id]:
                self._try_later(alert, tuple(sorted(open_to[alert.id])), now)
            else:
                self._store.alerts.settle(alert, due=None)
        return len(due)

    def _is_still_wanted(self, alert: Alert) -> bool:
        """Return whether nobody has acknowledged or muted the incident since the alert was noted."""
        if alert.change is AlertChange.OVER:
            return True
        for incident in self._store.streams.open_incidents(alert.stream):
            if incident.id == alert.incident:
                return not self._is_quiet(incident)
        return True

    def _picture(self, group: Sequence[Alert]) -> bytes | None:
        """Return the latest picture of an alert's incident, or of its stream; None: none is kept, or it is a digest."""
        if len(group) != 1 or group[0].cause is Cause.OFFLINE or group[0].change is AlertChange.OVER:
            return None
        stream = group[0].stream
        kept = self._store.pictures.of_stream(stream)
        of_it = kept.incidents.get(group[0].incident)
        shown = (of_it.latest or of_it.first)[-1] if of_it and (of_it.latest or of_it.first) else kept.latest
        return self._store.pictures.jpeg(stream, shown.id) if shown else None

    def _try_later(self, alert: Alert, open_to: tuple[str, ...], now: float) -> None:
        tried = alert.model_copy(update={"open_to": open_to, "attempts": alert.attempts + 1})
        if tried.attempts < _ATTEMPTS:
            pause = min(_FIRST_PAUSE_SECONDS * 2.0**alert.attempts, _LONGEST_PAUSE_SECONDS)
            self._store.alerts.settle(tried, due=now + pause)
            return
        names = ", ".join(self._destinations[name].title for name in open_to)
        refused = DestinationRefused(f"{names} did not take it in {tried.attempts} attempts: {alert.title}")
        subject = f"alert {alert.id}"
        letter = dead_letter(DeadLetterKind.STATE, alert.stream, subject, refused, tried, version=alert.id)
        self._store.event_log.bury(letter)
        self._store.alerts.settle(tried, due=None)


def _change_of(incident: Incident) -> AlertChange:
    over = incident.state in {IncidentState.CLOSED, IncidentState.HEALED}
    return AlertChange.OVER if over else AlertChange.BEGAN


def _title(incident: Incident, change: AlertChange) -> str:
    stream, cause = printable(incident.stream), incident.cause.value.replace("_", " ")
    if change is AlertChange.OVER:
        return f"{stream}: {cause} is {'over' if incident.state is IncidentState.CLOSED else 'healed'}"
    return f"{stream}: {cause} since {_clock(incident.since_time)}"


def _body(incident: Incident, change: AlertChange, policy: Policy) -> str:
    if change is AlertChange.OVER:
        ended = printable(incident.ended) or _latest_outcome(incident)
        return f"It began {_clock(incident.since_time)}. {ended}".strip()
    rows = []
    if incident.times_this_week > 1:
        rows.append(f"It is the {incident.times_this_week}. time this week.")
    response = policy.of(incident.cause)
    if incident.cause is Cause.OFFLINE:
        rows.append("No footage comes any more.")
    if incident.model_score is not None:
        rows.append(f"{printable(incident.model_score.sentence)}.")
    if response.trains:
        rows.append(f"Model {printable(incident.model)} is retrained for it by itself.")
    if response.calls:
        rows.append("Please look at the camera.")
    return " ".join(rows)


def _latest_outcome(incident: Incident) -> str:
    return next((printable(action.outcome) for action in reversed(incident.actions) if action.outcome), "")


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def main(settings: Settings, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Run one process of alerts until `stop` is set."""
    keep_running(Alerts(open_store(settings), destinations_of(settings)).step, stop, beat)
