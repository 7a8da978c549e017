"""What streams learn, as far as Redis keeps it: plans, bursts that wait for the learner, and how far each is.

A burst lies here from the step in which the reducer took it until the learner has
written it to the state folder, so that Redis' memory holds a few of them only.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import redis

from common.contracts.coverage import Coverage
from common.contracts.golden import GoldenRecord
from common.contracts.learning import FIRST_EPOCH, LearningPlan, LearningStatus, PreparedFeatures
from common.errors import BadMessage
from common.features import FeatureBlock
from common.store import keys
from common.store.client import binary, load_script, text
from common.store.lease import hold_lease

MOST_SLOTS = 2_000
"""Slots that are remembered, the latest: a burst of older footage may be taken again, and is known to the learner."""
MOST_WAITING = 128
"""Bursts that may wait for the learner, about 45 MB. While it is away no further ones are taken."""
_ANSWER_SECONDS = 3_600.0  # the weights behind a setting may change
_REFUSAL_SECONDS = 60.0
_ASK_AGAIN_SECONDS = 60.0


@dataclass(frozen=True)
class TakenBurst:
    """Frames that are to be learned.

    Attributes
    ----------
    id : names epoch and slot; equal for everything that is in the same slot
    slot : number of the interval of capture time that it stands for
    frames : features of consecutive frames
    """

    id: str
    slot: int
    frames: FeatureBlock


@dataclass(frozen=True)
class Prepared:
    """What is known of the features that workers make by some settings.

    Attributes
    ----------
    features : None while they are being prepared, or if they cannot be
    refused : why they cannot; empty: nothing says so
    asked_at : since when somebody waits for an answer, seconds since the epoch; None: nobody does
    """

    features: PreparedFeatures | None
    refused: str
    asked_at: float | None


@dataclass(frozen=True)
class StoredLearning:
    """What Redis keeps of a stream that learns.

    Attributes
    ----------
    plan : as stored; None: no footage of it has come yet
    fields : of each epoch `fit:EPOCH` (name of the folder), `status:EPOCH` and `coverage:EPOCH`
    """

    plan: bytes | None
    fields: Mapping[str, bytes]

    @property
    def id(self) -> str | None:
        """Id of the plan; None: there is none."""
        return text(self.fields["id"]) if "id" in self.fields else None

    def epoch(self, latest: bytes | None) -> str:
        """Return the epoch in which the stream learns.

        Parameters
        ----------
        latest : the latest record of its history, as stored
        """
        try:
            record = GoldenRecord.from_json(latest) if latest else None
        except BadMessage:
            return FIRST_EPOCH
        if record is None or record.origin_id != self.id or record.folder is None:
            return FIRST_EPOCH
        return PurePath(record.folder).name

    @classmethod
    def of(cls, stored: Mapping[Any, Any]) -> StoredLearning:
        """Decode the reply of HGETALL."""
        fields = {text(name): binary(value) or b"" for name, value in stored.items()}
        return cls(fields.get("plan"), fields)

    def fit(self, epoch: str) -> str | None:
        """Return the name of the folder of the epoch's latest baseline; None: it has none yet."""
        found = self.fields.get(f"fit:{epoch}")
        return text(found) if found is not None else None

    def status(self, epoch: str) -> LearningStatus | None:
        """Return how far the epoch is; None: nothing was learned, or a newer version wrote it."""
        try:
            found = self.fields.get(f"status:{epoch}")
            return LearningStatus.from_json(found) if found else None
        except BadMessage:
            return None

    def coverage(self, epoch: str) -> Coverage | None:
        """Return what the epoch's baseline covers; None: nothing, or a newer version wrote it."""
        try:
            found = self.fields.get(f"coverage:{epoch}")
            return Coverage.from_json(found) if found else None
        except BadMessage:
            return None


