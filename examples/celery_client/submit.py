"""Hand a recording in to Sentinel by the name of a task, and wait until all of it has been judged.

    SENTINEL_REDIS_URL=redis://:PASSWORD@HOST:PORT/0 python submit.py STREAM FILE

It needs Celery and nothing of Sentinel.
"""

from __future__ import annotations

import os
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
