"""Backbones from files and from the hub: what goes in and comes out, what is refused, and in which precision."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from common.backbones import Backbone, load_backbone
from common.backbones.backbone import Images
from common.backbones.convert import cosines, random_images
from common.backbones.models import PIXELS, find_model
from common.backbones.openvino_engine import openvino
from common.backbones.quantise import natural_pictures
from common.contracts.batches import FeatureSpec
from common.errors import BackboneError
from common.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
SIDE, WIDTH = 48, 10
KERNEL = np.random.default_rng(0).normal(size=(WIDTH, 3)).astype(np.float32)

KERAS = """
import os, sys
os.environ.update(CUDA_VISIBLE_DEVICES="-1", KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
import keras, numpy as np
folder = sys.argv[1]
keras.utils.set_random_seed(1)
images = keras.Input((48, 48, 3), name="picture")
maps = keras.layers.Conv2D(8, 5, strides=2, activation="relu", name="maps")(keras.layers.Rescaling(1 / 255)(images))
pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(maps)
keras.Model(images, maps).save(f"{folder}/tiny.keras")
keras.Model(images, maps).export(f"{folder}/tiny", verbose=False)
keras.Model(images, [maps, pooled]).save(f"{folder}/two.keras")
frames = np.load(f"{folder}/images.npy", allow_pickle=False)
np.save(f"{folder}/embedding.npy", keras.Model(images, pooled).predict(frames.astype("float32"), verbose=0))
"""

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

# A worker that is given a hub model: what it computes, and what it had to import for that.
HUB_WORKER = """
import json, sys
from pathlib import Path
import numpy as np
from common.backbones import load_backbone
from common.errors import BackboneError
from common.settings import Settings
try:
    settings = Settings(_env_file=None, state_dir=Path(sys.argv[1]), backbone=sys.argv[2], device="cpu")
    backbone = load_backbone(settings, None)
    found = backbone.embed(np.full((1, 48, 48, 3), 100, np.uint8))[0].tolist()
    print(json.dumps([backbone.name, found, bool(sys.modules.get("tensorflow"))]))
except BackboneError as error:
    print(json.dumps([str(error)]))
"""


def run_python(code: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return (done.stdout.strip().splitlines() or [""])[-1]


@pytest.fixture(scope="module")
def images() -> Images:
    return random_images(SIDE)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def keras_models(tmp_path_factory: pytest.TempPathFactory, images: Images) -> Path:
    folder = tmp_path_factory.mktemp("keras")
    np.save(folder / "images.npy", images)
    run_python(KERAS, str(folder))
    return folder


def load(state: Path, backbone: str, **update: object) -> Backbone:
    return load_backbone(
        Settings(_env_file=None, state_dir=state, backbone=backbone, device="cpu", **update),  # type: ignore[arg-type,call-arg]
        None,
    )


def write_onnx(
    path: Path, *, shape: tuple[object, ...] = ("n", 3, SIDE, SIDE), kind: str = "pooled", inputs: int = 1
) -> str:
    """Write a model of one 1 x 1 convolution; its embedding is the kernel times the mean pixel."""
    names = ["image", *(f"more{i}" for i in range(inputs - 1))]
    nodes = [helper.make_node("Conv", ["image", "kernel"], ["maps"])]
    nodes += [helper.make_node("Add", ["maps", name], ["maps2"]) for name in names[1:]]
    outputs: dict[str, tuple[object, ...]] = {"maps": ("n", WIDTH, None, None)}
    if kind in {"pooled", "both"}:
        nodes += [
            helper.make_node("GlobalAveragePool", ["maps"], ["one"]),
            helper.make_node("Flatten", ["one"], ["flat"]),
        ]
        outputs = (
            {"flat": ("n", WIDTH)} if kind == "pooled" else {"maps": ("n", WIDTH, None, None), "flat": ("n", WIDTH)}
        )
    if kind == "tokens":
        nodes += [
            helper.make_node("Reshape", ["maps", "sizes"], ["rows"]),
            helper.make_node("Transpose", ["rows"], ["tokens"], perm=[0, 2, 1]),
        ]
        outputs = {"tokens": ("n", None, WIDTH)}
    kernel = numpy_helper.from_array(KERNEL.reshape(WIDTH, 3, 1, 1), "kernel")
    sizes = numpy_helper.from_array(np.array([0, WIDTH, -1]), "sizes")
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name in names],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(sides)) for name, sides in outputs.items()],
        [kernel, sizes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return str(path)


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


# --- precision --------------------------------------------------------------------------------------


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


# --- the hub ----------------------------------------------------------------------------------------


class Hub(BaseHTTPRequestHandler):
    """A model hub of one repository, `lab/tiny`."""

    files: dict[str, bytes]
    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.asked.append(self.path)
        repository, _, rest = self.path.lstrip("/").partition("/resolve/")
        name = rest.partition("/")[2]
        if repository != "lab/tiny" or name not in self.files:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound" if repository == "lab/tiny" else "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = self.files[name]
        self.send_response(200)
        self.send_header("X-Repo-Commit", "a" * 40)
        self.send_header("ETag", f'"{len(data)}-{name.replace("/", "-")}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    model = Path(write_onnx(tmp_path / "tiny.onnx")).read_bytes()
    config = {
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.5, 0.25, 0.2],
    }
    Hub.files = {"onnx/model.onnx": model, "preprocessor_config.json": json.dumps(config).encode()}
    Hub.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_hub_model_is_downloaded_once_and_its_pixels_are_as_it_says(hub: str, tmp_path: Path) -> None:
    home = {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_DISABLE_XET": "1"}
    name, found, tensorflow = json.loads(run_python(HUB_WORKER, str(tmp_path), "hf:lab/tiny", **home))
    scaled = (100 / 255 - np.array([0.5, 0.4, 0.3])) / np.array([0.5, 0.25, 0.2])
    np.testing.assert_allclose(found, KERNEL @ scaled, atol=1e-3)
    assert (name, tensorflow) == ("hf:lab/tiny", False)
    asked = len([path for path in Hub.asked if path.endswith("model.onnx")])
    again = json.loads(run_python(HUB_WORKER, str(tmp_path), "hf:lab/tiny", **home, HF_HUB_OFFLINE="1"))
    assert again[1] == found, "and works without the network from then on"
    assert len([path for path in Hub.asked if path.endswith("model.onnx")]) == asked


def test_a_hub_that_has_no_such_model_or_does_not_answer_is_said_so(hub: str, tmp_path: Path) -> None:
    home = {"HF_HOME": str(tmp_path / "hub"), "HF_HUB_DISABLE_XET": "1"}
    (said,) = json.loads(run_python(HUB_WORKER, str(tmp_path), "hf:lab/other", **home, HF_ENDPOINT=hub))
    assert "lab/other" in said and "SENTINEL_BACKBONE" in said
    del Hub.files["onnx/model.onnx"]
    (said,) = json.loads(run_python(HUB_WORKER, str(tmp_path), "hf:lab/tiny", **home, HF_ENDPOINT=hub))
    assert "no onnx/model.onnx or model.onnx" in said
    (said,) = json.loads(run_python(HUB_WORKER, str(tmp_path), "hf:lab/tiny", **home, HF_HUB_OFFLINE="1"))
    assert "lab/tiny" in said and "network" in said
    (said,) = json.loads(run_python(HUB_WORKER, str(tmp_path), "hf:tiny", **home, HF_ENDPOINT=hub))
    assert "hf:owner/name" in said