class LearningStore:
    """Plans, bursts and results of the streams that learn."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._begin = load_script(client, "begin_learning")
        self._publish = load_script(client, "publish_learned")

    # --- which features workers make

    def prepared(self, key: str) -> Prepared:
        """Return what is known of the features of these settings, see `common.baselines.learning.preparing`."""
        features, refused, asked = self.client.hmget(keys.PREPARED_PREFIX + key, "features", "refused", "asked")
        return Prepared(
            PreparedFeatures.from_json(features) if features else None,
            text(refused) if refused else "",
            float(asked) if asked else None,
        )

    def ask_to_prepare(self, key: str) -> bool:
        """Note that somebody waits for features; return whether a task has to be sent, which is once a minute."""
        self.client.hsetnx(keys.PREPARED_PREFIX + key, "asked", repr(time.time()))
        return bool(self.client.set(f"{keys.PREPARED_PREFIX}{key}:task", 1, nx=True, ex=int(_ASK_AGAIN_SECONDS)))

    def answer(self, key: str, answer: PreparedFeatures | str) -> None:
        """Say which features a worker makes, or why it cannot make any; for an hour, or for a minute."""
        made = isinstance(answer, PreparedFeatures)
        value = answer.to_json() if isinstance(answer, PreparedFeatures) else answer
        name = keys.PREPARED_PREFIX + key
        pipe = self.client.pipeline(transaction=True)
        pipe.delete(name, f"{name}:task")
        pipe.hset(name, "features" if made else "refused", value)
        pipe.expire(name, int(_ANSWER_SECONDS if made else _REFUSAL_SECONDS))
        pipe.execute()

    # --- one stream

    def begin(self, plan: LearningPlan) -> LearningPlan:
        """Keep `plan` unless the stream has one; return the one that it has.

        Raises
        ------
        BadMessage
            If a newer version wrote the one that it has.
        """
        key = keys.stream_key(plan.stream, "learning")
        return LearningPlan.from_json(self._begin(keys=[key], args=[plan.to_json(), plan.id]))

    def amend(self, plan: LearningPlan) -> bool:
        """Write a plan in place of the one with the same id; return False if the stream was forgotten meanwhile."""
        return self.publish(plan, {"plan": plan.to_json()})

    def stored(self, stream: str) -> StoredLearning:
        """Return what is kept of `stream`."""
        return StoredLearning.of(self.client.hgetall(keys.stream_key(stream, "learning")))

    def publish(self, plan: LearningPlan, fields: Mapping[str, str]) -> bool:
        """Write what came of learning; return False if the stream was forgotten meanwhile."""
        pairs = [part for pair in fields.items() for part in pair]
        return bool(self._publish(keys=[keys.stream_key(plan.stream, "learning")], args=[plan.id, *pairs]))

    def waiting(self, stream: str) -> int:
        """Return the number of bursts that wait for the learner."""
        return int(self.client.hlen(keys.stream_key(stream, "bursts")))

    def has_taken(self, stream: str, burst_id: str) -> bool:
        """Return whether a burst of this id was taken, whether the learner has dealt with it or not."""
        return self.client.zscore(keys.stream_key(stream, "burst-slots"), burst_id) is not None

    def bursts(self, stream: str, most: int) -> dict[str, bytes]:
        """Return up to `most` of the bursts that wait, by id: features as `FeatureBlock.to_bytes` wrote them."""
        key = keys.stream_key(stream, "bursts")
        ids = sorted(text(name) for name in self.client.hkeys(key))[:most]
        values = self.client.hmget(key, ids) if ids else []
        found = ((burst, binary(value)) for burst, value in zip(ids, values, strict=True))
        return {burst: value for burst, value in found if value is not None}

    def drop_bursts(self, stream: str, ids: Sequence[str]) -> None:
        """Delete bursts that the learner has dealt with."""
        if ids:
            self.client.hdel(keys.stream_key(stream, "bursts"), *ids)

    def lease(self, stream: str) -> AbstractContextManager[bool]:
        """Hold the lease to learn for `stream` while the block runs; see `hold_lease`."""
        return hold_lease(self.client, keys.stream_key(stream, "learner"))

    def is_leased(self, stream: str) -> bool:
        """Return whether somebody learns for `stream` now."""
        return bool(self.client.exists(keys.stream_key(stream, "learner")))
