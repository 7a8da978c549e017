"""What the tests of backbones share: small ONNX models, and programs that run in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from common.backbones import Backbone, load_backbone
from common.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
SIDE, WIDTH = 48, 10
KERNEL = np.random.default_rng(0).normal(size=(WIDTH, 3)).astype(np.float32)


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
