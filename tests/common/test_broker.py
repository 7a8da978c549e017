"""The queue over a real network that is cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from common import broker
from common.settings import Settings
from tests.bare_redis import bare_redis
from tests.network import Network, needs_network


@needs_network()
def test_sending_a_task_over_a_network_that_is_cut_fails_and_what_is_sent_after_it_arrives(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "_SOCKET_TIMEOUT_SECONDS", 0.5)
    with (
        Network() as network,
        bare_redis(tmp_path, ["--requirepass", "x"], "x", host=network.inside, network=network) as client,
    ):
        port = client.get_connection_kwargs()["port"]
        app = broker.make_app(settings.model_copy(update={"redis_url": f"redis://:x@{network.inside}:{port}/0"}))

        def send() -> None:
            app.send_task(broker.REDUCE_TASK, kwargs={"stream": "a"}, queue="reduce", retry=False, ignore_result=True)

        send()
        network.cut()
        with pytest.raises(OperationalError):
            send()
        network.heal()
        send()
        assert client.llen("reduce") >= 2
        app.close()
