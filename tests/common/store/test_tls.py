"""A real Redis that speaks TLS only: its certificate is always verified, and what is wrong is said with what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from kombu import pools

from common.broker import make_app
from common.errors import BrokerUnavailable, SettingsError
from common.settings import Settings
from common.store import Store
from common.store.client import connect
from common.store.event_tail import EventTail
from common.store.heartbeats import Heartbeat
from sentinel.stack.redis_server import RedisServer, free_port
from sentinel.stack.stack import wait_for_workers
from tests.certificates import Authority, Signed
from tests.tls_redis import PASSWORD, tls_redis, url_of


@dataclass
class Site:
    """A Redis that speaks TLS, the authority that signed its certificate, and another that did not."""

    folder: Path
    authority: Authority
    other: Authority
    port: int

    def settings(self, ca_file: Path | None = None, host: str = "127.0.0.1", **more: object) -> Settings:
        return Settings(
            _env_file=None,  # type: ignore[call-arg]
            redis_url=url_of(self.port, host),
            redis_password=PASSWORD,
            redis_ca_file=ca_file or self.authority.certificate,
            **more,  # type: ignore[arg-type]
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("tls")
    authority, other = Authority(folder, "authority"), Authority(folder, "other")
    with tls_redis(folder / "redis", authority.sign("redis", ["127.0.0.1"]), authority.certificate) as port:
        yield Site(folder, authority, other, port)


@contextmanager
def server_with(site: Site, folder: Path, shows: Signed, *, wants_certificates: bool = False) -> Iterator[Site]:
    """Another Redis, that shows another certificate or wants one."""
    with tls_redis(
        folder / "other-redis", shows, site.authority.certificate, wants_certificates=wants_certificates
    ) as port:
        yield Site(site.folder, site.authority, site.other, port)


def refusal(settings: Settings) -> str:
    assert settings.redis_url is not None
    with pytest.raises((BrokerUnavailable, SettingsError)) as refused:
        connect(settings.redis_url)
    assert "sentinel%27s" not in str(refused.value) and PASSWORD not in str(refused.value)
    return str(refused.value)


def test_everything_that_speaks_to_redis_does_so_by_tls(site: Site) -> None:
    settings = site.settings()
    url = settings.redis_url or ""
    store = Store(url, settings)
    with Heartbeat(url, "watch"):
        assert len(store.heartbeats.signs("watch").instances) == 1
    tail = EventTail(url)

    async def follow() -> str:
        last = await tail.last()
        await tail.close()
        return last

    assert asyncio.run(follow()) == "0-0"
    app = make_app(settings)
    app.send_task("sentinel.reduce", kwargs={"stream": "a"}, queue="reduce")
    assert store.client.llen("reduce") == 1
    store.client.delete("reduce")
    app.backend.set("celery-task-meta-1", b"done")
    assert store.client.get("celery-task-meta-1") == b"done"
    assert wait_for_workers(url, {"embed"}, 0.5) == {"embed"}


def test_a_certificate_of_another_authority_is_refused_everywhere(site: Site) -> None:
    wrong = site.settings(site.other.certificate)
    said = refusal(wrong)
    assert f"rediss://127.0.0.1:{site.port}/0 shows a certificate" in said
    assert "set SENTINEL_REDIS_CA_FILE to a file" in said
    assert str(site.other.certificate) in said
    pools.reset()  # kombu keeps connections by address, of another test's application too
    for act in (
        lambda: make_app(wrong).send_task("sentinel.reduce", queue="reduce", retry=False, ignore_result=True),
        lambda: (
            make_app(wrong)
            .backend.client.connection_pool.make_connection()
            .connect_check_health(retry_socket_connect=False)
        ),
        lambda: asyncio.run(EventTail(wrong.redis_url or "").ping()),
    ):
        with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
            act()


def test_without_a_file_only_the_systems_authorities_vouch(site: Site) -> None:
    own = Settings(_env_file=None, redis_url=url_of(site.port), redis_password=PASSWORD)  # type: ignore[call-arg]
    assert "this system's authorities did not sign" in refusal(own)


def test_the_name_in_the_url_must_stand_in_the_certificate(site: Site) -> None:
    said = refusal(site.settings(host="localhost"))
    assert "for another name" in said
    assert "subjectAltName" in said


def test_an_expired_certificate_is_told_from_an_unknown_one(site: Site, tmp_path: Path) -> None:
    with server_with(site, tmp_path, site.authority.sign("old", ["127.0.0.1"], expired=True)) as old:
        assert "not valid now" in refusal(old.settings())


def test_a_redis_that_asks_for_a_certificate_is_shown_one(site: Site, tmp_path: Path) -> None:
    good, foreign = site.authority.sign("worker"), site.other.sign("stranger")
    locked = site.authority.sign("locked", passphrase="secret")
    shows = site.authority.sign("strict", ["127.0.0.1"])
    with server_with(site, tmp_path, shows, wants_certificates=True) as strict:
        assert "set SENTINEL_REDIS_CERT_FILE and SENTINEL_REDIS_KEY_FILE" in refusal(strict.settings())
        own = strict.settings(redis_cert_file=good.certificate, redis_key_file=good.key)
        assert Store(own.redis_url or "", own).streams.names() == []
        assert make_app(own).control.ping(timeout=0.1) == []
        wrong = strict.settings(redis_cert_file=foreign.certificate, redis_key_file=foreign.key)
        assert "refuses the certificate of SENTINEL_REDIS_CERT_FILE" in refusal(wrong)
        mixed = strict.settings(redis_cert_file=good.certificate, redis_key_file=foreign.key)
        assert "belong together" in refusal(mixed)
        secret = strict.settings(redis_cert_file=locked.certificate, redis_key_file=locked.key)
        assert "passphrase" in refusal(secret)


def test_a_file_that_is_none_is_named_with_its_setting(site: Site, tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing.pem", tmp_path / "empty.pem"
    empty.write_text("no certificate")
    for path in (missing, empty, tmp_path):
        said = refusal(site.settings(path))
        assert said.startswith(f"SENTINEL_REDIS_CA_FILE: {path} cannot be used")


def test_a_redis_without_tls_is_told_apart(redis_server: RedisServer, site: Site) -> None:
    said = refusal(Site(site.folder, site.authority, site.other, redis_server.port).settings())
    assert "write redis://" in said


def test_a_redis_that_is_away_is_waited_for_and_not_blamed_on_tls(site: Site) -> None:
    away = site.settings().redis_url or ""
    url = away.replace(str(site.port), str(free_port()))
    with pytest.raises(BrokerUnavailable, match="does not answer"):
        connect(url)
