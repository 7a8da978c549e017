"""What Kubernetes is told of the processes and settings: a part of `make generated`.

A process is a Deployment; with ports also a Service, with copies also a
PodDisruptionBudget. All pods share one shape, so that none differs by accident.
"""

from __future__ import annotations

import json
import textwrap
from typing import NamedTuple

from common.processes import PROCESSES, Process
from common.settings import Settings
from sentinel.cli.generated_commands import words

SECRET_SETTINGS = {
    "connections": ("redis_url", "redis_password", "mqtt_url", "mqtt_in_url"),
    "people": ("page_token", "flower_password", "alert_urls", "alert_webhooks", "alert_secret", "github_token"),
}
"""Secret -> settings that hold credentials, or URLs that may. Whoever decodes footage is not given `people`."""
_FOR_PEOPLE = frozenset(("alerts", "page", "flower", "metrics"))
"""Get Secret `people`: they reach people or are reached by them, or say which processes have work."""
_READS_OBJECTS = frozenset(("embed", "reduce", "retrain", "interpolate", "camera-events", "objects"))
"""Get Secret `objects`, if there is one: credentials of object storage."""
_OUTSIDE = _READS_OBJECTS | {"rtsp", "mqtt-in", "mqtt", "alerts"}
"""May open connections that leave the cluster: to object storage, cameras, brokers, hubs of models, and people."""
_WRITES = "watch"
"""The one whose pod may write footage and baselines, so that `kubectl cp` has where to put them."""

_GRACE_MARGIN_SECONDS = 10  # of the kubelet, beside the patience of `sentinel up`
_LIVE_SECONDS, _LIVE_FAILURES = 30, 10  # five minutes: a Redis that restarts must not restart everything
_START_SECONDS, _START_FAILURES = 10, 30  # importing TensorFlow and loading a backbone on a busy node


class Resources(NamedTuple):
    """What a pod asks for and may take at most, as Kubernetes writes it."""

    cpu: str
    memory: str
    most_cpu: str
    most_memory: str


# Whoever opens untrusted files may take SENTINEL_MAX_MEMORY_MB for each process that does (embed: two), so that this
# bound refuses a file before the kernel ends the pod.
_READS_FILES = Resources("100m", "256Mi", "1", "5Gi")
_RESOURCES = {
    "embed": Resources("2", "1Gi", "2", "8Gi"),
    "retrain": Resources("1", "2Gi", "2", "6Gi"),
    "interpolate": Resources("500m", "1Gi", "2", "6Gi"),
    "rtsp": Resources("500m", "512Mi", "2", "5Gi"),
    **dict.fromkeys(("reduce", "camera-events", "http", "mqtt-in", "watch", "objects"), _READS_FILES),
}
_OTHERWISE = Resources("50m", "256Mi", "500m", "1Gi")

_PATHS = {  # port's process -> paths that say whether it lives, and whether it can serve
    "page": ("/healthz", "/readyz"),
    "http": ("/healthz", "/healthz"),
    "metrics": (None, "/metrics"),
    "flower": (None, "/healthcheck"),
}

_HEADER = "# Made by `make generated` from common/processes.py; change that, or sentinel/cli/generated_kubernetes.py.\n"


def processes_yaml() -> str:
    """Return the Deployments, Services and PodDisruptionBudgets of all processes, as YAML."""
    documents = [_deployment(process) for process in PROCESSES]
    documents += [_service(process) for process in PROCESSES if process.ports]
    documents += [_budget(process) for process in PROCESSES if process.copies]
    return _HEADER + "---\n".join(documents)


def retrain_job_yaml() -> str:
    """Return the ScaledJob with which KEDA starts a retraining worker while its queue holds something, as YAML."""
    process = next(process for process in PROCESSES if process.name == "retrain")
    return _HEADER + _JOB.format(template=_indented(_pod(process, of_a_job=True), 6))


def settings_env(page: str) -> list[str]:
    """Return the settings that are no secret, as comments with their defaults, without those that `page` sets."""
    defaults = Settings(_env_file=None)
    secret = {name for names in SECRET_SETTINGS.values() for name in names}
    lines = []
    for name in Settings.model_fields:
        variable, default = f"SENTINEL_{name.upper()}", getattr(defaults, name)
        if name not in secret and f"\n{variable}=" not in page:
            lines.append(f"# {variable}={'' if default in (None, ()) else default}")
    return lines


def _deployment(process: Process) -> str:
    optional = bool(process.only_with) or process.only_with_cameras
    return _DEPLOYMENT.format(
        name=process.name,
        # What has nothing set for it is not started; an overlay that sets something says how many.
        replicas=0 if optional else 1,
        strategy="RollingUpdate" if process.copies else "Recreate",
        template=_indented(_pod(process), 4),
    )


def _service(process: Process) -> str:
    return _SERVICE.format(name=process.name, port=_port(process))


def _budget(process: Process) -> str:
    return _BUDGET.format(name=process.name)


