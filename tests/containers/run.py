"""Every documented container command, run for real, from a clean clone: images, one-shot, compose.

    python -m tests.containers.run [--keep] [--parts images one-shot compose]

Prints a transcript with times and sizes as Markdown (docs/containers.md shows one). Needs Docker, or podman with
podman-compose and images `python:3.11-slim-bookworm` and `redis:7-bookworm`; tests/containers/engine.py says what
else can be set. Ends with 1 if anything went otherwise than the docs say.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from common.processes import PROCESSES
from simulation.demo_camera import film
from simulation.saboteur import Fault, sabotage
from tests.containers.engine import Engine, StepFailed

_ROOT = Path(__file__).parents[2]
_WEIGHTS = "random:0"  # drawn: nothing is downloaded
_MOST_MB = {"monitor": 1200, "service": 1200, "worker-cpu": 2700}  # beside the base, which an engine may have larger
_IMAGES = {"monitor": "vfi-monitor", "service": "sentinel-service:local", "worker-cpu": "sentinel-worker:local"}
_BASE = "python:3.11-slim-bookworm"
_PASSWORDS = {
    "REDIS_PASSWORD": "p/a+s=s", "CAMERA_PASSWORD": "c/a+m=1", "TRUTH_PASSWORD": "tr/$ue",
    "SENTINEL_FLOWER_PASSWORD": "fl/ow=",
    "SENTINEL_PAGE_TOKEN": "token-of-the-page-0123456789",
}  # fmt: skip
_PATIENCE_SECONDS = 900.0
_SAMPLE_FPS = "10"
_STREAM, _HEALED, _CALLED = "dock", "gate", "yard"


class Transcript:
    """Prints a row per step, as it ends."""

    def __init__(self) -> None:
        print(f"{machine()}\n\n| step | seconds | what was seen |\n|---|---|---|", flush=True)

    def step(self, name: str, seconds: float, seen: str) -> None:
        """Print one row."""
        print(f"| {name} | {seconds:.1f} | {seen} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave the stack running, and its folder")
    parser.add_argument("--parts", nargs="+", choices=["images", "one-shot", "compose"],
                        default=["images", "one-shot", "compose"])  # fmt: skip
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sentinel-containers-"))
    folder.chmod(0o755)
    clone = folder / "sentinel"
    subprocess.run(["git", "clone", "--quiet", str(_ROOT), str(clone)], check=True)
    engine, transcript = Engine(clone), Transcript()
    try:
        if "images" in chosen.parts:
            images(engine, transcript, clone)
        if "one-shot" in chosen.parts:
            one_shot(engine, transcript, clone)
        if "compose" in chosen.parts:
            compose(engine, transcript, clone, keep=chosen.keep)
    except StepFailed as failed:
        print(f"\nFAILED: {failed}")
        sys.exit(1)
    finally:
        if not chosen.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print("\nall as documented")


def images(engine: Engine, transcript: Transcript, clone: Path) -> None:
    """Build each image, bound its size, and build again after an edit."""
    base = engine.size(_BASE)
    for target, tag in _IMAGES.items():
        built = engine.build(tag, target)
        size = engine.size(tag) - base
        transcript.step(f"build `{target}`", built.seconds, f"{size:.0f} MB, and the base's {base:.0f}")
        _require(size <= _MOST_MB[target], f"{target} has {size:.0f} MB, more than {_MOST_MB[target]}")
    edited = clone / "common" / "errors.py"
    edited.write_text(edited.read_text(encoding="utf-8") + "\n# an edit\n", encoding="utf-8")
    again = engine.build(_IMAGES["service"], "service")
    transcript.step("build `service` after an edit", again.seconds, "no library is installed again")
    _require("Collecting" not in again.out + again.err, "an edit of the code installed libraries again")
    for target in ("monitor", "service"):
        found = engine.run("--entrypoint", "python", _IMAGES[target], "-c",
                           "import importlib.util as u; print(u.find_spec('tensorflow'))")  # fmt: skip
        _require(found.out.strip() == "None", f"{target} holds TensorFlow")


def one_shot(engine: Engine, transcript: Transcript, clone: Path) -> None:
    """Run the one-shot as its users type it, and compare it with `sentinel check`."""
    _python(clone, "data_saboteur.py")
    clean = clone / "data" / "clean_frames"
    film(clean / "clean.mp4", seed=7)
    golden = clone / "data" / "golden_frames"
    engine.build("vfi-monitor", "monitor")  # no baseline built in
    status = clone / "temp_status"
    status.mkdir()
    footage = ["-v", f"{clone / 'data' / 'drifted_frames'}:/app/incoming_data", "-v", f"{status}:/app/status_output"]
    ended = engine.run(*footage, "vfi-monitor", expect=3)
    transcript.step("one-shot without a baseline", ended.seconds, f"exit 3: {_status(status)['message'][:60]}...")
    learned = ["-v", f"{golden}:/app/golden:ro", "-e", f"SENTINEL_WEIGHTS={_WEIGHTS}"]
    ended = engine.run(*learned, *footage, "vfi-monitor", expect=1)
    transcript.step("learned from a golden folder, drifted", ended.seconds, _verdict(status))

    (clone / "baselines").mkdir(exist_ok=True)
    _python(clone, "-m", "sentinel", "baseline", "build", str(golden), "--name", "dock", "--weights", _WEIGHTS)
    built = engine.build("vfi-monitor", "monitor", "--build-arg", "BASELINE=baselines/dock")
    transcript.step("build with `BASELINE=baselines/dock`", built.seconds, "")
    ended = engine.run(*footage, "vfi-monitor", expect=1)
    score = _status(status)["drift_score"]
    transcript.step("`docker run -v ... vfi-monitor`, drifted", ended.seconds, _verdict(status))
    ended = engine.run("-v", f"{clean}:/app/incoming_data", *footage[2:], "vfi-monitor", expect=0)
    transcript.step("the same, clean", ended.seconds, _verdict(status))
    checked = json.loads(_python(clone, "-m", "sentinel", "check", str(clone / "data" / "drifted_frames"),
                                 "--baseline", "dock", "--json", expect=1))  # fmt: skip
    _require(checked["drift_score"] == score, f"the image scores {score}, `sentinel check` {checked['drift_score']}")
    transcript.step("`sentinel check` of the same footage", 0.0, f"the same score to the last digit, {score}")
    _owners(engine, transcript, clone)
    read_only = [f"{status}:/app/status_output:ro"]
    ended = engine.run("--read-only", "--network", "none", *footage[:2], "-v", *read_only, "vfi-monitor", expect=3)
    transcript.step("no network, read-only root, unwritable status", ended.seconds,
                    f"exit 3: {json.loads(ended.out)['message'][:70]}...")  # fmt: skip
    ended = engine.run("--read-only", "--network", "none", "--cap-drop", "ALL", "--user", "10001",
                       *footage[:2], "-v", f"{_open(status)}:/app/status_output", "vfi-monitor", expect=1)  # fmt: skip
    transcript.step("no network, read-only root, no rights, user 10001", ended.seconds, _verdict(status))


def _owners(engine: Engine, transcript: Transcript, clone: Path) -> None:
    """Status and footage that belong to a user whom nobody else may read."""
    if os.geteuid() != 0:
        transcript.step("folders of user 1000, closed to others", 0.0, "NOT RUN: only root can make them")
        return
    theirs = clone / "theirs"
    for name in ("in", "out"):
        (theirs / name).mkdir(parents=True)
    for path in (clone / "data" / "drifted_frames").iterdir():
        shutil.copy(path, theirs / "in")
    for path in [theirs, *theirs.rglob("*")]:
        os.chown(path, 1000, 1000)
        path.chmod(0o700 if path.is_dir() else 0o600)
    ended = engine.run("-v", f"{theirs / 'in'}:/app/incoming_data", "-v", f"{theirs / 'out'}:/app/status_output",
                       "vfi-monitor", expect=1)  # fmt: skip
    owner = (theirs / "out" / "status.json").stat().st_uid
    transcript.step("folders of user 1000, closed to others", ended.seconds, f"status.json belongs to user {owner}")
    _require(owner == 1000, f"status.json belongs to user {owner}")


def compose(engine: Engine, transcript: Transcript, clone: Path, *, keep: bool) -> None:
    """The whole stack: clean, noise that is healed, a covered camera; down and up again."""
    settings = {**_PASSWORDS, "SENTINEL_WEIGHTS": _WEIGHTS, "SENTINEL_SAMPLE_FPS": _SAMPLE_FPS,
                "SENTINEL_BASELINE": "dock"}  # fmt: skip
    environment = clone / ".env"
    environment.write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()), encoding="utf-8")
    golden = clone / "golden"
    film(golden / "golden.mp4", seed=1)
    clean, noise, covered, again = (clone / f"{name}.mp4" for name in ("clean", "noise", "covered", "again"))
    film(clean, seed=2, seconds=12.0)
    film(again, seed=3)
    sabotage(again, noise, Fault.NOISE, 4)
    sabotage(clean, covered, Fault.COVERED, 3)
    engine.build(_IMAGES["service"], "service")
    engine.build(_IMAGES["worker-cpu"], "worker-cpu")
    stack = Stack(engine)
    try:
        engine.compose("up", "--detach", "redis")
        ended = engine.compose("run", "--rm", "preflight", expect=3)
        said = next((line for line in (ended.out + ended.err).splitlines() if "baselines/dock" in line), "")
        _require(bool(said), f"preflight does not name the baseline: {ended.err[-500:]}")
        transcript.step("a baseline that is not there", ended.seconds, f"preflight ends with 3: {said[:80]}...")
        ended = engine.compose("--profile", "tools", "run", "--rm", "-v", f"{golden}:/golden:ro",
                               "sentinel", "baseline", "build", "/golden",
                               "--name", "dock")  # fmt: skip
        transcript.step("`docker compose run --rm sentinel baseline build`", ended.seconds, "in volume `baselines`")
        ended = engine.compose("up", "--detach")
        seconds = stack.wait("all healthy", stack.all_healthy)
        transcript.step(
            "`docker compose up`", ended.seconds + seconds, f"{len(stack.containers())} containers, all healthy"
        )
        stack.drop(clean, clone / "incoming" / _STREAM)
        seconds = stack.wait("clean passes", lambda: stack.stream(_STREAM).get("status") == "PASS")
        transcript.step("clean footage dropped", seconds, "PASS")
        stack.drop(covered, clone / "incoming" / _CALLED)
        seconds = stack.wait("covered fails", lambda: stack.incident(_CALLED).get("cause") == "covered")
        transcript.step("a covered camera", seconds, f"incident covered, response {stack.stream(_CALLED)['response']}")
        stack.drop(noise, clone / "incoming" / _HEALED)
        seconds = stack.wait("noise fails", lambda: stack.incident(_HEALED).get("cause") == "noise")
        transcript.step("noise dropped", seconds, "incident noise")
        promoted = stack.wait("a champion is promoted", lambda: stack.champion() >= 2)
        transcript.step("from the drop to the new champion", seconds + promoted, f"version {stack.champion()}")
        stack.wait("nothing under way", stack.idle)
        before = stack.state()
        ended = engine.compose("down")
        transcript.step("`docker compose down`", ended.seconds, "")
        ended = engine.compose("up", "--detach")
        seconds = stack.wait("all healthy", stack.all_healthy)
        after = stack.state()
        _require(before == after, f"before: {before}\nafter: {after}")
        transcript.step("`docker compose up` again", ended.seconds + seconds, "the same state")
        stack.drop(again, clone / "incoming" / _STREAM)
        seconds = stack.wait("it goes on", lambda: stack.stream(_STREAM).get("frames", 0) > before["frames"][_STREAM])
        transcript.step("footage dropped into it", seconds, "judged")
    finally:
        if not keep:
            engine.compose("down", "--volumes", expect=None)


class Stack:
    """The running stack, asked by its own command line."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def containers(self) -> dict[str, str]:
        """Return the containers of Redis and of each process, by service, that are there."""
        wanted = {"redis", *(process.name for process in PROCESSES)}
        label = '{{index .Config.Labels "com.docker.compose.service"}}'
        found = {}
        for one in self._engine.compose("ps", "--quiet").out.split():
            found[self._engine.ask([self._engine.program, "inspect", "--format", label, one]).out.strip()] = one
        return {name: found[name] for name in sorted(wanted & set(found))}

    def all_healthy(self) -> bool:
        """Return whether Redis and each process is there and healthy by its own check."""
        found = self.containers()
        return len(found) == 1 + len(PROCESSES) and all(self._engine.healthy(one) for one in found.values())

    def ask(self, *words: str) -> Any:
        """Return what a command of Sentinel prints as JSON, in the page's container."""
        return json.loads(self._engine.compose("exec", "-T", "page", "sentinel", *words, "--json").out)

    def stream(self, name: str) -> dict:
        """Return what `status` says of a stream; empty: it is not known yet."""
        return next((row for row in self.ask("status")["streams"] if row["stream"] == name), {})

    def incident(self, stream: str) -> dict:
        """Return the first incident of a stream; empty: there is none."""
        found = self.ask("incidents", "list")
        return next((row for row in found if row["stream"] == stream), {})

    def champion(self) -> int:
        """Return the version of the champion; 0: none yet."""
        return max((row.get("version") or 0 for row in self.ask("status")["models"]), default=0)

    def idle(self) -> bool:
        """Return whether nothing waits and no retraining runs or is due."""
        status = self.ask("status")
        training = any(row["retraining"] or row["waiting_streams"] for row in status["models"])
        return not training and not any(row["pending_chunks"] for row in status["streams"])

    def state(self) -> dict:
        """Return what has to be the same after a stop and a start."""
        status = self.ask("status")
        return {
            "frames": {row["stream"]: row["frames"] for row in status["streams"]},
            "status": {row["stream"]: row["status"] for row in status["streams"]},
            "incidents": sorted((row["id"], row["state"]) for row in self.ask("incidents", "list")),
            "models": [(row["model"], row["version"], row["unreadable"]) for row in status["models"]],
            "dead_letters": status["dead_letters"],
        }

    def drop(self, clip: Path, folder: Path) -> None:
        """Put a clip into a stream's folder as an upload does."""
        folder.mkdir(parents=True, exist_ok=True)
        staging = folder / f".{clip.name}.part"
        shutil.copyfile(clip, staging)
        staging.rename(folder / clip.name)

    def wait(self, what: str, seen: Callable[[], bool]) -> float:
        """Wait until `seen` and return the seconds."""
        began = time.monotonic()
        while not seen():
            if time.monotonic() - began > _PATIENCE_SECONDS:
                raise StepFailed(f"waited {_PATIENCE_SECONDS:.0f} s in vain: {what}")
            time.sleep(2.0)
        return time.monotonic() - began


def _python(clone: Path, *words: str, expect: int = 0) -> str:
    """Run this environment's Python on the clone."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")}
    done = subprocess.run([sys.executable, *words], cwd=clone, env={**own, "PYTHONPATH": str(clone)},
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode != expect:
        raise StepFailed(f"python {' '.join(words)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def _open(folder: Path) -> Path:
    folder.chmod(0o777)
    return folder


def _status(folder: Path) -> dict:
    return json.loads((folder / "status.json").read_text(encoding="utf-8"))


def _verdict(folder: Path) -> str:
    said = _status(folder)
    return f"{said['status']}, score {said['drift_score']:.3f}, p {said['p_value']:.2g}, {said['cause'] or 'no cause'}"


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise StepFailed(otherwise)


if __name__ == "__main__":
    main()
