"""Backbones from a model hub."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tests.common.backbones.builders import HUB_WORKER, KERNEL, run_python, write_onnx


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
