"""How a stream begins to learn: by its first source, once a worker has said which features it makes."""

from __future__ import annotations

import pytest

from common.baselines.learning import preparing
from common.baselines.learning.preparing import preparation_key, prepared_features
from common.broker import EMBED_QUEUE
from common.contracts.batches import Submission
from common.contracts.learning import PreparedFeatures
from common.errors import SettingsError, StillPreparing
from common.ingest.accept import Ingestor
from common.settings import Settings
from common.store import Store
from tests.footage import scene, write_clip
from tests.learning import FEATURE_SPEC, GROUPS

ANSWER = PreparedFeatures(feature_spec=FEATURE_SPEC, groups=GROUPS, libraries={})


@pytest.fixture
def learning(with_baseline: Settings) -> Settings:
    return with_baseline.model_copy(update={"baseline": None})


def test_the_workers_are_asked_once_and_their_answer_holds(store: Store, learning: Settings) -> None:
    key = preparation_key(learning, "video")
    for _ in range(3):
        with pytest.raises(StillPreparing):
            prepared_features(store, learning, "video")
    assert store.client.llen(EMBED_QUEUE) == 1
    store.learning.answer(key, ANSWER)
    assert prepared_features(store, learning, "video") == ANSWER
    other = learning.model_copy(update={"weights": "random:7"})
    with pytest.raises(StillPreparing):
        prepared_features(store, other, "video")


def test_if_nobody_answers_or_nobody_can_it_is_said_and_asked_again(store: Store, learning: Settings) -> None:
    with pytest.raises(StillPreparing):
        prepared_features(store, learning, "video", now=0.0)
    with pytest.raises(SettingsError, match="no embedding worker"):
        prepared_features(store, learning, "video", now=4e9)
    store.learning.answer(preparation_key(learning, "video"), "the weights cannot be downloaded")
    with pytest.raises(SettingsError, match="cannot be downloaded"):
        prepared_features(store, learning, "video")


def test_the_first_source_decides_how_a_stream_is_sampled_and_later_ones_follow(
    store: Store, learning: Settings
) -> None:
    learning.watch_dir.mkdir(parents=True)
    write_clip(learning.watch_dir / "short.mp4", scene(40), fps=10)
    write_clip(learning.watch_dir / "long.mp4", scene(120), fps=2)
    ingestor = Ingestor(learning, store)
    try:
        with pytest.raises(StillPreparing):
            ingestor.accept_file("dock", str(learning.watch_dir / "short.mp4"))
        assert not store.streams.is_known("dock"), "it waits in its folder"
        assert store.golden.waiting() == {}
        store.learning.answer(preparation_key(learning, "video"), "no weights")
        with pytest.raises(SettingsError, match="no weights"):
            ingestor.accept_file("dock", str(learning.watch_dir / "short.mp4"))
        assert "no weights" in store.golden.waiting()["dock"].reason
        store.learning.answer(preparation_key(learning, "video"), ANSWER)
        assert ingestor.accept_file("dock", str(learning.watch_dir / "short.mp4")) is Submission.ACCEPTED
        assert ingestor.accept_file("dock", str(learning.watch_dir / "long.mp4")) is Submission.ACCEPTED
        assert ingestor.accept_file("yard", str(learning.watch_dir / "long.mp4")) is Submission.ACCEPTED
        plans = {stream: ingestor.baselines.current(stream) for stream in ("dock", "yard")}
        assert (plans["dock"].feature_spec.sample_fps, plans["dock"].rule.frames) == (None, 40)
        assert (plans["yard"].feature_spec.sample_fps, plans["yard"].rule.frames) == (1.0, 48)
        assert store.golden.waiting() == {}
    finally:
        ingestor.close()
    assert preparing.preparation_key(learning, "csv") != preparation_key(learning, "video")
