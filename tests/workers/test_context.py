"""What a worker process loads: one backbone per kind of features, whatever baselines its streams have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from common.backbones import Backbone, load_backbone
from common.contracts.batches import FeatureSpec
from common.errors import BaselineMismatch
from common.extraction import Extractor
from common.modalities.video.modality import VIDEO
from common.settings import Settings, get_settings
from common.sources.limits import Limits
from tests.common.backbones.builders import write_onnx
from workers import context


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A worker's state folder; nothing else is set."""
    monkeypatch.chdir(tmp_path)  # no .env
    for name in ("SENTINEL_WEIGHTS", "SENTINEL_BACKBONE", "SENTINEL_BASELINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SENTINEL_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("SENTINEL_DEVICE", "cpu")
    get_settings.cache_clear()
    context._extractor.cache_clear()
    yield tmp_path
    get_settings.cache_clear()
    context._extractor.cache_clear()


def build(state: Path, name: str) -> Backbone:
    path = write_onnx(state / f"{name}.onnx")
    return load_backbone(Settings(_env_file=None, state_dir=state, backbone=path, device="cpu"), None)  # type: ignore[call-arg]


def spec_of(backbone: Backbone, sample_fps: float | None = None) -> FeatureSpec:
    return Extractor(VIDEO, backbone, Limits()).feature_spec(sample_fps)


def test_one_worker_serves_baselines_of_several_backbones_with_nothing_set(state: Path) -> None:
    specs = [spec_of(build(state, name)) for name in ("one", "two")]
    for spec in (*specs, *specs):
        context.extractor(spec).require(spec)
    assert context._extractor.cache_info().misses == 2


def test_baselines_that_differ_in_which_frames_are_seen_share_a_backbone(state: Path) -> None:
    built = build(state, "one")
    specs = [spec_of(built, sample_fps) for sample_fps in (None, 2.0, 5.0)]
    specs.append(specs[0].model_copy(update={"embed_every": 4}))
    extractors = [context.extractor(spec) for spec in specs]
    for spec, extractor in zip(specs, extractors, strict=True):
        extractor.require(spec)
        assert extractor.backbone is extractors[0].backbone


def test_weights_that_come_later_are_found_then(state: Path) -> None:
    """A refusal is not remembered: once the weights are named on this machine, the same worker goes on."""
    path = write_onnx(state / "late.onnx")
    settings = Settings(_env_file=None, state_dir=state / "elsewhere", backbone=path, device="cpu")  # type: ignore[call-arg]
    spec = spec_of(load_backbone(settings, None))
    with pytest.raises(BaselineMismatch, match=spec.weights):
        context.extractor(spec)
    build(state, "late")
    context.extractor(spec).require(spec)


def test_without_a_baseline_set_no_backbone_is_loaded_before_it_is_known_which(state: Path) -> None:
    assert context.default_feature_spec() is None
