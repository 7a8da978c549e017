"""`sentinel streams token`: what a camera needs in order to post."""

from __future__ import annotations

import json
from pathlib import Path

from common.camera_tokens import OBJECT_EVENTS, CameraTokens
from tests.sentinel.cli.conftest import CommandLine


def test_a_token_is_printed_alone_and_opens_the_stream(sentinel: CommandLine, tmp_path: Path) -> None:
    sentinel.set("SENTINEL_HTTP_TOKENS", str(tmp_path / "tokens"))
    plain = sentinel.run("streams", "token", "dock 3")
    other = sentinel.run("streams", "token", "dock 3", "--json")
    assert (plain.code, other.code) == (0, 0)
    tokens = CameraTokens(tmp_path / "tokens")
    assert tokens.admits("dock 3", plain.stdout.removesuffix("\n"))
    assert tokens.admits("dock 3", json.loads(other.stdout)["token"])


def test_a_token_for_notifications_is_made_under_a_name_that_no_stream_has(
    sentinel: CommandLine, tmp_path: Path
) -> None:
    sentinel.set("SENTINEL_HTTP_TOKENS", str(tmp_path / "tokens"))
    made = sentinel.run("streams", "token", OBJECT_EVENTS)
    tokens = CameraTokens(tmp_path / "tokens")
    assert tokens.admits(OBJECT_EVENTS, made.stdout.removesuffix("\n"))
    assert (tokens.for_notifications, tokens.streams) == (True, frozenset())
    assert sentinel.run("streams", "token", "{other}").code == 2


def test_without_a_file_for_tokens_the_setting_is_named(sentinel: CommandLine) -> None:
    done = sentinel.run("streams", "token", "dock")
    assert done.code == 3
    assert "SENTINEL_HTTP_TOKENS is not set" in done.stderr
