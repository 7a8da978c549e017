"""Fixtures of the tests of backbones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.backbones.backbone import Images
from common.backbones.convert import random_images
from tests.common.backbones.builders import SIDE, run_python

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


@pytest.fixture(scope="session")
def images() -> Images:
    return random_images(SIDE)


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="session")
def keras_models(tmp_path_factory: pytest.TempPathFactory, images: Images) -> Path:
    folder = tmp_path_factory.mktemp("keras")
    np.save(folder / "images.npy", images)
    run_python(KERAS, str(folder))
    return folder
