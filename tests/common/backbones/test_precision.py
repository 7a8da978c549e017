"""Backbones in each precision and on each device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.backbones import load_backbone
from common.backbones.backbone import Images
from common.backbones.convert import cosines
from common.backbones.openvino_engine import openvino
from common.backbones.quantise import natural_pictures
from common.contracts.batches import FeatureSpec
from common.errors import BackboneError
from common.settings import Settings
from tests.common.backbones.builders import SIDE, load, run_python, write_onnx

GPU_CODE = """
import os, sys
os.environ.update(CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3")
import numpy as np
from common.backbones.models import find_model
from common.backbones.tensorflow_engine import TensorFlowBackbone
from common.errors import BackboneError
from common.settings import Settings
folder, onnx = sys.argv[1:]
images = np.load(f"{folder}/images.npy", allow_pickle=False)
large = np.repeat(np.repeat(images, 5, axis=1), 5, axis=2)[:, :224, :224]
for name, backbone, precision in (("file", f"{folder}/tiny.keras", "f32"), ("folder", f"{folder}/tiny", "f32"),
                                  ("f32", "keras:MobileNetV2", "f32"), ("bf16", "keras:MobileNetV2", "bf16")):
    weights = {"weights": "random:1"} if name in {"f32", "bf16"} else {}
    loaded = TensorFlowBackbone(find_model(Settings(_env_file=None, backbone=backbone, **weights)), precision)
    assert loaded.precision == precision
    np.save(f"{folder}/gpu-{name}.npy", loaded.embed(images if loaded.input_size == 48 else large))
for backbone, precision in ((onnx, "f32"), ("keras:MobileNetV2", "int8"), (f"{folder}/tiny.keras", "bf16")):
    weights = {"weights": "random:1"} if backbone.startswith("keras:") else {}
    try:
        TensorFlowBackbone(find_model(Settings(_env_file=None, backbone=backbone, **weights)), precision)
    except BackboneError as error:
        assert "SENTINEL_DEVICE=cpu" in str(error), error
    else:
        raise AssertionError(backbone)
"""


def test_what_a_gpu_worker_runs_agrees_with_what_a_cpu_worker_runs(
    keras_models: Path, state: Path, images: Images, tmp_path: Path
) -> None:
    run_python(GPU_CODE, str(keras_models), write_onnx(tmp_path / "tiny.onnx"))
    given = {
        name: np.load(keras_models / f"gpu-{name}.npy", allow_pickle=False)
        for name in ("file", "folder", "f32", "bf16")
    }
    wanted = np.load(keras_models / "embedding.npy", allow_pickle=False)
    for name in ("file", "folder"):
        assert cosines(given[name], wanted).min() > 0.9999
    assert given["bf16"].dtype == np.float32
    assert 0.98 < float(np.median(cosines(given["bf16"], given["f32"]))) < 0.999999


def test_bf16_rounds_where_the_processor_has_it_and_is_an_error_elsewhere(
    state: Path, keras_models: Path, images: Images
) -> None:
    path = f"{keras_models}/tiny.keras"
    if "BF16" not in openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(BackboneError, match="bf16 was asked for"):
            load(state, path, precision="bf16")
        return
    exact, rounded = load(state, path), load(state, path, precision="bf16")
    assert (exact.precision, rounded.precision) == ("f32", "bf16")
    assert exact.weights_digest == rounded.weights_digest
    assert 0.99 < cosines(exact.embed(images), rounded.embed(images)).min() < 1.0


def test_int8_is_made_once_and_stays_near(state: Path, keras_models: Path) -> None:
    pytest.importorskip("nncf")
    path = f"{keras_models}/tiny.keras"
    pictures = natural_pictures(6, SIDE)
    exact, rounded = load(state, path).embed(pictures), load(state, path, precision="int8").embed(pictures)
    assert 0.97 < float(np.median(cosines(exact, rounded))) < 0.9999999
    again = load(state, path, precision="int8")
    assert (again.precision, np.array_equal(again.embed(pictures), rounded)) == ("int8", True)
    assert len([folder for folder in (state / "backbones").glob("keras-file-tiny-*") if folder.is_dir()]) == 2


def test_the_pictures_that_decide_about_int8_are_the_same_everywhere() -> None:
    pictures = natural_pictures(3, 64)
    assert np.array_equal(pictures, natural_pictures(3, 64))
    assert 20 < pictures.std() < 100


def test_a_precision_that_does_not_exist_is_refused(state: Path, keras_models: Path) -> None:
    with pytest.raises(BackboneError, match="f32, bf16, int8"):
        load_backbone(
            Settings(_env_file=None, state_dir=state, device="cpu"),  # type: ignore[call-arg]
            FeatureSpec(
                backbone="mobilenet_v2", weights="1", precision="f8", decode_pipeline="1", sensors="1", sample_fps=None
            ),
        )
