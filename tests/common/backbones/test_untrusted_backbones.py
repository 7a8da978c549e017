"""Backbones from files: what goes in and comes out, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from common.backbones.backbone import Images
from common.backbones.convert import cosines
from common.backbones.models import PIXELS, find_model
from common.errors import BackboneError
from common.settings import Settings
from tests.common.backbones.builders import KERNEL, SIDE, WIDTH, load, write_onnx


def expected(images: Images, pixels: str) -> np.ndarray:
    mean, scale = np.array(PIXELS[pixels].mean), np.array(PIXELS[pixels].scale)
    return ((images.mean(axis=(1, 2)) - mean) / scale) @ KERNEL.T


# --- ONNX -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pooled", "maps", "tokens", "both#flat"])
def test_an_onnx_model_gives_its_embedding_averaged_over_space_or_tokens(
    tmp_path: Path, images: Images, kind: str
) -> None:
    kind, _, output = kind.partition("#")
    path = write_onnx(tmp_path / "tiny.onnx", kind=kind)
    backbone = load(tmp_path, f"{path}#{output}" if output else path)
    assert (backbone.name, backbone.input_size, backbone.output_size) == ("onnx:tiny", SIDE, WIDTH)
    np.testing.assert_allclose(backbone.embed(images), expected(images, "imagenet"), atol=2e-3)


def test_pixels_are_scaled_as_asked_and_that_is_part_of_the_models_identity(tmp_path: Path, images: Images) -> None:
    path = write_onnx(tmp_path / "tiny.onnx")
    found = {}
    for pixels in PIXELS:
        backbone = load(tmp_path, path, pixels=pixels)
        scale = np.abs(expected(images, pixels)).max()
        np.testing.assert_allclose(backbone.embed(images) / scale, expected(images, pixels) / scale, atol=1e-4)
        found[pixels] = backbone.weights_digest
    assert len(set(found.values())) == len(PIXELS)


def test_a_model_for_one_image_at_a_time_or_of_any_size_is_taken(tmp_path: Path) -> None:
    assert load(tmp_path, write_onnx(tmp_path / "one.onnx", shape=(1, 3, SIDE, SIDE))).input_size == SIDE
    assert load(tmp_path, write_onnx(tmp_path / "any.onnx", shape=("n", 3, "h", "w"))).input_size == 224


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kind": "both"}, r"2 outputs.*#maps.*flat"),
        ({"shape": ("n", 3, 48, 64)}, r"64 x 48"),
        ({"shape": ("n", 3, 16, 16)}, r"16 x 16.*32"),
        ({"shape": ("n", 4, 48, 48)}, r"RGB"),
        ({"inputs": 2}, r"2 inputs \(image, more0\)"),
    ],
)
def test_a_model_that_frames_do_not_fit_is_refused_with_the_reason(
    tmp_path: Path, options: dict[str, object], says: str
) -> None:
    if options.get("shape") == ("n", 4, 48, 48):
        global_kernel = np.zeros((WIDTH, 4, 1, 1), np.float32)
        path = str(tmp_path / "four.onnx")
        graph = helper.make_graph(
            [helper.make_node("Conv", ["image", "kernel"], ["maps"])], "four",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 4, 48, 48])],
            [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["n", WIDTH, None, None])],
            [numpy_helper.from_array(global_kernel, "kernel")],
        )  # fmt: skip
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    else:
        path = write_onnx(tmp_path / "strange.onnx", **options)  # type: ignore[arg-type]
    with pytest.raises(BackboneError, match=says):
        load(tmp_path, path)
    assert not list((tmp_path / "backbones").glob("*/")), "nothing half-made stays behind"


def test_an_output_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "tiny.onnx", kind="both")
    with pytest.raises(BackboneError, match=r"no output 'pooler'.*maps, flat"):
        load(tmp_path, f"{path}#pooler")


def test_files_that_are_no_models_are_named(tmp_path: Path) -> None:
    whole = Path(write_onnx(tmp_path / "tiny.onnx")).read_bytes()
    for name, data in {"cut.onnx": whole[: len(whole) // 2], "text.onnx": b"hello", "text.keras": b"hello"}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BackboneError, match=f"{name} does not load"):
            load(tmp_path, str(tmp_path / name))
    with pytest.raises(BackboneError, match=r"gone\.onnx cannot be read.*SENTINEL_BACKBONE"):
        load(tmp_path, str(tmp_path / "gone.onnx"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(BackboneError, match=r"no SavedModel"):
        load(tmp_path, str(tmp_path / "folder"))
    with pytest.raises(BackboneError, match=r"SENTINEL_BACKBONE"):
        load(tmp_path, str(tmp_path / "no such folder"))


def test_weights_of_their_own_and_others_are_not_both_used(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "tiny.onnx")
    with pytest.raises(BackboneError, match="SENTINEL_WEIGHTS"):
        load(tmp_path, path, weights="random:1")


# --- Keras ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiny.keras", "tiny", "two.keras#pooled"])
def test_a_keras_file_and_a_saved_model_compute_what_keras_computes(
    keras_models: Path, state: Path, images: Images, name: str
) -> None:
    backbone = load(state, f"{keras_models}/{name}")
    wanted = np.load(keras_models / "embedding.npy", allow_pickle=False)
    assert cosines(backbone.embed(images), wanted).min() > 0.9999
    np.testing.assert_allclose(backbone.embed(images), wanted, atol=1e-4)


def test_a_keras_model_with_two_outputs_is_refused_with_their_names(keras_models: Path, state: Path) -> None:
    with pytest.raises(BackboneError, match=r"2 outputs.*maps, pooled"):
        load(state, f"{keras_models}/two.keras")


def test_names_with_and_without_their_kind_are_one_model() -> None:
    models = [
        find_model(Settings(_env_file=None, backbone=name, weights="random:1"))  # type: ignore[call-arg]
        for name in ("mobilenet_v2", "keras:MobileNetV2", "MobileNetV2")
    ]
    assert models[0] == models[1] == models[2]
    assert models[0].name == "mobilenet_v2"
