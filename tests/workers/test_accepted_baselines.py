"""Accepted baselines on disk: whose they are, never another, and what is kept with them; and streams without one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.baselines.acceptance import undo
from common.baselines.accepted_baseline import accepted_replay, folder_of, remove_unaccepted
from common.baselines.accepted_footage import AcceptedFootage
from common.baselines.binding import BaselineBinding
from common.baselines.golden import ComesFrom
from common.baselines.storage import load_baseline
from common.contracts.batches import Submission
from common.errors import BadBaseline, SettingsError
from common.ingest.accept import Ingestor
from common.settings import Settings
from common.store import Store
from sentinel.stream_file import bind
from simulation.virtual_camera import record
from tests.common.baselines.small import small_baseline
from tests.common.drift.footage import fitted, footage
from tests.objects import away
from tests.workers.turned_camera import accepted, turn


@pytest.fixture
def binding(ingestor: Ingestor) -> BaselineBinding:
    return ingestor.baselines


def test_two_streams_cannot_be_bound_to_one_learned_baseline(
    store: Store, with_baseline: Settings, binding: BaselineBinding, tmp_path: Path
) -> None:
    turn(store, binding, "dock")
    accepted(store, with_baseline, binding, "dock")
    folder = binding.of_stream("dock").folder
    config = tmp_path / "own.toml"
    config.write_text(f'[streams.yard]\nbaseline = "{folder}"\n[streams.dock]\nbaseline = "{folder}"\n')
    own = BaselineBinding(with_baseline.model_copy(update={"config": config}), store)
    with pytest.raises(SettingsError, match=r"two streams are bound to one learned baseline.*stream 'dock'"):
        own.of_stream("yard")
    assert "two streams" in store.golden.waiting()["yard"].reason
    assert own.find("dock").comes_from is ComesFrom.TABLE, "its own stream may name it"


def test_an_accepted_baseline_that_was_damaged_or_swapped_is_never_judged_by(
    store: Store, with_baseline: Settings, binding: BaselineBinding
) -> None:
    turn(store, binding, "dock")
    accepted(store, with_baseline, binding, "dock")
    folder = binding.of_stream("dock").folder
    owner = (folder / "owner.json").read_text()
    small_baseline(folder, seed=11)
    (folder / "owner.json").write_text(owner)
    with pytest.raises(BadBaseline, match=r"not the baseline that ada accepted.*streams undo"):
        binding.of_stream("dock")
    (folder / "owner.json").write_text("{}")
    with pytest.raises(BadBaseline, match="owner"):
        BaselineBinding(with_baseline, store).of_stream("dock")
    undo(store, binding, "dock", by="bob", why="it was damaged")
    assert binding.find("dock").comes_from is ComesFrom.SETTINGS


def test_what_a_killed_acceptance_left_is_removed_after_a_day_and_nothing_else(
    store: Store, with_baseline: Settings, binding: BaselineBinding
) -> None:
    turn(store, binding, "dock")
    accepted(store, with_baseline, binding, "dock")
    undo(store, binding, "dock", by="bob", why="")
    root = folder_of(with_baseline.state_dir, "dock")
    left = [root / name for name in ("7-1", "8-2")]
    for folder in left:
        small_baseline(folder)
    for folder in (*root.iterdir(),):
        if folder != left[1]:
            os.utime(folder, (1.0, 1.0))
    assert remove_unaccepted(store, with_baseline.state_dir) == [left[0]]
    assert len(list(root.iterdir())) == 2, "the history names one, the other is young"


def test_an_accepted_baseline_reads_back_as_it_was_fitted(
    store: Store, with_baseline: Settings, binding: BaselineBinding
) -> None:
    turn(store, binding, "dock")
    proposal = accepted(store, with_baseline, binding, "dock")
    latest = store.golden.latest("dock")
    assert latest is not None
    stored = load_baseline(Path(latest.folder or ""))
    assert (stored.id, latest.frames) == (latest.baseline_id, proposal.footage.frames)
    assert np.isfinite(stored.baseline.segments[0].groups["embedding"].values).all()


def test_frames_for_replay_are_kept_where_the_sources_can_still_be_read(
    with_baseline: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = away(with_baseline, monkeypatch)
    own.watch_dir.mkdir(parents=True)
    video = own.watch_dir / "turned.mp4"
    record(video, seconds=6, fps=10, seed=3)
    sources = {"dock@0": str(video), "dock@60": str(own.watch_dir / "gone.mp4"), "dock@120": "s3://site/away.mp4"}
    clips = tuple((name, footage(60, seed=1, name=source)) for name, source in sources.items())
    golden = fitted(footage(200, seed=1))
    kept = accepted_replay("dock", AcceptedFootage(clips, {}), golden, own)
    assert kept is not None
    assert kept.ndim == 5
    assert len(kept) >= 12
    assert accepted_replay("dock", AcceptedFootage(clips[1:], {}), golden, own) is None
    other = replace(golden, feature_spec=golden.feature_spec.model_copy(update={"modality": "csv"}))
    assert accepted_replay("dock", AcceptedFootage(clips, {}), other, own) is None, "the model is one of video"


def test_a_stream_that_does_not_learn_waits_visibly_until_it_has_a_baseline(
    store: Store, settings: Settings, with_baseline: Settings
) -> None:
    settings = settings.model_copy(update={"learn": "off"})
    with pytest.raises(SettingsError, match="streams bind"):
        BaselineBinding(settings, store).of_stream("dock")
    assert "no baseline" in store.golden.waiting()["dock"].reason
    since = store.golden.waiting()["dock"].since
    with pytest.raises(SettingsError):
        BaselineBinding(settings, store).of_stream("dock")
    assert store.golden.waiting()["dock"].since == since
    BaselineBinding(with_baseline, store).of_stream("dock")
    assert store.golden.waiting() == {}


def test_a_file_of_a_stream_that_waits_for_a_baseline_is_kept_and_taken_once_it_has_one(
    store: Store, settings: Settings, with_baseline: Settings, tmp_path: Path
) -> None:
    config = tmp_path / "own.toml"
    config.write_text("", encoding="utf-8")
    os.utime(config, (1.0, 1.0))
    own = with_baseline.model_copy(update={"baseline": None, "learn": "off", "config": config})
    own.watch_dir.mkdir(parents=True)
    video = own.watch_dir / "clip.mp4"
    record(video, seconds=2, fps=10, seed=3)
    ingestor = Ingestor(own, store)
    try:
        with pytest.raises(SettingsError, match="streams bind"):
            ingestor.accept_file("dock", str(video))
        assert list(store.golden.waiting()) == ["dock"]
        assert not store.streams.is_known("dock")
        bind(config, "dock", baseline="test", model=None).write()
        os.utime(config, (2.0, 2.0))
        assert ingestor.accept_file("dock", str(video)) is Submission.ACCEPTED
        assert store.golden.waiting() == {}
    finally:
        ingestor.close()
