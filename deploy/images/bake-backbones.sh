#!/bin/sh
# Converts the backbones of an image that has no TensorFlow: bake-backbones BACKBONE WEIGHTS
set -eu
backbone=$1 weights=$2
convert() {
  SENTINEL_DEVICE=cpu SENTINEL_STATE_DIR=/app/state SENTINEL_BACKBONE=$backbone SENTINEL_WEIGHTS=$1 python -c '
import sys
from common.backbones import load_backbone
from common.errors import SentinelError
from common.settings import get_settings
try:
    made = load_backbone(get_settings(), None)
except SentinelError as error:
    sys.exit(str(error))
print(f"{made.name}: weights {made.weights_digest}")'
}
convert random:0
if [ -n "$weights" ]; then
  convert "$weights"
elif ! convert imagenet; then
  echo "ImageNet's weights of $backbone cannot be downloaded here, so they are left out: the image judges by baselines of" >&2
  echo "random:0 alone, unless it is built with --build-arg WEIGHTS=FILE, of a file below baselines/." >&2
fi
chmod -R a+rX /app/state
