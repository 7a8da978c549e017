"""All settings, in one typed class, read from `SENTINEL_*` variables or a `.env` file.

The table in README.md is made from this class (`make settings-table`), so the
descriptions below are what users read.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, NoDecode, SettingsConfigDict

from common.contracts.ids import describe
from common.errors import SettingsError
from common.redis_url import with_password

Unit = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]


def check_cron_line(line: str) -> str:
    """Return `line`; raise `ValueError` if it is no cron line, or names a day that never comes."""
    from celery.schedules import crontab

    try:
        crontab.from_string(line)
    except ValueError as error:
        raise ValueError(f"{line!r} is no cron line: give five fields, like '0 6 * * *' ({error})") from error
    return line


class Settings(BaseSettings):
    """Every knob of Sentinel. Field `x_y` is the environment variable `SENTINEL_X_Y`."""

    model_config = SettingsConfigDict(
        env_prefix="SENTINEL_",
        env_file=".env",
        env_ignore_empty=True,  # a variable that compose passes on although nobody set it is empty
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # a traceback in a log must not show a password
    )

    # Where things are
    redis_url: str | None = Field(None, description="Redis to use; unset: `sentinel up` starts a private one")
    redis_password: str | None = Field(
        None,
        description="password for SENTINEL_REDIS_URL if the URL names none; any characters, nothing is percent-encoded",
    )
    state_dir: Path = Field(Path(".sentinel"), description="embedded Redis, model caches, champions, spool")
    watch_dir: Path = Field(Path("incoming"), description="the watched folder: `<watch_dir>/<stream>/<file>`")
    baselines_dir: Path = Field(Path("baselines"), description="where baselines are kept by name")
    allowed_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        (),
        description="folders (separated like PATH) that sources may lie in, beside the watched one",
    )
    config: Path | None = Field(
        None,
        description="file with what is set for single streams; unset: `sentinel.toml` in the working directory, if "
        "there is one",
    )

    # What is judged
    baseline: str | None = Field(None, description="name or folder of the golden baseline that streams are judged by")
    drift_threshold: Unit = Field(0.30, description="FAIL needs a drift score above this")
    p_value: Unit = Field(0.05, description="FAIL needs a p-value below this")
    false_alarms_per_day: float = Field(
        1.0,
        gt=0,
        description="false alarms that a camera may give a day; FAILs wake the retraining once they are surer",
    )
    window_frames: int = Field(48, ge=8, description="sampled frames a window; part of a baseline")
    window_stride: int | None = Field(
        None, ge=1, description="sampled frames between two verdicts; unset: a quarter of the window"
    )
    sample_fps: float | None = Field(
        None,
        gt=0,
        description="frames sampled a second; unset: `baseline build` chooses, everything else follows the baseline",
    )

    # Model and device
    backbone: str = Field(
        "mobilenet_v2",
        description="embedding model of `baseline build`: a keras.applications name, .keras or .onnx file, SavedModel, "
        "hf:owner/name; elsewhere unset: the baseline's",
    )
    weights: str = Field(
        "imagenet",
        description="weights of `baseline build`: `imagenet` (Keras downloads), a file, or `random:SEED`; elsewhere "
        "unset: the baseline's, by their digest from the cache",
    )
    pixels: Literal["0..255", "0..1", "-1..1", "imagenet"] | None = Field(
        None, description="how a model file wants its pixels; unset: ONNX imagenet, Keras 0..255, a hub model says it"
    )
    precision: Literal["f32", "bf16", "int8"] = Field(
        "f32", description="what `baseline build` computes embeddings in; everything else follows the baseline"
    )
    device: Literal["auto", "cpu", "gpu"] = Field("auto", description="where the backbone runs")
    threads: int = Field(1, ge=1, description="threads of one embedding process")

    # Taking frames in
    settle_seconds: Seconds = Field(2.0, description="a file is taken once it has been unchanged for this long")
    poll_seconds: Seconds = Field(
        1.0, description="how often a folder is looked at where the file system has no events"
    )
    watch: Literal["auto", "events", "polling"] = Field("auto", description="how the folder is watched")
    chunk_frames: int | None = Field(
        None,
        ge=1,
        description="sampled frames a chunk, the unit of work; unset: as SENTINEL_CHUNK_SECONDS allow",
    )
    chunk_seconds: Seconds = Field(0.5, description="work that a chunk should be, going by what its stream cost lately")
    stream_chunks: int = Field(
        8,
        ge=1,
        description="chunks of one stream under way at a time; twice the embedding processes or more",
    )
    backlog_mb: int | None = Field(
        None,
        ge=1,
        description="producers wait while Redis holds more, MB; unset: three quarters of its bound",
    )
    max_pixels: int = Field(50_000_000, ge=1, description="largest frame, in pixels")
    min_side: int = Field(32, ge=1, description="smallest frame side, in pixels")
    max_file_bytes: int = Field(20_000_000_000, ge=1, description="largest source file")
    max_folder_files: int = Field(100_000, ge=1, description="most images in one folder batch")
    max_frames: int = Field(5_000_000, ge=1, description="most frames of one source")
    max_seconds: float = Field(200_000.0, gt=0, description="longest source, in seconds")
    max_memory_mb: int = Field(
        4_000, ge=500, description="memory that a process which opens foreign files may take, MB (Linux)"
    )
    max_data_bytes: int = Field(16_000_000, ge=1, description="largest image inside a camera event")

    # Tasks
    embed_processes: int = Field(2, ge=1, description="embedding processes that `sentinel up` starts")
    restart_seconds: float = Field(
        30.0, ge=1, description="longest pause before `sentinel up` starts a process again that keeps dying"
    )
    max_deliveries: int = Field(3, ge=1, description="times a task may be tried before it is a dead letter")
    visibility_seconds: int = Field(
        45, ge=10, description="after this an unacknowledged task is delivered again; every task is bounded below it"
    )
    sweep_seconds: Seconds = Field(10.0, description="how often beat looks for chunks whose task was lost")
    stuck_seconds: Seconds = Field(40.0, description="a chunk not done after this is sent again")
    daily_check: str = Field(
        "0 6 * * *", description="when beat checks that every stream is alive, as a cron line in UTC"
    )
    silent_hours: float = Field(
        24.0, gt=0, description="the daily check reports a stream that gave no frame for this long"
    )
    retention_days: float = Field(
        7.0, gt=0, description="how long verdicts (by capture time), other events and batch records are kept"
    )
    remember_days: float = Field(
        90.0, gt=0, description="how long a file that was counted is known, should it still lie in its folder"
    )
    data_retention_seconds: Seconds = Field(
        900.0, description="how long an image from inside a camera event is kept once it is judged, for a retraining"
    )
    max_events: int = Field(100_000, ge=100, description="most entries kept in a Stream")
    redis_max_mb: int = Field(512, ge=16, description="memory bound of the embedded Redis, MB")

    # Healing
    cooldown_seconds: Seconds = Field(60.0, description="FAILs of one model within this time lead to one retraining")
    retrain_seconds: Seconds = Field(10.0, description="how long one fine-tuning takes steps")
    retrain_max_triplets: int = Field(240, ge=12, description="most drifted triplets that one fine-tuning uses")
    promote_min_gain_db: float = Field(
        0.05, ge=0, description="gain on the drifted footage that a promotion needs, dB PSNR"
    )
    promote_max_loss_db: float = Field(
        0.5, ge=0, description="loss on the golden footage that a promotion may cost, dB PSNR"
    )
    retrain_seed: int = Field(0, description="seed of the fine-tuning")

    # Monitoring
    flower_host: str = Field("127.0.0.1", description="where Flower listens")
    flower_port: int = Field(5555, ge=0, le=65535, description="0: any free port")
    flower_user: str = Field("sentinel", description="user of Flower's basic auth")
    flower_password: str | None = Field(None, description="set: Flower asks for it")
    flower_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="further names, separated by commas, by which browsers reach Flower; it refuses all others "
        "but loopback and SENTINEL_FLOWER_HOST",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="how much processes say")

    @model_validator(mode="before")
    @classmethod
    def _split_roots(cls, values: dict[str, object]) -> dict[str, object]:
        roots = values.get("allowed_roots")
        if isinstance(roots, str):
            values = {**values, "allowed_roots": tuple(r for r in roots.split(os.pathsep) if r)}
        return values

    @field_validator("flower_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, names: object) -> object:
        return tuple(name.strip() for name in names.split(",") if name.strip()) if isinstance(names, str) else names

    @model_validator(mode="before")
    @classmethod
    def _add_redis_password(cls, values: dict[str, object]) -> dict[str, object]:
        url, password = values.get("redis_url"), values.get("redis_password")
        if not isinstance(url, str) or not url:
            return values
        return {**values, "redis_url": with_password(url, password if isinstance(password, str) else None)}

    @model_validator(mode="after")
    def _stride_fits_window(self) -> Settings:
        if self.window_stride is not None and self.window_stride > self.window_frames:
            raise ValueError(
                "SENTINEL_WINDOW_STRIDE must not exceed SENTINEL_WINDOW_FRAMES, or frames would go unjudged"
            )
        return self

    @field_validator("daily_check")
    @classmethod
    def _is_a_cron_line(cls, line: str) -> str:
        return check_cron_line(line)

    @property
    def roots(self) -> tuple[Path, ...]:
        """All folders that a source may lie in, resolved."""
        return tuple(p.expanduser().resolve() for p in (self.watch_dir, *self.allowed_roots))


_GONE = {
    "SENTINEL_STREAM_BASELINES": "SENTINEL_STREAM_BASELINES is no longer read: write "
    '`baseline = "NAME"` below [streams.STREAM] in sentinel.toml, and unset it',
}


def unknown_settings(environment: Mapping[str, str]) -> list[str]:
    """Name the variables that look like settings of ours and are none, each with what may be meant."""
    known = {f"SENTINEL_{name.upper()}" for name in Settings.model_fields}
    found = []
    for name in sorted(set(environment) - known):
        if name in _GONE:
            found.append(_GONE[name])
        elif name.startswith("SENTINEL_"):
            close = difflib.get_close_matches(name, known, n=1)
            found.append(f"there is no setting {name}" + (f": is {close[0]} meant?" if close else ""))
    return found


def given_variables() -> dict[str, str]:
    """Return the variables that settings are read from: those in `.env`, and those of the environment before them."""
    from_file = DotEnvSettingsSource(Settings).env_vars  # in lower case, as settings are matched
    return {**{name.upper(): value or "" for name, value in from_file.items()}, **os.environ}


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return this process's settings, read once; raise `SettingsError` naming each wrong variable."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = describe(error)
        for row in error.errors():
            for step in row["loc"]:
                wrong = wrong.replace(f"{step}:", f"SENTINEL_{str(step).upper()}:")
        raise SettingsError(wrong) from error
