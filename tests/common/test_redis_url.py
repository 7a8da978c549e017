"""Passwords with any characters reach Redis, and none is shown."""

from __future__ import annotations

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from common.errors import SettingsError
from common.redis_url import with_password
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
