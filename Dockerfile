# Images of Sentinel, one a target:
#   monitor      the one-shot, built by default: footage and a baseline in, status.json out. No TensorFlow
#   service      whatever embeds no frames and trains nothing. No TensorFlow
#   worker-cpu   embeds frames, trains, interpolates
#   worker-gpu   the same on NVIDIA GPUs
# docs/containers.md says how each is used, and how large it is.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/venv/bin:$PATH HOME=/tmp TF_CPP_MIN_LOG_LEVEL=2
WORKDIR /app
# The folders that volumes are mounted to: a new named volume takes their owner over.
RUN groupadd --gid 10001 sentinel \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin sentinel \
 && mkdir -p incoming_data status_output baselines state config \
 && chown 10001:10001 incoming_data status_output baselines state config

# Libraries, a stage for each lock file: an edit of the code builds none of them again. A package index other than the
# usual one comes as build arguments, which leave no trace in the images that are made of these stages' folders.
FROM base AS installing
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv --without-pip /opt/venv

FROM installing AS libraries-service
COPY deploy/images/service.lock /tmp/
RUN pip --python /opt/venv/bin/python install --no-deps --require-hashes -r /tmp/service.lock

FROM installing AS libraries-worker-cpu
COPY deploy/images/worker-cpu.lock /tmp/
RUN pip --python /opt/venv/bin/python install --no-deps --require-hashes -r /tmp/worker-cpu.lock

FROM installing AS libraries-worker-gpu
COPY deploy/images/worker-gpu.lock /tmp/
RUN pip --python /opt/venv/bin/python install --no-deps --require-hashes -r /tmp/worker-gpu.lock

# Sentinel itself, as a folder that is laid over the libraries.
FROM libraries-service AS packages
COPY deploy/images/build.lock /tmp/
RUN pip --python /opt/venv/bin/python install --no-deps --require-hashes -r /tmp/build.lock
WORKDIR /build
COPY pyproject.toml README.md LICENSE LICENCES.md ./
COPY common common
COPY producers producers
COPY workers workers
COPY consumers consumers
COPY simulation simulation
COPY dashboard dashboard
COPY sentinel sentinel
RUN pip --python /opt/venv/bin/python install --no-deps --no-build-isolation --prefix /opt/sentinel .

# The backbones of the monitor, converted here, where there is TensorFlow. WEIGHTS empty: ImageNet's if they can be
# had, else none; random:0 is always there, for tries.
FROM libraries-worker-cpu AS backbones
ARG BACKBONE=mobilenet_v2
ARG WEIGHTS=
COPY --from=packages /opt/sentinel /opt/venv
COPY baselines baselines
COPY deploy/images/bake-backbones.sh /usr/local/bin/bake-backbones
RUN bake-backbones "${BACKBONE}" "${WEIGHTS}"

FROM base AS running
COPY deploy/images/sentinel-health.sh /usr/local/bin/sentinel-health
ENV SENTINEL_STATE_DIR=/app/state SENTINEL_WATCH_DIR=/app/incoming_data SENTINEL_BASELINES_DIR=/app/baselines \
    SENTINEL_HEARTBEAT_FILE=/tmp/sentinel.heartbeat
HEALTHCHECK --interval=15s --timeout=3s --start-period=120s --retries=2 CMD ["sentinel-health"]
ENTRYPOINT ["sentinel"]
CMD ["--help"]
USER 10001:10001

FROM running AS service
COPY --from=libraries-service /opt/venv /opt/venv
COPY --from=packages /opt/sentinel /opt/venv

FROM running AS worker-gpu
COPY --from=libraries-worker-gpu /opt/venv /opt/venv
COPY --from=packages /opt/sentinel /opt/venv

FROM running AS worker-cpu
COPY --from=libraries-worker-cpu /opt/venv /opt/venv
COPY --from=packages /opt/sentinel /opt/venv

# Begins as root where it may, so that it can write into a folder that the engine made; it judges as the owner of the
# footage, or as user 10001, never as root (sentinel/monitor.py). With --user it is that user from the start.
FROM base AS monitor
ARG BASELINE=baselines
ENV SENTINEL_STATE_DIR=/app/state
COPY --from=libraries-service /opt/venv /opt/venv
COPY --from=backbones /app/state /app/state
COPY --from=packages /opt/sentinel /opt/venv
COPY ${BASELINE} baked
VOLUME ["/app/incoming_data", "/app/status_output"]
ENTRYPOINT ["sentinel"]
CMD ["monitor"]
