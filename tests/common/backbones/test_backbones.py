"""Backbones: names, weights, the cached conversion, and what a CPU worker must not import."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.backbones import Backbone, BackboneCard, imagenet_available, load_backbone
from common.backbones.backbone import Images
from common.backbones.cache import converted_model
from common.backbones.convert import CARD_FILE, NUMBERS_FILE, cosines
from common.backbones.loading import gpu_usable
from common.backbones.models import find_model
from common.backbones.names import ARCHITECTURES, find_architecture
from common.backbones.weights import IMAGENET_FILE, IMAGENET_URL, Weights, WeightsKind, parse_weights
from common.errors import BackboneError
from common.settings import Settings
from tests.common.backbones.builders import run_python

SEEDED = "random:1"

# A worker as it starts: it says which backbone it loaded, and which heavy libraries came with it.
WORKER = """
import json, sys
from pathlib import Path
from common.backbones import load_backbone
from common.settings import Settings
backbone = load_backbone(Settings(_env_file=None, state_dir=Path(sys.argv[1]), weights=sys.argv[2], device="cpu"), None)
heavy = [name for name in ("tensorflow", "keras", "openvino_telemetry") if sys.modules.get(name)]
print(json.dumps([backbone.weights_digest, heavy]))
"""

# Everything that needs Keras itself, in one process of its own: files of weights, and embeddings to compare with.
KERAS = """
import json, os, sys
os.environ.update(CUDA_VISIBLE_DEVICES="-1", KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
from pathlib import Path
import keras, numpy as np
from common.backbones.keras_models import weights_digest
from common.backbones.models import find_model
from common.backbones.tensorflow_engine import TensorFlowBackbone
from common.settings import Settings
folder = Path(sys.argv[1])
digests = {}
for name in ("MobileNetV2", "MobileNet"):
    core = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(224, 224, 3), pooling="avg")
    core.save_weights(folder / f"{name}.weights.h5")
    digests[name] = weights_digest(core)
backbone = TensorFlowBackbone(find_model(Settings(_env_file=None, weights="random:1")), "f32")
np.save(folder / "embedding.npy", backbone.embed(np.load(folder / "images.npy", allow_pickle=False)))
known = dir(keras.applications)
print(json.dumps({
    "seeded": backbone.weights_digest,
    "from_file": digests["MobileNetV2"],
    "builders": [n for n in known if n[0].isupper()],
    "families": [n for n in known if hasattr(getattr(keras.applications, n), "preprocess_input")],
    "source": (Path(keras.__file__).parent / "src/applications/mobilenet_v2.py").read_text(),
}))
"""


@pytest.fixture(scope="module")
def images() -> Images:
    """Twelve coarse random images: more than one inference stream takes at once."""
    coarse = np.random.default_rng(3).integers(0, 256, (12, 14, 14, 3), dtype=np.uint8)
    return coarse.repeat(16, axis=1).repeat(16, axis=2)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder in which two workers, started at once, wanted the same backbone."""
    folder = tmp_path_factory.mktemp("state")
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(lambda _: run_python(WORKER, str(folder), SEEDED), range(2)))
    assert said[0] == said[1]
    return folder


@pytest.fixture(scope="module")
def keras_says(tmp_path_factory: pytest.TempPathFactory, images: Images) -> tuple[Path, dict[str, object]]:
    folder = tmp_path_factory.mktemp("keras")
    np.save(folder / "images.npy", images)
    return folder, json.loads(run_python(KERAS, str(folder)))


def load(state: Path, weights: str = SEEDED, *, backbone: str = "mobilenet_v2", threads: int = 1) -> Backbone:
    return load_backbone(
        Settings(
            _env_file=None,  # type: ignore[call-arg]
            state_dir=state,
            weights=weights,
            backbone=backbone,
            device="cpu",
            threads=threads,
        ),
        None,
    )


# --- names and weights --------------------------------------------------------------------------


def test_every_model_of_keras_applications_has_a_name(keras_says: tuple[Path, dict[str, object]]) -> None:
    _, keras = keras_says
    assert sorted(a.function for a in ARCHITECTURES.values()) == sorted(keras["builders"])  # type: ignore[call-overload]
    assert {a.family for a in ARCHITECTURES.values()} <= set(keras["families"])  # type: ignore[call-overload]


@given(st.sampled_from(sorted(ARCHITECTURES)))
def test_a_backbone_is_found_in_snake_case_and_as_keras_writes_it(name: str) -> None:
    assert find_architecture(name).name == name
    assert find_architecture(ARCHITECTURES[name].function).name == name


def test_an_unknown_backbone_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(BackboneError, match=r"'mobilnet_v2'.*SENTINEL_BACKBONE.*mobilenet_v2"):
        find_architecture("mobilnet_v2")


@given(st.integers(0, 2**32 - 1))
def test_a_seed_is_a_seed_however_it_is_written(seed: int) -> None:
    assert parse_weights(f"random:{seed}") == parse_weights(f"random:0{seed}")
    assert parse_weights(f"random:{seed}") == Weights(WeightsKind.RANDOM, f"random:{seed}", seed=seed)


@pytest.mark.parametrize(
    "setting", ["random:", "random:x", "random:-1", "random:1.5", "random:²", "random", "random:99999999999"]
)
def test_a_seed_that_is_no_number_is_refused_with_the_setting(setting: str) -> None:
    with pytest.raises(BackboneError, match="SENTINEL_WEIGHTS"):
        parse_weights(setting)


