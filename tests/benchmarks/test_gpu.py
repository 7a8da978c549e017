"""`make bench-gpu` where there is no GPU: it says so, and has the CPU's figures."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.gpu import why_no_gpu


def test_a_gpu_that_is_hidden_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert why_no_gpu() == "this machine shows no NVIDIA GPU"


@pytest.mark.slow
def test_without_a_gpu_the_figures_are_the_cpus_and_it_says_so() -> None:
    command = ["-m", "benchmarks.gpu", "--runs", "1", "--frames", "40", "--height", "720", "--sizes", "96x64"]
    done = subprocess.run(
        [sys.executable, *command], env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "No GPU was measured: this machine shows no NVIDIA GPU" in done.stdout
    rows = dict(
        line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.endswith(" |") and "/s |" in line
    )
    assert len(rows) >= 2
    assert all(float(rate) > 0 for rate in rows.values())
