"""From frames to features: the same numbers however the work is laid out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from common.backbones import load_backbone
from common.backbones.backbone import Images
from common.contracts.batches import SourceKind
from common.errors import BackboneError
from common.extraction import Extractor
from common.features import FeatureBlock, FloatArray
from common.modalities.video.decode import sampled_frames
from common.modalities.video.frame import Frame
from common.modalities.video.modality import VIDEO
from common.settings import Settings
from common.sources.limits import Limits
from tests.common.backbones.builders import write_onnx
from tests.footage import scene, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", scene(50))


@pytest.fixture(scope="module")
def extractor(tmp_path_factory: pytest.TempPathFactory) -> Extractor:
    folder = tmp_path_factory.mktemp("model")
    path = write_onnx(folder / "tiny.onnx")
    settings = Settings(_env_file=None, state_dir=folder, backbone=path, device="cpu")  # type: ignore[call-arg]
    return Extractor(VIDEO, load_backbone(settings, None), Limits())


def frames(clip: Path) -> Iterator[Frame]:
    return sampled_frames(clip, SourceKind.RECORDING, sample_fps=None, start=0, stop=None, limits=Limits())


@pytest.mark.parametrize("size", [1, 7, 50, 64])
def test_a_backbone_offloaded_gives_the_same_features_in_the_same_order(
    clip: Path, extractor: Extractor, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = list(extractor.features(frames(clip), "clip", size))
    monkeypatch.setattr(type(extractor.backbone), "offloaded", True)
    there = list(extractor.features(frames(clip), "clip", size))
    assert [len(block) for block in there] == [len(block) for block in here]
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one.groups["embedding"], other.groups["embedding"])
        np.testing.assert_array_equal(one.groups["quality"], other.groups["quality"])
        np.testing.assert_array_equal(one.times, other.times)


def test_while_one_batch_is_embedded_offloaded_the_next_is_decoded(
    clip: Path, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    real = type(extractor.backbone).embed

    def embed(self: object, images: Images) -> FloatArray:
        while "decoded 20" not in said and len(said) < 40:
            pass  # the device is busy until the second batch has been decoded
        said.append(f"embedded {len(images)}")
        return real(self, images)  # type: ignore[arg-type]

    def told() -> Iterator[Frame]:
        for number, frame in enumerate(frames(clip), 1):
            said.append(f"decoded {number}")
            yield frame

    monkeypatch.setattr(type(extractor.backbone), "offloaded", True)
    monkeypatch.setattr(type(extractor.backbone), "embed", embed)
    assert len(list(extractor.features(told(), "clip", 10))) == 5
    assert said.index("decoded 20") < said.index("embedded 10")


def test_what_breaks_offloaded_breaks_here(clip: Path, extractor: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    def embed(self: object, images: Images) -> FloatArray:
        raise BackboneError("the device is gone")

    monkeypatch.setattr(type(extractor.backbone), "offloaded", True)
    monkeypatch.setattr(type(extractor.backbone), "embed", embed)
    with pytest.raises(BackboneError, match="gone"):
        list(extractor.features(frames(clip), "clip", 8))


def test_the_backbone_sees_the_same_frames_however_the_source_is_cut(clip: Path, extractor: Extractor) -> None:
    every = FeatureBlock.concatenate(list(extractor.features(frames(clip), "clip", 64)))
    seldom = Extractor(VIDEO, extractor.backbone, Limits(), embed_every=4)

    def part(start: int, stop: int | None) -> FeatureBlock:
        return seldom.extract(clip, SourceKind.RECORDING, uri="clip", sample_fps=None, start=start, stop=stop)

    whole = part(0, None)
    at = whole.frames_of("embedding")
    assert at.tolist() == [index for index in range(50) if seldom.feature_spec(None).embeds(index)]
    np.testing.assert_array_equal(whole.groups["embedding"], every.groups["embedding"][at])
    np.testing.assert_array_equal(whole.groups["quality"], every.groups["quality"])
    for cuts in ((1, 2, 3), (7, 20), (49,)):
        edges = [0, *cuts, None]
        parts = [part(edges[i] or 0, edges[i + 1]) for i in range(len(edges) - 1)]
        assert FeatureBlock.concatenate(parts).to_bytes() == whole.to_bytes()
    assert len(whole.to_bytes()) < len(every.to_bytes())