def test_a_missing_weights_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match=r"no such\.weights\.h5.*SENTINEL_WEIGHTS"):
        load(tmp_path, str(tmp_path / "no such.weights.h5"))


def test_a_weights_file_is_known_by_its_content(tmp_path: Path) -> None:
    for name, content in {"a.h5": b"1", "b.h5": b"1", "c.h5": b"2"}.items():
        (tmp_path / name).write_bytes(content)
    a, b, c = (parse_weights(str(tmp_path / name)).identity for name in ("a.h5", "b.h5", "c.h5"))
    assert a == b != c


def test_weights_of_another_model_are_refused(tmp_path: Path, keras_says: tuple[Path, dict[str, object]]) -> None:
    with pytest.raises(BackboneError, match=r"MobileNet\.weights\.h5 does not hold weights of mobilenet_v2"):
        load(tmp_path, str(keras_says[0] / "MobileNet.weights.h5"))
    assert not list((tmp_path / "backbones").glob("*/")), "nothing half-made stays behind"


def test_a_weights_file_gives_the_weights_that_are_in_it(
    tmp_path: Path, keras_says: tuple[Path, dict[str, object]]
) -> None:
    folder, keras = keras_says
    assert load(tmp_path, str(folder / "MobileNetV2.weights.h5")).weights_digest == keras["from_file"]


def test_imagenet_weights_that_cannot_be_downloaded_are_an_error_never_other_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unplug(monkeypatch, tmp_path)
    with pytest.raises(BackboneError, match=r"could not be downloaded.*SENTINEL_WEIGHTS.*random:SEED"):
        load(tmp_path, "imagenet")


def test_without_a_network_imagenet_weights_are_unavailable_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unplug(monkeypatch, tmp_path)
    assert not imagenet_available(2.0)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / IMAGENET_FILE).write_bytes(b"cached by Keras")
    assert imagenet_available(2.0)


def test_keras_still_downloads_from_where_we_look(keras_says: tuple[Path, dict[str, object]]) -> None:
    source = "".join(str(keras_says[1]["source"]).split())
    assert IMAGENET_URL in source.replace('"\n"', "").replace('""', "")
    assert IMAGENET_FILE.partition("1.0")[0] in source


def unplug(monkeypatch: pytest.MonkeyPatch, keras_home: Path) -> None:
    """No cache of Keras', and every download goes to a port where nobody listens."""
    monkeypatch.setenv("KERAS_HOME", str(keras_home))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


# --- the converted model --------------------------------------------------------------------------


def test_two_workers_that_want_one_backbone_convert_it_once(state: Path) -> None:
    assert len([path for path in (state / "backbones").iterdir() if path.is_dir()]) == 1


def test_a_worker_that_finds_the_converted_model_never_imports_tensorflow(state: Path) -> None:
    _, heavy = json.loads(run_python(WORKER, str(state), SEEDED))
    assert heavy == []


def test_seeded_weights_are_equal_in_every_process_and_engine(
    state: Path, keras_says: tuple[Path, dict[str, object]]
) -> None:
    assert load(state).weights_digest == keras_says[1]["seeded"]


def test_openvino_computes_what_tensorflow_computes(
    state: Path, images: Images, keras_says: tuple[Path, dict[str, object]]
) -> None:
    wanted = np.load(keras_says[0] / "embedding.npy", allow_pickle=False)
    got = load(state).embed(images)
    assert got.shape == wanted.shape == (len(images), 1280)
    assert got.dtype == np.float32
    assert cosines(got, wanted).min() > 0.9999
    assert 0.1 < np.abs(got).max() < 1000.0, "half precision must hold them"


def test_an_embedding_depends_on_its_frame_alone(state: Path, images: Images) -> None:
    together = load(state, threads=2).embed(images)
    one = load(state)
    assert np.array_equal(together, np.concatenate([one.embed(images[i : i + 1]) for i in range(len(images))]))
    assert np.array_equal(together[::-1], one.embed(images[::-1])), "a view that is not contiguous"
    assert one.embed(images[:0]).shape == (0, 1280)


@pytest.mark.parametrize("shape", [(2, 224, 224), (2, 224, 220, 3), (2, 3, 224, 224)])
def test_images_of_another_shape_are_refused(state: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(BackboneError, match="resize frames first"):
        load(state).embed(np.zeros(shape, np.uint8))
    with pytest.raises(BackboneError, match="float32"):
        load(state).embed(np.zeros((1, 224, 224, 3), np.float32))  # type: ignore[arg-type]


def test_a_damaged_cache_is_noticed_and_made_again(state: Path) -> None:
    wanted = load(state).weights_digest
    seeded = find_model(Settings(_env_file=None, weights=SEEDED))  # type: ignore[call-arg]
    found = converted_model(seeded, "f32", state)
    numbers = found.folder / NUMBERS_FILE
    numbers.write_bytes(numbers.read_bytes()[:-1000])
    assert load(state).weights_digest == wanted
    assert BackboneCard.from_json((found.folder / CARD_FILE).read_bytes()) == found.card


def test_a_state_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "backbones").write_text("a file where the folder should be")
    with pytest.raises(BackboneError, match="SENTINEL_STATE_DIR"):
        load(tmp_path)


def test_a_gpu_that_is_asked_for_and_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert not gpu_usable()
    with pytest.raises(BackboneError, match="SENTINEL_DEVICE=gpu"):
        load_backbone(Settings(_env_file=None, state_dir=tmp_path, weights=SEEDED, device="gpu"), None)  # type: ignore[call-arg]
