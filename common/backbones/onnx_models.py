"""Making an ONNX model take frames as they are: done in OpenVINO's graph, so that no caller can forget it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.backbones.model_signature import ModelSignature, Port, find_signature
from common.backbones.models import Model
from common.backbones.openvino_engine import openvino
from common.errors import BackboneError

_TYPES = {"f32": "float32", "u8": "uint8", "f16": "float16", "f64": "float64", "i64": "int64", "i32": "int32"}


def read_graph(model: Model) -> tuple[Any, int]:
    """Return OpenVINO's graph of an ONNX file, from uint8 RGB images (n, side, side, 3) to embeddings, and the side.

    Raises
    ------
    BackboneError
        If the file does not load, or is no model of one image to one embedding.
    """
    ov = openvino()
    try:
        graph = ov.Core().read_model(model.path)
    except RuntimeError as error:
        raise BackboneError(
            f"{model.path} does not load as ONNX ({_reason(error)}): it is damaged, cut short, or uses operators that "
            "OpenVINO does not know; export it again"
        ) from error
    name = Path(model.path).name
    interface = find_signature(
        name, [_port(port) for port in graph.inputs], [_port(port) for port in graph.outputs], model.output
    )
    side = interface.side
    try:
        graph.reshape([-1, 3, side, side] if interface.channels_first else [-1, side, side, 3])
    except RuntimeError:
        # Exported for one image at a time: so are frames embedded.
        graph.reshape([1, 3, side, side] if interface.channels_first else [1, side, side, 3])
    out = graph.outputs[interface.output].get_node().input_value(0)
    if interface.pooled:
        out = ov.opset13.reduce_mean(out, list(interface.pooled), keep_dims=False).output(0)
    cut = ov.Model([out], graph.get_parameters(), name)
    return _taking_frames(cut, interface, model), side


def _taking_frames(graph: Any, interface: ModelSignature, model: Model) -> Any:
    from openvino import Layout, Type
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(graph)
    steps.input().tensor().set_element_type(Type.u8).set_layout(Layout("NHWC"))
    steps.input().model().set_layout(Layout("NCHW" if interface.channels_first else "NHWC"))
    if not interface.raw:
        scaled = steps.input().preprocess().convert_element_type(Type.f32)
        scaled.mean(list(model.pixels.mean)).scale(list(model.pixels.scale))
    steps.output().tensor().set_element_type(Type.f32)
    return steps.build()


def _port(port: Any) -> Port:
    shape = port.get_partial_shape()
    sides = None if shape.rank.is_dynamic else tuple(None if s.is_dynamic else s.get_length() for s in shape)
    kind = port.get_element_type().get_type_name()
    return Port(min(port.get_names(), default="?"), sides, _TYPES.get(kind, kind))


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