def _pod(process: Process, *, of_a_job: bool = False) -> str:
    """Return the template of a process's pods, without indentation."""
    settings = Settings(_env_file=None)
    resources = _RESOURCES.get(process.name, _OTHERWISE)
    command = words(process, lambda name, _: f"$({name})")
    secrets = "\n        - secretRef: {name: sentinel-connections}"
    if process.name in _FOR_PEOPLE:
        secrets += "\n        - secretRef: {name: sentinel-people}"
    if process.name in _READS_OBJECTS:
        secrets += "\n        - secretRef: {name: sentinel-objects, optional: true}"
    return _POD.format(
        name=process.name,
        reaches="outside" if process.name in _OUTSIDE else "inside",
        grace=int(process.patience(settings)) + _GRACE_MARGIN_SECONDS,
        restart="\n  restartPolicy: Never" if of_a_job else "",
        image="sentinel-worker-cpu" if process.embeds_or_trains else "sentinel-service",
        command=json.dumps(command),
        secrets=secrets,
        ports=f"\n      ports: [{{name: http, containerPort: {_port(process)}}}]" if process.ports else "",
        probes=_indented(_probes(process, of_a_job=of_a_job), 6),
        read_only="" if process.name == _WRITES else ", readOnly: true",
        **resources._asdict(),
    )


def _probes(process: Process, *, of_a_job: bool) -> str:
    beats = f'exec: {{command: ["sentinel-health", "{process.late_after:.0f}"]}}'
    lives, ready = (_http(path) for path in _PATHS.get(process.name, (None, None)))
    probes = [
        _probe("startup", lives or beats, _START_SECONDS, _START_FAILURES),
        _probe("liveness", lives or beats, _LIVE_SECONDS, _LIVE_FAILURES),
    ]
    if ready and not of_a_job:
        probes.append(_probe("readiness", ready, _LIVE_SECONDS, 1))
    return "".join(probes)


def _http(path: str | None) -> str | None:
    # Flower answers to names that it knows, and to loopback's always.
    return path and f"httpGet: {{path: {path}, port: http, httpHeaders: [{{name: Host, value: localhost}}]}}"


def _probe(kind: str, how: str, seconds: int, failures: int) -> str:
    return f"{kind}Probe:\n  {how}\n  periodSeconds: {seconds}\n  timeoutSeconds: 10\n  failureThreshold: {failures}\n"


def _port(process: Process) -> str:
    return process.ports[0].rpartition(":")[2]


def _indented(text: str, by: int) -> str:
    return textwrap.indent(text, " " * by).rstrip("\n")


_DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels: {{app.kubernetes.io/name: {name}, app.kubernetes.io/part-of: sentinel}}
spec:
  replicas: {replicas}
  strategy: {{type: {strategy}}}
  selector:
    matchLabels: {{app.kubernetes.io/name: {name}, app.kubernetes.io/part-of: sentinel}}
  template:
{template}
"""

_POD = """\
metadata:
  labels: {{app.kubernetes.io/name: {name}, app.kubernetes.io/part-of: sentinel, reaches: {reaches}}}
spec:
  serviceAccountName: sentinel
  automountServiceAccountToken: false
  enableServiceLinks: false  # Service `flower` would set FLOWER_PORT, which Flower reads
  terminationGracePeriodSeconds: {grace}{restart}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {{type: RuntimeDefault}}
  containers:
    - name: sentinel
      image: {image}
      command: {command}
      workingDir: /app/state  # where sentinel.toml is looked for
      envFrom:
        - configMapRef: {{name: sentinel}}{secrets}{ports}
{probes}
      resources:
        requests: {{cpu: "{cpu}", memory: {memory}}}
        limits: {{cpu: "{most_cpu}", memory: {most_memory}}}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {{drop: [ALL]}}
      volumeMounts:
        - {{name: state, mountPath: /app/state}}
        - {{name: incoming, mountPath: /app/incoming_data{read_only}}}
        - {{name: baselines, mountPath: /app/baselines{read_only}}}
        - {{name: tmp, mountPath: /tmp}}
  volumes:
    - {{name: state, persistentVolumeClaim: {{claimName: sentinel-state}}}}
    - {{name: incoming, persistentVolumeClaim: {{claimName: sentinel-incoming}}}}
    - {{name: baselines, persistentVolumeClaim: {{claimName: sentinel-baselines}}}}
    - {{name: tmp, emptyDir: {{sizeLimit: 2Gi}}}}
"""

_SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: {name}
spec:
  selector: {{app.kubernetes.io/name: {name}, app.kubernetes.io/part-of: sentinel}}
  ports: [{{name: http, port: {port}, targetPort: http}}]
"""

_BUDGET = """\
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {name}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{app.kubernetes.io/name: {name}, app.kubernetes.io/part-of: sentinel}}
"""

# One at a time: a task that takes longer than SENTINEL_VISIBILITY_SECONDS is in the queue a second time while it runs,
# and a second worker would start for nothing every time.
_JOB = """\
apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata:
  name: retrain
spec:
  pollingInterval: 10
  maxReplicaCount: 1
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 3
  rollout: {{strategy: gradual}}  # a retraining that runs is not ended by a new version
  jobTargetRef:
    backoffLimit: 0  # its task goes back to the queue, and is counted there
    template:
{template}
  triggers:
    - type: redis
      metadata: {{address: "redis.sentinel.svc:6379", listName: retrain, listLength: "1", databaseIndex: "0"}}
      authenticationRef: {{name: redis}}
"""
