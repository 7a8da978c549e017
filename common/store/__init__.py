"""Everything that Sentinel keeps in Redis. No other package reads or writes Sentinel's keys."""

from __future__ import annotations

from common.errors import Backlogged, SettingsError
from common.settings import Settings
from common.store.alerts import AlertStore
from common.store.batches import BatchStore
from common.store.cameras import CameraStore
from common.store.canaries import CanaryStore
from common.store.chunks import ChunkStore
from common.store.client import connect
from common.store.event_log import EventLog
from common.store.forgetting import Forgetting
from common.store.golden import GoldenStore
from common.store.golden_scores import GoldenScoresStore
from common.store.heartbeats import Heartbeats
from common.store.interpolations import InterpolationStore
from common.store.learning import LearningStore
from common.store.models import ChampionStore
from common.store.mqtt_deliveries import MqttDeliveries
from common.store.mqtt_streams import MqttStreams
from common.store.noticed_objects import NoticedObjects
from common.store.pictures import PictureStore
from common.store.silence import SilenceStore
from common.store.streams import StreamStore
from common.store.truth import TruthStore
from common.store.watched_objects import WatchedObjects

_SECONDS_PER_DAY = 86_400
_BYTES_PER_MB = 1_000_000
_BYTES_PER_KB = 1_000
_BACKLOG_SHARE = 0.75  # of Redis' memory bound: the rest is for finishing what was accepted


class Store:
    """All parts of the store, over one connection pool; `settings` are those of this process.

    Raises `BrokerUnavailable` if Redis does not answer, refuses the user, or is too old.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        self.client = connect(url)
        self.settings = settings
        retention = max(1, int(settings.retention_days * _SECONDS_PER_DAY))
        self.chunks = ChunkStore(self.client, retention=retention, max_events=settings.max_events)
        self.batches = BatchStore(
            self.client, self.chunks, retention=retention, remember=int(settings.remember_days * _SECONDS_PER_DAY)
        )
        self.streams = StreamStore(
            self.client,
            retention=retention,
            data_retention=max(1, int(settings.data_retention_seconds)),
            max_events=settings.max_events,
        )
        self.golden = GoldenStore(self.client)
        self.golden_scores = GoldenScoresStore(self.client)
        self.cameras = CameraStore(self.client)
        self.canaries = CanaryStore(self.client)
        self.learning = LearningStore(self.client)
        self.pictures = PictureStore(
            self.client, most_bytes=settings.picture_kb * _BYTES_PER_KB, retention=retention, room=self._room
        )
        self.alerts = AlertStore(self.client)
        self.mqtt_deliveries = MqttDeliveries(self.client)
        self.mqtt_streams = MqttStreams(self.client)
        self.silence = SilenceStore(self.client)
        self.truth = TruthStore(self.client, max_events=settings.max_events)
        self.watched_objects = WatchedObjects(self.client)
        self.noticed_objects = NoticedObjects(self.client)
        self.interpolations = InterpolationStore(self.client)
        self.forgetting = Forgetting(self.client)
        self.event_log = EventLog(self.client, max_events=settings.max_events)
        self.heartbeats = Heartbeats(self.client)
        self.champions = ChampionStore(self.client, cooldown=settings.cooldown_seconds, max_events=settings.max_events)

    def require_room(self) -> None:
        """Raise `Backlogged` while Redis uses more memory than producers may fill (`SENTINEL_BACKLOG_MB`)."""
        used, most = int(self.client.info("memory")["used_memory"]), self._room()
        if 0 < most < used:
            raise Backlogged(
                f"Redis holds {used // _BYTES_PER_MB} MB, new sources wait until it is below "
                f"{most // _BYTES_PER_MB} MB: "
                "start more embedding workers, or raise SENTINEL_BACKLOG_MB and the memory that Redis may take"
            )

    def _room(self) -> int:
        """Return how many bytes Redis may hold before producers wait; 0: any number."""
        if self.settings.backlog_mb is not None:
            return self.settings.backlog_mb * _BYTES_PER_MB
        return int(int(self.client.info("memory")["maxmemory"]) * _BACKLOG_SHARE)


def open_store(settings: Settings) -> Store:
    """Connect to the Redis that the settings name; raise `SettingsError` if they name none."""
    if settings.redis_url is None:
        raise SettingsError("SENTINEL_REDIS_URL is not set: start everything with `sentinel up`, or name your Redis")
    return Store(settings.redis_url, settings)
