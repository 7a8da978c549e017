"""Backbones: names, weights, the cached conversion, and what a CPU worker must not import."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings as laws, strategies as st

from common.backbones import Backbone, imagenet_available, load_backbone
from common.backbones.backbone import Images
from common.backbones.cache import CARD_FILE, MODEL_FILE, cache_key, converted_model
from common.backbones.loading import gpu_usable
from common.backbones.names import ARCHITECTURES, find_architecture
from common.backbones.weights import IMAGENET_FILE, IMAGENET_URL, WeightsKind, parse_weights
from common.errors import BackboneError
from common.settings import Settings

ROOT = Path(__file__).resolve().parents[2]

LOAD = """
import json, sys
from pathlib import Path
from common.backbones import load_backbone
from common.settings import Settings
backbone = load_backbone(Settings(_env_file=None, state_dir=Path(sys.argv[1]), weights=sys.argv[2], device="cpu"))
heavy = [name for name in ("tensorflow", "keras", "openvino_telemetry") if sys.modules.get(name)]
print(json.dumps([backbone.weights_digest, heavy]))
"""

KERAS = """
import json, os, sys
os.environ.update(CUDA_VISIBLE_DEVICES="-1", KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
from pathlib import Path
import keras, numpy as np
from common.backbones.keras_models import build_backbone, weights_digest
from common.backbones.names import find_architecture
from common.backbones.tensorflow_engine import TensorFlowBackbone
from common.backbones.weights import parse_weights

folder = Path(sys.argv[1])
seeded = parse_weights("random:1")
for name in ("mobilenet_v2", "mobilenet"):
    model, _ = build_backbone(find_architecture(name), seeded)
    core = next(layer for layer in model.layers if isinstance(layer, keras.Model) and layer.weights)
    core = core if not any(isinstance(l, keras.Model) for l in core.layers) else core
    keras.applications.MobileNetV2
    core.save_weights(folder / f"{name}.weights.h5")
backbone = TensorFlowBackbone(find_architecture("MobileNetV2"), seeded)
images = np.load(folder / "images.npy", allow_pickle=False)
np.save(folder / "embedding.npy", backbone.embed(images))
builders = {n for n in dir(keras.applications) if n[0].isupper()}
families = {n for n in dir(keras.applications) if n[0].islower() and hasattr(getattr(keras.applications, n), "preprocess_input")}
source = Path(keras.__file__).parent / "src" / "applications" / "mobilenet_v2.py"
print(json.dumps({"digest": backbone.weights_digest, "builders": sorted(builders), "families": sorted(families),
                  "source": source.read_text()}))
"""
