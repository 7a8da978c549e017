# One image for every process; the command chooses which. One-shot monitor by default:
#   docker run -v ./footage:/app/incoming_data:ro -v ./out:/app/status_output -v ./baselines/dock:/app/baseline:ro sentinel
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    SENTINEL_STATE_DIR=/app/state SENTINEL_WATCH_DIR=/app/incoming_data SENTINEL_BASELINES_DIR=/app/baselines
WORKDIR /app
COPY requirements.lock pyproject.toml ./
RUN python3 -m venv /opt/venv && /opt/venv/bin/pip install -r requirements.lock
ENV PATH=/opt/venv/bin:$PATH
COPY README.md LICENSE ./
COPY common common
COPY producers producers
COPY workers workers
COPY consumers consumers
COPY simulation simulation
COPY dashboard dashboard
COPY sentinel sentinel
RUN pip install --no-deps --no-build-isolation -e . \
 && useradd --system --uid 10001 --home-dir /app/state sentinel \
 && mkdir -p state incoming_data status_output baselines && chown sentinel state incoming_data status_output baselines
USER sentinel
VOLUME ["/app/incoming_data", "/app/status_output", "/app/state"]
ENTRYPOINT ["sentinel"]
CMD ["check", "/app/incoming_data", "--baseline", "/app/baseline", "--json", "--status-dir", "/app/status_output"]
