"""Passwords with any characters reach Redis, and none is shown."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from common.errors import SettingsError
from common.redis_url import stays_on_this_machine, with_password, with_tls, without_tls_options
from common.settings import get_settings


@given(password=st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_any_password_arrives_as_it_was(password: str) -> None:
    url = with_password("redis://redis:6379/2", password)
    understood = redis.connection.parse_url(url)
    assert (understood["password"], understood["host"], understood["port"], understood["db"]) == (
        password, "redis", 6379, 2,
    )  # fmt: skip


def test_a_user_stays_and_the_password_of_the_url_itself_goes_first() -> None:
    assert with_password("redis://worker@h/1", "a/b") == "redis://worker:a%2Fb@h/1"
    assert with_password("redis://:own@h/1", "other") == "redis://:own@h/1"
    assert with_password("redis://h", None) == "redis://h"


@pytest.mark.parametrize(
    "url", ["redis://:ab/c+d=@h:1/0", "redis://:12/3@h", "redis://:a?b@h", "redis://:a#b@h", "h:1"]
)
def test_a_password_that_breaks_the_url_is_named_as_the_cause_and_not_shown(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTINEL_REDIS_URL", url)
    get_settings.cache_clear()
    with pytest.raises(SettingsError, match="SENTINEL_REDIS_PASSWORD") as refused:
        get_settings()
    shown = f"{refused.value} {refused.value.__cause__}"
    assert url not in shown
    assert "ab/c" not in shown


def test_the_password_setting_completes_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_REDIS_URL", "redis://redis:6379/0")
    monkeypatch.setenv("SENTINEL_REDIS_PASSWORD", "a/b+c=")
    get_settings.cache_clear()
    assert get_settings().redis_url == "redis://:a%2Fb%2Bc%3D@redis:6379/0"


def completed(url: str, **files: Path | None) -> str:
    return with_tls(url, **{"ca_file": None, "cert_file": None, "key_file": None, **files})


PATHS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(
    lambda name: Path("/etc", name.strip("/"))
)


@given(ca=PATHS, cert=PATHS, key=PATHS)
def test_any_file_arrives_at_every_client_with_verification_on(ca: Path, cert: Path, key: Path) -> None:
    url = completed("rediss://:x@h:1/2?socket_timeout=3", ca_file=ca, cert_file=cert, key_file=key)
    files = {"ssl_ca_certs": str(ca), "ssl_certfile": str(cert), "ssl_keyfile": str(key)}
    understood = redis.connection.parse_url(url)
    assert files.items() <= understood.items()
    assert (understood["ssl_cert_reqs"], understood["ssl_check_hostname"]) == ("required", True)
    plain, options = without_tls_options(url)
    assert plain == "rediss://:x@h:1/2?socket_timeout=3"
    assert options == {**files, "ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    assert completed(url) == url, "a process that is started with it changes nothing"


def test_without_files_a_certificate_is_verified_too_and_without_tls_nothing_changes() -> None:
    assert without_tls_options("rediss://h") == (
        "rediss://h",
        {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True},
    )
    assert completed("redis://:x@h:1/2?socket_timeout=3") == "redis://:x@h:1/2?socket_timeout=3"
    assert without_tls_options("redis://h:1") == ("redis://h:1", None)


@pytest.mark.parametrize(
    "option",
    ["ssl_cert_reqs=none", "ssl_cert_reqs=optional", "ssl_check_hostname=false", "ssl_ca_path=/x", "ssl_ciphers=x"],
)
def test_verification_cannot_be_switched_off(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_REDIS_URL", f"rediss://:secret@h:1/0?{option}")
    with pytest.raises(SettingsError, match="always verified") as refused:
        get_settings()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["redis://h:1/0", "unix:///run/redis.sock"])
def test_a_file_for_tls_that_would_not_be_used_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_REDIS_URL", url)
    monkeypatch.setenv("SENTINEL_REDIS_CA_FILE", "/etc/ca.pem")
    with pytest.raises(SettingsError, match=r"SENTINEL_REDIS_CA_FILE is set, but SENTINEL_REDIS_URL .* rediss://"):
        get_settings()
    monkeypatch.delenv("SENTINEL_REDIS_URL")
    assert get_settings().redis_url is None, "the embedded Redis needs no TLS"


def test_a_certificate_without_its_key_is_refused() -> None:
    for files in ({"cert_file": Path("/c")}, {"key_file": Path("/k")}):
        with pytest.raises(ValueError, match="set both SENTINEL_REDIS_CERT_FILE and SENTINEL_REDIS_KEY_FILE"):
            completed("rediss://h", **files)


def test_a_relative_file_means_the_same_in_every_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SENTINEL_REDIS_URL", "rediss://h:1/0")
    monkeypatch.setenv("SENTINEL_REDIS_CA_FILE", "ca.pem")
    url = get_settings().redis_url or ""
    assert redis.connection.parse_url(url)["ssl_ca_certs"] == str(tmp_path / "ca.pem")


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("redis://localhost", True), ("redis://127.1.2.3:1", True), ("rediss://[::1]:1", True), ("unix:///s", True),
        ("redis://10.0.0.1", False), ("redis://localhost.example", False), ("redis://redis:6379", False),
        ("redis://:p@[fd00::1]:1/0", False),
    ],
)  # fmt: skip
def test_what_leaves_this_machine_is_told_apart(url: str, here: bool) -> None:
    assert stays_on_this_machine(url) is here
