"""All settings, in one typed class, read from `SENTINEL_*` variables or a `.env` file.

The table in docs/settings.md is generated from this class (`make generated`), so
users read the descriptions below.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from common.contracts.ids import describe
from common.contracts.policy import Policy
from common.contracts.zones import Zone, as_zones, parse_zones
from common.cron import check_cron_line
from common.errors import SettingsError
from common.http_url import check_base_url
from common.object_root import ObjectRoot, ObjectStorage, Root, check_object_uri, check_prefixes_apart
from common.redis_url import with_password, with_tls
from common.topic_patterns import check_topic_patterns

Unit = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]
_BYTES_PER_MB = 1_000_000
_WINDOWS_OF_REFERENCE = 4
DEFAULT_CONFIG = Path("sentinel.toml")


class Settings(BaseSettings):
    """All settings of Sentinel. Field `x_y` is the environment variable `SENTINEL_X_Y`."""

    model_config = SettingsConfigDict(
        env_prefix="SENTINEL_",
        env_file=".env",
        env_ignore_empty=True,  # compose passes unset variables on as empty ones
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # a traceback in a log must not show a password
    )

    # Where things are
    redis_url: str | None = Field(
        None,
        description="URL of the Redis to use, redis:// or, with TLS, rediss:// (docs/several-hosts.md); unset: "
        "`sentinel up` starts a private one",
    )
    redis_password: str | None = Field(
        None,
        description="password for SENTINEL_REDIS_URL if the URL has none; any characters, without percent-encoding",
    )
    redis_ca_file: Path | None = Field(
        None,
        description="certificates, as PEM, that vouch for a Redis at rediss://, besides those of the system",
    )
    redis_cert_file: Path | None = Field(
        None, description="certificate, as PEM, for a Redis that asks for one; with SENTINEL_REDIS_KEY_FILE"
    )
    redis_key_file: Path | None = Field(None, description="key of that certificate, as PEM, without a passphrase")
    state_dir: Path = Field(
        Path(".sentinel"), description="folder of the embedded Redis, converted backbones, champions and logs"
    )
    watch_dir: Path = Field(Path("incoming"), description="the watched folder: `<watch_dir>/<stream>/<file>`")
    baselines_dir: Path = Field(Path("baselines"), description="folder in which baselines are stored by name")
    interpolated_dir: Path | None = Field(
        None, description="folder below which `sentinel.interpolate` writes; unset: `interpolated` in the state folder"
    )
    allowed_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        (),
        description="further folders that sources may be in, besides the watched one; separated like PATH",
    )
    object_roots: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="prefixes of object storage that sources may be below, such as s3://bucket/cameras, separated by "
        "blanks, besides the watched ones; docs/objects.md. Unset: none",
    )
    config: Path | None = Field(
        None,
        description="file with settings of single streams; unset: `sentinel.toml` in the working "
        "directory, if there is one",
    )

    # What is judged
    baseline: str | None = Field(
        None, description="name or folder of the golden baseline that streams are judged by; unset: each learns its own"
    )
    learn: Literal["auto", "off"] = Field(
        "auto", description="`auto`: a stream without a baseline learns from its footage; `off`: it waits for one"
    )
    learn_minutes: float = Field(
        30.0, ge=1, le=720, description="minutes of capture time from one burst of frames that is learned to the next"
    )
    learn_days: int = Field(
        7, ge=1, le=31, description="days of which all bursts are learned; of later ones, only what was not seen before"
    )
    keep_pictures: Literal["on", "off"] = Field(
        "on",
        description="`on`: learning keeps 200 frame triplets of each stream, without which nothing can be healed, and "
        "workers keep small pictures for people to look at; `off`: no picture is kept",
    )
    picture_kb: int = Field(
        500,
        ge=0,
        description="most kB in Redis of small pictures of one stream, for people to look at; 0: none is kept",
    )
    drift_threshold: Unit = Field(0.30, description="FAIL needs a drift score above this")
    p_value: Unit = Field(
        0.05, description="FAIL needs a p-value below this; below 0.006 nothing of video fails: no p-value is smaller"
    )
    false_alarms_per_day: float = Field(
        1.0,
        gt=0,
        description="confirmed false alarms allowed per camera and day; only confirmed FAILs lead to a retraining",
    )
    window_frames: int = Field(
        48, ge=8, description="sampled frames per window; `baseline build` stores it in the baseline"
    )
    window_stride: int | None = Field(
        None, ge=1, description="sampled frames between two verdicts, stored likewise; unset: a quarter of the window"
    )
    sample_fps: float | None = Field(
        None,
        gt=0,
        description="frames sampled per second; unset: `baseline build` chooses, everything else follows the baseline",
    )

    ignore: Annotated[tuple[Zone, ...] | None, NoDecode] = Field(
        None,
        description="zones of the picture that `baseline build` leaves out, such as a clock: `x,y,width,height` each, "
        "in shares of the picture, separated by spaces; unset: none, everything else follows the baseline",
    )

    # Model and device
    backbone: str = Field(
        "mobilenet_v2",
        description="embedding model of `baseline build`: a keras.applications name, .keras or .onnx file, SavedModel, "
        "hf:owner/name, kaggle:owner/model/framework/variation/version; elsewhere, if unset: that of the baseline",
    )
    weights: str = Field(
        "imagenet",
        description="weights of `baseline build`: `imagenet` (Keras downloads), a file, or `random:SEED`; elsewhere, "
        "if unset: those of the baseline, found in the cache by their digest",
    )
    pixels: Literal["0..255", "0..1", "-1..1", "imagenet"] | None = Field(
        None,
        description="pixel scaling that a model file expects; unset: ONNX imagenet, Keras 0..255, Hugging Face its own",
    )
    precision: Literal["f32", "bf16", "int8"] = Field(
        "f32",
        description="precision in which `baseline build` computes embeddings; everything else follows the baseline",
    )
    embed_every: int = Field(
        4,
        ge=1,
        le=64,
        description="sampled frames of which the backbone of `baseline build` sees one, to find new content; the "
        "sensors, which find faults, read every frame. 1: it sees every frame; everything else follows the baseline",
    )
    device: Literal["auto", "cpu", "gpu"] = Field("auto", description="device that the backbone runs on")
    threads: int = Field(1, ge=1, description="threads per embedding process")

    # Ingest
    settle_seconds: Seconds = Field(
        2.0, description="a file is accepted once it has been unchanged for this many seconds"
    )
    poll_seconds: Seconds = Field(
        1.0, description="seconds between two scans of a folder whose file system has no events"
    )
    watch: Literal["auto", "events", "polling"] = Field(
        "auto", description="how the folder is watched: by file system events, or by polling"
    )
    watch_objects: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="watched prefixes of object storage, `<prefix>/<stream>/<key>`, separated by blanks; unset: none",
    )
    objects_seconds: float = Field(
        30.0, ge=1, le=86_400, description="seconds between two listings of the watched prefixes of object storage"
    )
    object_events_queue: str | None = Field(
        None,
        description="URL of a queue of Amazon's SQS, or of what speaks its protocol, to which the storage notifies of "
        "objects: what is named there is looked at without waiting for the next listing. Unset: none",
    )
    object_endpoint: str | None = Field(
        None,
        description="URL of an object storage that speaks S3, such as http://minio:9000; unset: that of the scheme, or "
        "what the provider's own configuration says. It holds no credentials",
    )
    object_region: str | None = Field(
        None, description="region of the object storage; unset: as the provider's own configuration says"
    )
    object_cache_mb: int = Field(
        2_000,
        ge=10,
        description="MB of disk for what was read of object storage, in `objects` in the state folder, shared by the "
        "processes of a host; what was not used for longest goes first",
    )
    segment_seconds: float = Field(
        10.0,
        ge=1,
        le=300,
        description="seconds of a live camera (`url` in sentinel.toml) that are handed in at a time, up to a key frame",
    )
    closer_score: Unit = Field(
        0.0,
        description="above 0, 0.05 say: live cameras are judged by their key frames alone, if these come at least "
        "every 4 s, until a drift score is above this, or there is a FAIL; then by as many frames as the baseline asks "
        "for, until a window is below it or the FAILs are confirmed; 0: always by as many as the baseline asks for, "
        "which finds flicker and pictures that freeze for a moment sooner, or at all",
    )
    spool_mb: int = Field(
        4_000,
        ge=10,
        description="MB of disk for what came from live cameras, in `spool/live` in the state folder; the oldest goes "
        "first, what was judged before what was not; half of it is for footage of open incidents",
    )
    camera_seconds: float = Field(
        10.0,
        ge=1,
        le=120,
        description="seconds after which a live camera that sends nothing is given up, and asked again with back-off",
    )
    chunk_frames: int | None = Field(
        None, ge=1, description="sampled frames per chunk, the unit of work; unset: by SENTINEL_CHUNK_SECONDS"
    )
    chunk_seconds: Seconds = Field(
        0.5, description="seconds of work per chunk, estimated from the recent cost of its stream"
    )
    stream_chunks: int = Field(
        8, ge=1, description="most chunks of one stream in flight; at least twice the embedding processes"
    )
    backlog_mb: int | None = Field(
        None, ge=1, description="producers wait while Redis uses more memory, MB; unset: three quarters of its bound"
    )
    max_pixels: int = Field(50_000_000, ge=1, description="largest frame, in pixels")
    min_side: int = Field(32, ge=1, description="smallest frame side, in pixels")
    max_file_bytes: int = Field(20_000_000_000, ge=1, description="largest source file, in bytes")
    max_folder_files: int = Field(100_000, ge=1, description="most images in one folder batch")
    max_frames: int = Field(5_000_000, ge=1, description="most frames of one source")
    max_seconds: float = Field(200_000.0, gt=0, description="longest source, in seconds")
    max_memory_mb: int = Field(
        4_000, ge=500, description="memory bound of a process that opens untrusted files, MB (Linux)"
    )
    max_data_bytes: int = Field(16_000_000, ge=1, description="largest image inside a camera event, in bytes")
    http_tokens: Path | None = Field(
        None,
        description="file of the cameras that may post frames over HTTP, a line each: digest of a token, and stream; "
        "`sentinel streams token` writes it. Unset: nobody may",
    )
    http_host: str = Field("127.0.0.1", description="address that frames are posted to")
    http_port: int = Field(8300, ge=0, le=65535, description="port that frames are posted to; 0: any free port")
    http_max_bytes: int = Field(64_000_000, ge=1, description="largest image or clip that may be posted, in bytes")
    http_spool_mb: int = Field(
        5_000,
        ge=1,
        description="most MB in the state folder of what was posted or came over MQTT; it stays as long as images of "
        "camera events do (SENTINEL_DATA_RETENTION_SECONDS), or shorter if there is no room",
    )
    mqtt_in_topics: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="topics on which frames come over MQTT, separated by blanks, each with `{stream}` for the level "
        "that names the stream, such as `cameras/{stream}/frame`; `+` is any level. Unset: none",
    )
    mqtt_in_url: str | None = Field(
        None, description="broker of those topics and of Frigate's, written as SENTINEL_MQTT_URL; unset: that one"
    )
    mqtt_in_client: str = Field(
        "sentinel",
        pattern=r"^[A-Za-z0-9_.-]{1,40}$",
        description="name under which the broker keeps what came while nobody was there; one for each Sentinel",
    )
    mqtt_in_max_bytes: int = Field(
        16_000_000, ge=1, le=100_000_000, description="largest image or clip in a message over MQTT, in bytes"
    )
    frigate_url: str | None = Field(
        None,
        description="where Frigate's HTTP API is, such as http://frigate:5000: the snapshot, or clip, of each of its "
        "events is fetched there. Unset: none",
    )
    frigate_topic: str = Field(
        "frigate",
        pattern="^[^+#\x00]+$",
        description="topic below which Frigate publishes, its `topic_prefix`",
    )
    frigate_fetch: Literal["snapshot", "clip"] = Field(
        "snapshot", description="what of each of Frigate's events is fetched, once the event has ended"
    )
    frigate_max_bytes: int = Field(
        200_000_000, ge=1, description="largest snapshot or clip that is fetched from Frigate, in bytes"
    )

    # Tasks
    embed_processes: int = Field(2, ge=1, description="embedding processes that `sentinel up` starts")
    restart_seconds: float = Field(
        30.0, ge=1, description="longest pause before `sentinel up` restarts a process that keeps dying, in seconds"
    )
    max_deliveries: int = Field(
        3, ge=1, description="deliveries of a chunk, or starts of a retraining, before it is given up"
    )
    heartbeat_file: Path | None = Field(
        None,
        description="file that a process touches with each heartbeat that Redis took, for health checks of containers, "
        "each of which runs one process; unset: none",
    )
    visibility_seconds: int = Field(
        45,
        ge=10,
        description="an unacknowledged task is delivered again after this many seconds; the time "
        "limit of all tasks but "
        "retrainings is 85% of it",
    )
    sweep_seconds: Seconds = Field(10.0, description="seconds between two sweeps for chunks whose task was lost")
    stuck_seconds: Seconds = Field(40.0, description="an unfinished chunk is sent again after this many seconds")
    daily_check: str = Field(
        "0 6 * * *", description="when beat checks that every stream is alive, as a cron line in UTC"
    )
    silent_hours: float = Field(
        24.0, gt=0, description="the daily check reports a stream without frames for this many hours as SILENT"
    )
    offline_seconds: float = Field(
        120.0,
        ge=0,
        description="a stream from which nothing comes for longer than this, and for longer than is usual for it, is "
        "offline, which is an incident; 0: nobody asks",
    )
    retention_days: float = Field(
        7.0, gt=0, description="days for which verdicts (by capture time), other events and batch records are kept"
    )
    remember_days: float = Field(
        90.0, gt=0, description="days for which an accepted file is remembered, in case it stays in its folder"
    )
    data_retention_seconds: Seconds = Field(
        900.0,
        description="seconds for which an image from inside a camera event is kept for a retraining "
        "after it was judged",
    )
    max_events: int = Field(
        100_000, ge=100, description="most entries kept in the Stream of events, and in that of dead letters"
    )
    redis_max_mb: int = Field(512, ge=16, description="memory bound of the embedded Redis, MB")

    # Healing
    policy: str = Field(
        "",
        description="changes to what each cause calls for, as CAUSE=RESPONSE separated by commas; the responses are "
        "train, call (a person) and both; docs/judging.md has the table",
    )
    decay_triplets: int = Field(
        3,
        ge=0,
        le=64,
        description="frame triplets of a window's length of footage on which the champion is scored, to notice that a "
        "model decays; with 1 nothing shows; 0: nobody asks",
    )
    canary_triplets: int = Field(
        300,
        ge=0,
        description="live frame triplets of each stream on which a promoted champion is compared with the version "
        "before it, and rolled back if it is surely worse; they are those of SENTINEL_DECAY_TRIPLETS; 0: never",
    )
    cooldown_seconds: Seconds = Field(
        60.0, description="confirmed FAILs of one model within this many seconds lead to one retraining"
    )
    retrain_steps: int = Field(
        250, ge=1, description="steps of one fine-tuning: with them, equal footage gives equal models on every machine"
    )
    first_steps: int = Field(
        300, ge=1, description="most steps in which a model's first champion is fitted to golden footage"
    )
    retrain_seconds: Seconds = Field(
        120.0, description="longest duration of the steps of one fine-tuning, in seconds; a slow machine takes fewer"
    )
    retrain_max_triplets: int = Field(
        500,
        ge=160,  # with fewer, too few are left to train on beside those that are held out
        description="most triplets of a stretch of drifted footage, to train on and to prove on together, when a model "
        "is first decided on; the more was decided about it the more are needed, up to twice as many",
    )
    retrain_idle_seconds: float = Field(
        0.0,
        ge=0,
        description="seconds without work after which process `retrain` ends by itself, for where something else "
        "starts it when there is work (docs/kubernetes.md); 0: it stays",
    )
    retrain_memory_mb: int = Field(
        4_000,
        ge=500,
        description="most memory of the examples of one retraining and of what training makes of them, MB; of more "
        "footage fewer examples are read. The worker itself takes about 1000 MB beside it",
    )
    promote_min_gain_db: float = Field(
        0.05,
        ge=0,
        description="least mean gain on each stretch of drifted footage for a promotion, dB of the model's "
        "score: PSNR for vfi",
    )
    promote_error: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="probability that any of all retrainings of a model promotes what gains less than that",
    )
    promote_max_loss_db: float = Field(
        0.2,
        gt=0,
        description="largest mean loss on the golden footage, and on each live condition, of all promotions of a model "
        "together, dB",
    )
    promote_max_worst_loss_db: float = Field(
        2.0,
        ge=0,
        description="largest mean loss on the worst 5% of the examples of any footage for a promotion, dB",
    )
    promote_max_slowdown: float = Field(
        1.5, ge=1, description="longest time per example of a challenger, in times of the champion's, for a promotion"
    )
    condition_days: float = Field(
        7.0,
        gt=0,
        description="days of capture time after which a condition is proved again on fresh footage, or let go",
    )
    close_windows: int = Field(
        12, ge=1, description="windows in a row that must pass the golden baseline before an incident is closed"
    )
    retrain_seed: int = Field(0, description="seed of the fine-tuning")

    # Truth of models of your own
    truth_window: int = Field(
        100, ge=10, le=1000, description="labelled frames per window of truth, by which a model of your own is judged"
    )
    truth_reference: int = Field(
        400,
        ge=40,
        le=5000,
        description="labelled frames that become the reference of a version of such a model; at least four windows",
    )
    truth_least_loss: float = Field(
        0.05,
        gt=0,
        le=10,
        description="the least loss that counts: a share of the frames for predictions that are right or wrong, a "
        "share of the reference's mean for losses and numbers",
    )

    # Monitoring
    flower_host: str = Field("127.0.0.1", description="address that Flower listens on")
    flower_port: int = Field(5555, ge=0, le=65535, description="port that Flower listens on; 0: any free port")
    flower_user: str = Field("sentinel", description="user name for Flower's basic authentication")
    flower_password: str | None = Field(
        None, description="password for Flower's basic authentication; unset: none, and Flower listens on loopback only"
    )
    flower_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="further host names by which browsers may reach Flower, separated by commas; loopback and "
        "SENTINEL_FLOWER_HOST are always allowed, all others refused",
    )
    alert_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="where people are told of incidents: URLs of Apprise, separated by blanks; unset: nowhere"
    )
    alert_webhooks: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="addresses that are sent each incident's beginning and end as JSON, separated by blanks"
    )
    alert_secret: str | None = Field(None, description="with which webhooks are signed; unset: they are not")
    alert_delay_seconds: float = Field(
        10.0,
        ge=0,
        description="how long an alert waits for others that come with it, or to be acknowledged",
    )
    alert_digest: int = Field(5, ge=2, description="with so many alerts at once people get one message about all")
    mqtt_url: str | None = Field(
        None, description="broker that is told how streams are doing: mqtt://user:password@host:port, or mqtts://"
    )
    mqtt_password_file: Path | None = Field(
        None,
        description="file with the password, on its first line, for a broker's URL that has a user and no password",
    )
    mqtt_ca_file: Path | None = Field(
        None, description="certificates, as PEM, that vouch for a broker at mqtts://; unset: those of the system"
    )
    mqtt_topic: str = Field(
        "sentinel", pattern="^[^+#\x00]+$", description="topic below which streams are told of over MQTT"
    )
    mqtt_discovery: str = Field(
        "homeassistant",
        pattern="^[^+#\x00]*$",
        description="topic of Home Assistant's discovery; empty: it is not told",
    )
    page_url: str = Field("", description="under which others open the page, for links in alerts; empty: no links")
    github_repository: str = Field(
        "", description="owner/name, whose workflow is started by incidents that the policy trains on; empty: none"
    )
    github_token: str | None = Field(
        None,
        description="that may start it; a fine-grained one needs contents: write. Unset: it is started by `gh`, if "
        "that is installed and logged in",
    )
    github_api: str = Field("https://api.github.com", description="of GitHub, or of your own GitHub Enterprise")
    metrics_host: str = Field(
        "127.0.0.1", description="address that metrics are served on; whoever reaches it reads the names of streams"
    )
    metrics_port: int = Field(9464, ge=0, le=65535, description="port of the metrics; 0: any free port")
    metrics_streams: int = Field(
        1000, ge=1, description="most streams that metrics name, those that want attention first"
    )
    page_host: str = Field("127.0.0.1", description="address that the page and its API listen on")
    page_port: int = Field(
        8200, ge=0, le=65535, description="port that the page and its API listen on; 0: any free port"
    )
    page_token: str | None = Field(
        None,
        description="what a person or a program must know to use the page and its API; unset: nothing, and they listen "
        "on loopback only",
    )
    page_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="further host names by which browsers may reach the page, separated by commas; loopback and "
        "SENTINEL_PAGE_HOST are always allowed, all others refused",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least level of log messages")

    @model_validator(mode="before")
    @classmethod
    def _split_roots(cls, values: dict[str, object]) -> dict[str, object]:
        roots = values.get("allowed_roots")
        if isinstance(roots, str):
            values = {**values, "allowed_roots": tuple(r for r in roots.split(os.pathsep) if r)}
        return values

    @field_validator("ignore", mode="before")
    @classmethod
    def _parse_zones(cls, zones: object) -> object:
        return zones if zones is None else parse_zones(zones) if isinstance(zones, str) else as_zones(zones)

    @field_validator("alert_urls", "alert_webhooks", mode="before")
    @classmethod
    def _split_urls(cls, urls: object) -> object:
        return tuple(urls.split()) if isinstance(urls, str) else urls

    @field_validator("object_roots", "watch_objects", mode="before")
    @classmethod
    def _split_prefixes(cls, uris: object) -> object:
        return tuple(uris.split()) if isinstance(uris, str) else uris

    @field_validator("object_roots", "watch_objects")
    @classmethod
    def _are_prefixes(cls, uris: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_object_uri(uri) for uri in uris)

    @field_validator("watch_objects")
    @classmethod
    def _are_apart(cls, uris: tuple[str, ...]) -> tuple[str, ...]:
        check_prefixes_apart(uris)
        return uris

    @field_validator("mqtt_in_topics", mode="before")
    @classmethod
    def _split_topics(cls, topics: object) -> object:
        return tuple(topics.split()) if isinstance(topics, str) else topics

    @field_validator("mqtt_in_topics")
    @classmethod
    def _are_patterns(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
        check_topic_patterns(topics)
        return topics

    @field_validator("object_endpoint", "object_events_queue", "frigate_url")
    @classmethod
    def _is_an_http_url(cls, url: str | None) -> str | None:
        return url if url is None else check_base_url(url)

    @field_validator("flower_hosts", "page_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, names: object) -> object:
        return tuple(name.strip() for name in names.split(",") if name.strip()) if isinstance(names, str) else names

    @model_validator(mode="before")
    @classmethod
    def _complete_redis_url(cls, values: dict[str, object]) -> dict[str, object]:
        url, password = values.get("redis_url"), values.get("redis_password")
        if not isinstance(url, str) or not url:
            return values
        url = with_password(url, password if isinstance(password, str) else None)
        ca, cert, key = (
            Path(given) if isinstance(given := values.get(f"redis_{name}_file"), str | Path) and str(given) else None
            for name in ("ca", "cert", "key")
        )
        return {**values, "redis_url": with_tls(url, ca_file=ca, cert_file=cert, key_file=key)}

    @model_validator(mode="after")
    def _stride_fits_window(self) -> Settings:
        if self.window_stride is not None and self.window_stride > self.window_frames:
            raise ValueError(
                "SENTINEL_WINDOW_STRIDE must not exceed SENTINEL_WINDOW_FRAMES, or frames would go unjudged"
            )
        return self

    @model_validator(mode="after")
    def _reference_holds_windows(self) -> Settings:
        if self.truth_reference < _WINDOWS_OF_REFERENCE * self.truth_window:
            raise ValueError(
                f"SENTINEL_TRUTH_REFERENCE must be at least {_WINDOWS_OF_REFERENCE} times SENTINEL_TRUTH_WINDOW, or "
                "nobody knows by how much windows vary by themselves"
            )
        return self

    @model_validator(mode="after")
    def _spool_holds_the_largest(self) -> Settings:
        """What the spool can never hold would wait for room for ever, and all that comes behind it too."""
        largest = {
            "SENTINEL_MQTT_IN_MAX_BYTES": self.mqtt_in_max_bytes if self.mqtt_in_topics else 0,
            "SENTINEL_MAX_DATA_BYTES": self.max_data_bytes if self.mqtt_in_topics else 0,
            "SENTINEL_FRIGATE_MAX_BYTES": self.frigate_max_bytes if self.frigate_url else 0,
        }
        for name, size in largest.items():
            if size > self.http_spool_mb * _BYTES_PER_MB:
                raise ValueError(
                    f"SENTINEL_HTTP_SPOOL_MB must hold what {name} ({size}) allows: lower that, or raise it"
                )
        return self

    @model_validator(mode="after")
    def _watches_what_it_is_told_of(self) -> Settings:
        if self.object_events_queue and not self.watch_objects:
            raise ValueError("SENTINEL_OBJECT_EVENTS_QUEUE is of use below SENTINEL_WATCH_OBJECTS alone: set that too")
        return self

    @model_validator(mode="after")
    def _has_a_broker(self) -> Settings:
        if (self.mqtt_in_topics or self.frigate_url) and not (self.mqtt_in_url or self.mqtt_url):
            raise ValueError(
                "SENTINEL_MQTT_IN_TOPICS and SENTINEL_FRIGATE_URL need a broker: set SENTINEL_MQTT_URL, or "
                "SENTINEL_MQTT_IN_URL where nothing is to be published"
            )
        return self

    @field_validator("policy")
    @classmethod
    def _is_a_policy(cls, text: str) -> str:
        Policy.parse(text)
        return text

    @field_validator("daily_check")
    @classmethod
    def _is_a_cron_line(cls, line: str) -> str:
        return check_cron_line(line)

    @property
    def config_file(self) -> Path:
        """Absolute path of the configuration file of streams, whether or not it exists."""
        return (self.config or DEFAULT_CONFIG).expanduser().absolute()

    @property
    def interpolated_root(self) -> Path:
        """Folder below which the task `sentinel.interpolate` writes, resolved."""
        return (self.interpolated_dir or self.state_dir / "interpolated").expanduser().resolve()

    @property
    def live_dir(self) -> Path:
        """Folder of what came from live cameras, resolved; nobody else writes there."""
        return (self.state_dir / "spool" / "live").expanduser().resolve()

    @property
    def posted_dir(self) -> Path:
        """Folder of the files that came over HTTP and MQTT, resolved; nobody else writes there."""
        return (self.state_dir / "spool" / "posted").expanduser().resolve()

    @property
    def object_storage(self) -> ObjectStorage:
        """How object storage is reached and cached."""
        return ObjectStorage(
            cache_dir=(self.state_dir / "objects").expanduser().resolve(),
            cache_bytes=self.object_cache_mb * _BYTES_PER_MB,
            endpoint=self.object_endpoint,
            region=self.object_region,
        )

    @property
    def roots(self) -> tuple[Root, ...]:
        """All folders, resolved, and prefixes of object storage that a source may be in."""
        named = (p.expanduser().resolve() for p in (self.watch_dir, *self.allowed_roots))
        storage = self.object_storage
        prefixes = (ObjectRoot(uri, storage) for uri in dict.fromkeys((*self.watch_objects, *self.object_roots)))
        return (*named, self.posted_dir, self.live_dir, *prefixes)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return this process's settings, read once; raise `SettingsError`, which names each invalid variable."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = describe(error)
        for row in error.errors():
            for step in row["loc"]:
                wrong = wrong.replace(f"{step}:", f"SENTINEL_{str(step).upper()}:")
        raise SettingsError(wrong) from error
