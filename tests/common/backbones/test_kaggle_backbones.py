"""Backbones from Kaggle, by its own client against a server that answers as Kaggle does."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.backbones.kaggle import KaggleModel, choose_files, kaggle_model, parse_kaggle_name
from common.backbones.models import PIXELS, Model, ModelKind, find_model
from common.errors import BackboneError
from common.settings import Settings
from tests.common.backbones.builders import HUB_WORKER, KERNEL, run_python, write_onnx
from tests.common.backbones.kaggle_server import PAGE_FILES, KaggleServer, running

NAME = "kaggle:lab/tiny/onnx/small"
SAVED_MODEL = {
    "saved_model.pb": b"graph",
    "fingerprint.pb": b"print",
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": b"numbers",
    "assets/labels.txt": b"cat",
}


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KaggleServer]:
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    with running() as server:
        for name, value in server.environment(tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        yield server


def settings(state: Path, backbone: str) -> Settings:
    return Settings(_env_file=None, state_dir=state, backbone=backbone, device="cpu")  # type: ignore[call-arg]


def found(state: Path, name: str = NAME) -> Model:
    return find_model(settings(state, name))


def refusal(state: Path, name: str = NAME) -> str:
    with pytest.raises(BackboneError) as refused:
        found(state, name)
    assert not list((state / "kaggle").rglob("model")), "nothing is kept of what was refused"
    return str(refused.value)


# --- downloading ---------------------------------------------------------------------------------------


def test_a_model_of_kaggle_is_downloaded_once_and_is_a_backbone_of_its_version(
    kaggle: KaggleServer, tmp_path: Path
) -> None:
    onnx = Path(write_onnx(tmp_path / "tiny.onnx")).read_bytes()
    kaggle.versions = {1: {"old.onnx": b"old"}, 2: {"tiny.onnx": onnx, "README.md": b"words"}}
    state = str(tmp_path / "state")
    name, embedding, tensorflow = json.loads(run_python(HUB_WORKER, state, NAME))
    mean, scale = np.array(PIXELS["imagenet"].mean), np.array(PIXELS["imagenet"].scale)
    np.testing.assert_allclose(embedding, KERNEL @ ((100 - mean) / scale), atol=1e-3)
    assert (name, tensorflow) == (f"{NAME}/2", False), "the newest, and which that was"
    assert [asked for asked in kaggle.asked if asked.startswith("Download")] == [
        "DownloadModelInstanceVersion tiny.onnx"
    ], "its other files are left there"
    asked = len(kaggle.asked)
    kaggle.versions[3] = {"tiny.onnx": b"newer"}
    for again in (NAME, f"{NAME}/2"):
        assert json.loads(run_python(HUB_WORKER, state, again)) == [name, embedding, tensorflow]
    assert len(kaggle.asked) == asked, "what is kept is not asked for again"


@pytest.mark.parametrize(
    ("files", "kind", "pixels"),
    [
        ({"deep/net.onnx": b"o", "deep/net.onnx_data": b"d"}, ModelKind.ONNX, "imagenet"),
        ({"net.keras": b"k", **SAVED_MODEL}, ModelKind.KERAS_FILE, "0..255"),
        (SAVED_MODEL, ModelKind.SAVED_MODEL, "0..255"),
        ({f"export/{file}": data for file, data in SAVED_MODEL.items()}, ModelKind.SAVED_MODEL, "0..255"),
    ],
)
def test_a_model_has_the_identity_of_the_same_files_on_disk_in_any_version(
    kaggle: KaggleServer, tmp_path: Path, files: dict[str, bytes], kind: ModelKind, pixels: str
) -> None:
    kaggle.versions = {1: files, 2: {**files, "notes.txt": b"unlike"}}
    first, second = found(tmp_path / "state", f"{NAME}/1"), found(tmp_path / "state", f"{NAME}/2")
    chosen = choose_files(files, NAME)
    for file in chosen.files:
        (tmp_path / "model" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / file).write_bytes(files[file])
    local = found(tmp_path / "state", str((tmp_path / "model" / chosen.path).resolve()))
    assert (local.kind, local.pixels) == (kind, PIXELS[pixels])
    for name, model in ((f"{NAME}/1", first), (f"{NAME}/2", second)):
        assert model == local.model_copy(update={"name": name, "path": model.path})
    changed = Path(second.path)
    (next(file for file in changed.rglob("*") if file.is_file()) if changed.is_dir() else changed).write_bytes(b"other")
    assert found(tmp_path / "state", f"{NAME}/2").identity != first.identity


def test_processes_that_want_the_same_model_download_it_once(kaggle: KaggleServer, tmp_path: Path) -> None:
    kaggle.versions = {1: SAVED_MODEL}
    wanted = parse_kaggle_name(NAME)

    def get(_: int) -> KaggleModel:
        return kaggle_model(wanted, tmp_path)

    with ThreadPoolExecutor(4) as pool:
        assert len({model.path for model in pool.map(get, range(4))}) == 1
    downloads = [asked.partition(" ")[2] for asked in kaggle.asked if asked.startswith("Download")]
    assert sorted(downloads) == sorted(SAVED_MODEL)
    assert len(SAVED_MODEL) > PAGE_FILES, "they do not fit on one page of the list"


def test_what_is_kept_needs_no_folder_that_can_be_written_and_a_killed_download_leaves_nothing(
    kaggle: KaggleServer, tmp_path: Path
) -> None:
    kaggle.versions = {1: SAVED_MODEL}
    versions = tmp_path / "kaggle" / NAME.removeprefix("kaggle:")
    (versions / ".download-killed" / "1").mkdir(parents=True)
    first = found(tmp_path)
    assert {path.name for path in versions.iterdir()} <= {"1", ".lock"}
    (versions / ".lock").unlink(missing_ok=True)
    (versions / ".lock").mkdir()  # nobody can lock it
    assert found(tmp_path) == first


# --- refused -------------------------------------------------------------------------------------------


def test_a_model_that_kaggle_does_not_have_or_does_not_show_is_said_so(
    kaggle: KaggleServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kaggle.versions = {1: {"net.onnx": b"o"}}
    for name in ("kaggle:lab/other/onnx/small", f"{NAME}/7"):
        said = refusal(tmp_path, name)
        assert "Kaggle has no model" in said and "SENTINEL_BACKBONE" in said
    assert "no framework 'onyx'" in refusal(tmp_path, "kaggle:lab/tiny/onyx/small")
    kaggle.token = "secret"
    said = refusal(tmp_path)
    assert "does not let this account read" in said and "KAGGLE_API_TOKEN" in said and "licence" in said
    monkeypatch.setenv("KAGGLE_API_TOKEN", "secret")
    assert found(tmp_path).name == f"{NAME}/1"


def test_a_model_without_a_file_that_can_be_a_backbone_is_refused_before_anything_is_downloaded(
    kaggle: KaggleServer, tmp_path: Path
) -> None:
    kaggle.versions = {1: {"weights.safetensors": b"w"}, 2: {"a.onnx": b"a", "b.onnx": b"b"}}
    said = refusal(tmp_path, f"{NAME}/1")
    assert "no .onnx file, .keras file or SavedModel ('weights.safetensors')" in said and "another framework" in said
    said = refusal(tmp_path, f"{NAME}/2")
    assert "several models ('a.onnx', 'b.onnx')" in said and "set SENTINEL_BACKBONE" in said
    assert not [asked for asked in kaggle.asked if asked.startswith("Download")]


def test_a_host_that_does_not_answer_is_said_so(
    kaggle: KaggleServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kaggle.versions = {1: {"net.onnx": b"o"}}
    kaggle.silent.set()
    with pytest.raises(BackboneError, match=r"has not answered for 2 s.*check the network.*set SENTINEL_BACKBONE"):
        kaggle_model(parse_kaggle_name(NAME), tmp_path, silent_seconds=2)
    with socket.socket() as taken:  # bound and not listening: refuses
        taken.bind(("127.0.0.1", 0))
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{taken.getsockname()[1]}")
        said = refusal(tmp_path)
    assert "does not answer" in said and "check the network" in said


def test_a_file_that_arrives_damaged_is_no_backbone_and_the_next_try_is_as_the_first(
    kaggle: KaggleServer, tmp_path: Path
) -> None:
    kaggle.versions = {1: SAVED_MODEL}
    kaggle.damaged = True
    assert "try again" in refusal(tmp_path)
    kaggle.damaged = False
    assert Path(found(tmp_path).path, "saved_model.pb").read_bytes() == b"graph"


def test_a_file_name_that_leaves_the_models_folder_is_passed_over(kaggle: KaggleServer, tmp_path: Path) -> None:
    hostile = [
        "../../escaped.onnx",
        f"{tmp_path}/absolute.onnx",
        "a/../../b.onnx",
        "./c.onnx",
        "..\\d.onnx",
        "e//f.onnx",
    ]
    kaggle.versions = {1: {"net.keras": b"k", **dict.fromkeys(hostile, b"h")}, 2: dict.fromkeys(hostile, b"h")}
    assert found(tmp_path / "state", f"{NAME}/1").kind is ModelKind.KERAS_FILE
    assert "no .onnx file" in refusal(tmp_path / "other", f"{NAME}/2")
    assert not list(tmp_path.rglob("*.onnx"))


# --- names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "kaggle:", "kaggle:tiny", "kaggle:lab/tiny", "kaggle:lab/tiny/onnx", "kaggle:lab/tiny/onnx/", "kaggle:/t/o/s",
        "kaggle:lab/tiny/onnx/small/latest", "kaggle:lab/tiny/onnx/small/0", "kaggle:lab/tiny/onnx/small/-1",
        "kaggle:lab/tiny/onnx/small/01", "kaggle:lab/tiny/onnx/small/1/2", "kaggle:../../etc/passwd",
        "kaggle:lab/../onnx/small", "kaggle:lab/ti ny/onnx/small", "kaggle:lab/tiny/onnx/small@1",
        "kaggle:lab/tiny/onnx/small/１", "kaggle:lab/tiny/onnx/small/1\n",
    ],
)  # fmt: skip
def test_a_name_that_is_none_says_how_to_write_one(name: str) -> None:
    with pytest.raises(BackboneError, match="write kaggle:owner/model/framework/variation"):
        parse_kaggle_name(name)


@given(
    st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True), min_size=4, max_size=4),
    st.none() | st.integers(1, 10**9 - 1),
)
def test_a_name_is_read_back_as_it_was_written(slugs: list[str], version: int | None) -> None:
    written = "/".join([*slugs, *([] if version is None else [str(version)])])
    parsed = parse_kaggle_name(f"kaggle:{written}")
    assert (str(parsed), parsed.version) == (written, version)


@given(st.lists(st.text("ab./\\", max_size=8).map(lambda stem: f"{stem}.onnx"), max_size=4))
def test_no_chosen_file_is_outside_the_models_folder(files: list[str]) -> None:
    root = Path("/kept/model")
    try:
        chosen = choose_files(files, "lab/tiny/onnx/small/1")
    except BackboneError:
        return
    for file in (*chosen.files, chosen.path):
        assert Path(root, file).is_relative_to(root) and ".." not in Path(file).parts
