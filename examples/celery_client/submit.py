"""Hand a recording in to Sentinel by the name of a task, and wait until all of it has been judged.

    SENTINEL_REDIS_URL=redis://sentinel:PASSWORD@HOST:PORT/0 python submit.py STREAM FILE

It needs Celery and nothing of Sentinel. With rediss:// the certificate of Redis is verified; SENTINEL_REDIS_CA_FILE
names the authority that signed it, unless the system knows it.
"""

from __future__ import annotations

import os
import ssl
import sys
import time

from celery import Celery

_TASK, _QUEUE = "sentinel.embed", "embed"
_ANSWER_SECONDS = 60.0
_PAUSE_SECONDS = 1.0


def main() -> None:
    stream, path = sys.argv[1:]
    url = os.environ["SENTINEL_REDIS_URL"]
    app = Celery(broker=url, backend=url)
    if url.startswith("rediss://"):
        tls = {
            "ssl_cert_reqs": ssl.CERT_REQUIRED,  # unless it is told to, Celery verifies nothing
            "ssl_check_hostname": True,
            "ssl_ca_certs": os.environ.get("SENTINEL_REDIS_CA_FILE"),
        }
        app.conf.update(broker_use_ssl=tls, redis_backend_use_ssl=tls)
    said = ""
    while said != "complete":
        sent = app.send_task(_TASK, kwargs={"stream": stream, "uri": path}, queue=_QUEUE, ignore_result=False)
        answer = sent.get(timeout=_ANSWER_SECONDS)
        if answer["state"] != said:
            said = answer["state"]
            print(f"batch {answer['batch']} of {answer['stream']}: {said}", flush=True)  # noqa: T201
        time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    main()
