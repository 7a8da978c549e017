"""The machine and the command of a benchmark."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path


def machine() -> str:
    """Return two lines that describe the machine and the command."""
    model = platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    command = " ".join(sys.orig_argv[1:])
    return f"machine: {model}, {os.cpu_count()} cores, Python {platform.python_version()}\ncommand: {command}"
