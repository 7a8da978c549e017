"""The network in OpenVINO computes what its definition says, and weights that do not fit are refused."""

from __future__ import annotations

import numpy as np
import pytest

from common.backbones.openvino_engine import openvino
from common.errors import BadModel
from common.models.rife.graph import FlowWeights, flow_graph
from tests.common.models.rife.builders import drawn, small_tensors
from tests.common.models.vfi.test_trainer import footage


@pytest.mark.parametrize("seed", [0, 1])
def test_the_network_draws_what_numpy_computes(seed: int) -> None:
    tensors = small_tensors(seed)
    compiled = (
        openvino().Core().compile_model(flow_graph(FlowWeights.of(tensors)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    )
    frames = np.stack(list(footage(3, seed=seed)))
    for height, width in ((64, 96), (192, 320)):
        neighbours = frames[::2, :height, :width]
        expected = drawn(tensors, neighbours / 255.0)
        images = compiled([neighbours])[0]
        assert images.dtype == np.uint8 and images.shape == expected.shape
        assert np.abs(images - expected).max() < 0.51, "rounding"
    # The test would see nothing if the flow were 0.
    assert np.abs(expected[0] - 255.0 * neighbours[0] / 255.0).mean() > 1.0


def test_weights_that_are_missing_or_of_other_shapes_are_refused() -> None:
    tensors = small_tensors()
    del tensors["module.block2.convblock.5.1.weight"]
    with pytest.raises(BadModel, match=r"no weights of RIFE 4\.0: there is no block2\.convblock\.5\.1\.weight"):
        FlowWeights.of(tensors)
    tensors = small_tensors() | {"module.block3.lastconv.bias": np.zeros(6, np.float32)}
    with pytest.raises(BadModel, match=r"block3\.lastconv\.bias is of shape \(6,\), not \(5,\)"):
        FlowWeights.of(tensors)


def test_weights_without_the_prefix_are_the_same() -> None:
    tensors = small_tensors()
    bare = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    assert FlowWeights.of(bare).tensors.keys() == FlowWeights.of(tensors).tensors.keys()
    assert not any("unet" in name for name in FlowWeights.of(tensors).tensors)
