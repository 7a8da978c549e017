"""Alerts that have still to be sent, and what was said of each incident last."""

from __future__ import annotations

import logging

import redis

from common.contracts.alerts import Alert, AlertChange
from common.errors import BadMessage
from common.store import keys
from common.store.client import binary, load_script, text

log = logging.getLogger(__name__)

_KEPT = (keys.ALERTS, keys.ALERTS_DUE)


class AlertStore:
    """The outbox of alerts."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._put = load_script(client, "put_alert")
        self._take = load_script(client, "take_alerts")

    def put(self, alert: Alert, *, due: float) -> bool:
        """Note an alert that is to be sent at `due`, seconds since the epoch.

        Returns
        -------
        Whether it is; not if that change was noted, its event is older, or the beginning of what is over was not told.
        """
        return self._note(alert.incident, alert.change, alert.time, alert.id, alert.to_json(), due)

    def pass_over(self, incident: str, change: AlertChange, at: float) -> None:
        """Note that nobody is told of a change that was announced `at`, nor of the end of what begins with it."""
        self._note(incident, change, at, "", "", 0.0)

    def _note(self, incident: str, change: AlertChange, at: float, alert_id: str, alert: str, due: float) -> bool:
        own = [keys.ALERTS_SAID, *_KEPT]
        return bool(self._put(keys=own, args=[incident, change.value, repr(at), alert_id, alert, due]))

    def take(self, *, now: float, back_at: float, most: int) -> list[Alert]:
        """Return alerts that are due at `now`; unless they are settled, they come back at `back_at`.

        One that cannot be read, because a newer version wrote it, is left out and comes back.
        """
        found = []
        for stored in self._take(keys=list(_KEPT), args=[now, back_at, most]):
            try:
                found.append(Alert.from_json(binary(stored) or b""))
            except BadMessage as error:
                log.warning("an alert waits for a version that can read it: %s", error)
        return found

    def settle(self, alert: Alert, *, due: float | None) -> None:
        """Write what has become of an alert that was taken.

        Parameters
        ----------
        due : when it is sent again to the destinations that are open; None: it is done
        """
        pipe = self.client.pipeline()
        if due is None:
            pipe.hdel(keys.ALERTS, alert.id)
            pipe.zrem(keys.ALERTS_DUE, alert.id)
        else:
            pipe.hset(keys.ALERTS, alert.id, alert.to_json())
            pipe.zadd(keys.ALERTS_DUE, {alert.id: due})
        pipe.execute()

    def prune(self, before: float) -> None:
        """Forget what was noted of incidents of which no event came since `before`, seconds since the epoch."""
        for incident, said in self.client.hscan_iter(keys.ALERTS_SAID):
            if float(text(said).partition(" ")[2]) < before:
                self.client.hdel(keys.ALERTS_SAID, text(incident))

    def waiting(self) -> int:
        """Return the number of alerts that have still to be sent."""
        return int(self.client.hlen(keys.ALERTS))
