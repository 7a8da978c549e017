from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.errors import SettingsError
from common.object_root import ObjectRoot
from common.setting_names import given_variables, unknown_settings
from common.settings import get_settings


def test_a_setting_is_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_WINDOW_FRAMES", "32")
    monkeypatch.setenv("SENTINEL_ALLOWED_ROOTS", f"/a{os.pathsep}/b c")
    settings = get_settings()
    assert settings.window_frames == 32
    assert settings.allowed_roots == (Path("/a"), Path("/b c"))


def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_P_VALUE", "2")
    monkeypatch.setenv("SENTINEL_DEVICE", "tpu")
    with pytest.raises(SettingsError, match=r"(?s)SENTINEL_P_VALUE.*SENTINEL_DEVICE|SENTINEL_DEVICE.*SENTINEL_P_VALUE"):
        get_settings()


@pytest.mark.parametrize(
    ("queue", "watched", "said"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/1/q", "", "SENTINEL_WATCH_OBJECTS"),
        ("https://key:secret@sqs.eu-west-1.amazonaws.com/1/q", "s3://site/cameras", "SENTINEL_OBJECT_EVENTS_QUEUE"),
        ("arn:aws:sqs:eu-west-1:1:q", "s3://site/cameras", "SENTINEL_OBJECT_EVENTS_QUEUE"),
    ],
)
def test_a_queue_of_notifications_has_an_address_without_secrets_and_something_to_be_told_of(
    queue: str, watched: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTINEL_OBJECT_EVENTS_QUEUE", queue)
    monkeypatch.setenv("SENTINEL_WATCH_OBJECTS", watched)
    with pytest.raises(SettingsError, match=said) as refused:
        get_settings()
    assert "secret" not in str(refused.value)


def test_a_stride_beyond_the_window_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_WINDOW_FRAMES", "10")
    assert get_settings().window_stride is None, "it follows the window"
    get_settings.cache_clear()
    monkeypatch.setenv("SENTINEL_WINDOW_STRIDE", "12")
    with pytest.raises(SettingsError, match="SENTINEL_WINDOW_STRIDE"):
        get_settings()


def test_prefixes_of_object_storage_are_roots_beside_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_OBJECT_ROOTS", "s3://archive/2026/  gs://lab")
    monkeypatch.setenv("SENTINEL_WATCH_OBJECTS", "s3://site/cameras")
    roots = get_settings().roots
    assert [root.uri for root in roots if isinstance(root, ObjectRoot)] == [
        "s3://site/cameras",
        "s3://archive/2026",
        "gs://lab",
    ]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SENTINEL_MQTT_IN_TOPICS", "cameras/{stream}", "SENTINEL_MQTT_IN_MAX_BYTES"),
        ("SENTINEL_FRIGATE_URL", "http://frigate:5000", "SENTINEL_FRIGATE_MAX_BYTES"),
    ],
)
def test_a_spool_holds_the_largest_file_that_may_come(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTINEL_MQTT_URL", "mqtt://broker")
    monkeypatch.setenv("SENTINEL_HTTP_SPOOL_MB", "10")
    get_settings()
    get_settings.cache_clear()
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"SENTINEL_HTTP_SPOOL_MB must hold what {said}"):
        get_settings()


@pytest.mark.parametrize("prefixes", ["s3://site s3://site/cameras", "s3://site/a/b s3://site/c s3://site/a/"])
def test_of_watched_prefixes_none_lies_below_another(prefixes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_WATCH_OBJECTS", prefixes)
    with pytest.raises(SettingsError, match=r"SENTINEL_WATCH_OBJECTS.* lies below s3://site"):
        get_settings()


@pytest.mark.parametrize("prefix", ["/frames", "s3://", "http://site/x", "s3://key:secret@site/x", "s3://site/../x"])
def test_what_is_no_prefix_of_object_storage_is_refused(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_OBJECT_ROOTS", prefix)
    with pytest.raises(SettingsError, match="SENTINEL_OBJECT_ROOTS") as error:
        get_settings()
    assert "secret" not in str(error.value)


def test_a_misspelt_setting_is_named_with_what_may_be_meant() -> None:
    environment = {"SENTINEL_BASELNE": "dock", "SENTINEL_BASELINE": "dock", "HOME": "/"}
    assert unknown_settings(environment) == ["there is no setting SENTINEL_BASELNE: is SENTINEL_BASELINE meant?"]


@pytest.mark.parametrize("where", ["environment", ".env"])
def test_a_setting_that_is_gone_is_named_with_what_to_do_instead(
    where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    if where == ".env":
        (tmp_path / ".env").write_text("""SENTINEL_STREAM_BASELINES={"cam7": "dock"}\n""", encoding="utf-8")
    else:
        monkeypatch.setenv("SENTINEL_STREAM_BASELINES", "cam7=dock")
    (said,) = unknown_settings(given_variables())
    assert "SENTINEL_STREAM_BASELINES is no longer read" in said
    assert "[streams.STREAM] in sentinel.toml" in said
    assert get_settings().baseline is None, "and nothing else is wrong with it"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("MQTT_IN_TOPICS", "cameras/frame", "does not have {stream}"),
        ("MQTT_IN_TOPICS", "cameras/{stream}/{stream}", "does not have {stream}"),
        ("MQTT_IN_TOPICS", "cameras/cam{stream}/frame", "does not have {stream}"),
        ("MQTT_IN_TOPICS", "{stream}/#", "has a #"),
        ("MQTT_IN_TOPICS", "{stream}/a+", "not a whole level"),
        ("MQTT_IN_TOPICS", "$share/group/{stream}", "a leading [$]"),
        ("MQTT_IN_TOPICS", "{stream}/a{b}", "has braces"),
        ("MQTT_IN_TOPICS", "cameras/{stream}/frame {stream}/+/frame", "match the same topics"),
        ("MQTT_IN_TOPICS", "cameras/{stream}/frame", "need a broker"),
        ("FRIGATE_URL", "http://frigate:5000", "need a broker"),
        ("FRIGATE_URL", "ftp://frigate", "begins with http"),
        ("FRIGATE_URL", "http://", "names a host"),
        ("FRIGATE_URL", "http://u:sesame@frigate:5000", "a user or a password"),
        ("FRIGATE_URL", "http://frigate:5000/?x=sesame", "behind"),
        ("FRIGATE_URL", "http://frigate:x", "no URL"),
    ],
)
def test_topics_and_addresses_that_cannot_work_are_named(
    name: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"SENTINEL_{name}", value)
    with pytest.raises(SettingsError, match=reason) as refused:
        get_settings()
    assert name in str(refused.value)
    assert "sesame" not in str(refused.value)


def test_topics_are_separated_by_blanks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_MQTT_IN_TOPICS", "cameras/{stream}/frame  frigate/{stream}/+/snapshot")
    monkeypatch.setenv("SENTINEL_MQTT_URL", "mqtt://broker")
    monkeypatch.setenv("SENTINEL_FRIGATE_URL", "http://frigate:5000/")
    settings = get_settings()
    assert settings.mqtt_in_topics == ("cameras/{stream}/frame", "frigate/{stream}/+/snapshot")
    assert settings.frigate_url == "http://frigate:5000"
