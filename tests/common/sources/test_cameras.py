"""Addresses of live cameras: what is taken, and that no password is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import SettingsError
from common.sources.cameras import CameraAddress, camera_address, check_camera_url, shown_url


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://cam/1",
        "rtsps://10.0.0.7:8322/live",
        "http://cam.example/video?x=1",
        "https://[fe80::1]/a%20b",
        "rtsp://c",
    ],
)
def test_urls_of_cameras_are_taken_as_they_are(url: str) -> None:
    assert check_camera_url(url) == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///etc/passwd", "begins with rtsp"),
        ("rtmp://cam/1", "begins with rtsp"),
        ("concat:rtsp://cam/1", "begins with rtsp"),
        ("rtsp:///1", "names no host"),
        ("rtsp://cam:0/1", "port 0"),
        ("rtsp://cam:99999/1", "port is no number"),
        ("rtsp://cam/a b", "blank"),
        ("rtsp://cam/a\nb", "control character"),
        ("rtsp://cam/1#x", "#"),
        ("rtsp://cam/" + "x" * 3000, "2000 characters"),
    ],
)
def test_what_is_no_camera_is_refused_with_a_reason(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_camera_url(url)


@pytest.mark.parametrize("who", ["bob:hunter2@", "bob@", ":hunter2@", "@"])
def test_a_url_with_user_or_password_is_refused_without_quoting_it(who: str) -> None:
    with pytest.raises(ValueError, match="password_env") as refused:
        check_camera_url(f"rtsp://{who}cam/1")
    assert "hunter2" not in str(refused.value)


@given(st.text(min_size=4, alphabet=st.characters(codec="ascii", categories=["L", "N"])))
def test_neither_repr_nor_what_is_shown_holds_a_secret(secret: str) -> None:
    secret = f"Z{secret}Z"
    address = CameraAddress(f"http://cam/video?pwd={secret}", "bob", secret)
    assert secret not in address.shown
    assert secret not in repr(address).replace(address.url, "")
    assert secret not in shown_url(f"rtsp://bob:{secret}@cam/1")


def test_the_password_is_read_where_the_table_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.write_bytes("hünter 2\r\nmore\n".encode())
    assert camera_address("rtsp://cam", "bob", password_file=str(file)).password == "hünter 2"
    monkeypatch.setenv("DOCK_PASSWORD", "other")
    assert camera_address("rtsp://cam", "bob", password_env="DOCK_PASSWORD").password == "other"
    assert camera_address("rtsp://cam").password is None


def test_a_password_that_cannot_be_had_says_which(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="DOCK_PASSWORD"):
        camera_address("rtsp://cam", "bob", password_env="DOCK_PASSWORD")
    for content in (None, b"", b"\xff\xfe"):
        file = tmp_path / "secret"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(SettingsError, match="secret"):
            camera_address("rtsp://cam", "bob", password_file=str(file))
    with pytest.raises(SettingsError, match="no file"):
        camera_address("rtsp://cam", "bob", password_file="/dev/zero")
