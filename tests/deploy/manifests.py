"""What is wrong with manifests: Kubernetes' own schemas, strictly, those of KEDA's kinds, and the house's rules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate

VERSIONS = ("1.31", "1.37")
"""Oldest and newest Kubernetes whose schemas the manifests keep to."""
_KEDA = jsonschema.Draft202012Validator(json.loads((Path(__file__).parent / "keda.schema.json").read_text()))
_VOLUMES = {"persistentVolumeClaim", "emptyDir", "configMap", "secret"}
_LIGHT = {"sentinel-health", "sh"}
"""Programs that a probe may start: none that loads TensorFlow, every half minute in every pod."""

Document = dict[str, Any]


def problems(documents: Iterable[Document]) -> list[str]:
    """Return a line for each thing that is wrong with manifests that are applied together."""
    everything = list(documents)
    found = []
    for document in everything:
        name = f"{document.get('kind')} {document.get('metadata', {}).get('name')}"
        wrong = [*of_schema(document)]
        if not wrong:
            wrong = [*of_pods(document), *of_references(document, everything)]
        found += [f"{name}: {line}" for line in wrong]
    return found


def of_schema(document: Document) -> Iterator[str]:
    """Yield what the document's schema refuses: unknown kinds, unknown or missing fields, other types."""
    if document["apiVersion"].startswith("keda.sh/"):
        yield from (f"{error.json_path}: {error.message}" for error in _KEDA.iter_errors(document))
        if document["kind"] == "ScaledJob":
            job = document["spec"].get("jobTargetRef")
            yield from of_schema({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "of"}, "spec": job})
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"Kubernetes {version}: {'.'.join(str(step) for step in error.path)}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield error.message


def template_of(document: Document) -> Document | None:
    """Return the template of a document's pods; None if it starts none."""
    spec = document.get("spec", {})
    template: Document | None = spec.get("jobTargetRef", spec).get("template")
    return template


def of_pods(document: Document) -> Iterator[str]:
    """Yield what a document's pods may do that they need not, or do not say though they should."""
    template = template_of(document)
    if template is None:
        return
    pod = template["spec"]
    security = pod.get("securityContext", {})
    if not security.get("runAsNonRoot") or not security.get("runAsUser"):
        yield "runs as root, or as a user without a number"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "has no seccomp profile"
    if pod.get("automountServiceAccountToken") is not False:
        yield "is given a token for the cluster's API"
    if pod.get("enableServiceLinks") is not False:
        yield "is given variables named after Services"
    if any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield "shares a namespace with its node"
    for volume in pod.get("volumes", []):
        if not _VOLUMES & volume.keys():
            yield f"volume {volume['name']} is of its node"
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        yield from _of_a_container(container)


def _of_a_container(container: Document) -> Iterator[str]:
    security = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if security.get("readOnlyRootFilesystem") is not True:
        yield "writes into its image"
    if security.get("capabilities", {}).get("drop") != ["ALL"] or security["capabilities"].get("add"):
        yield "keeps capabilities"
    for kind in ("requests", "limits"):
        if missing := {"cpu", "memory"} - container.get("resources", {}).get(kind, {}).keys():
            yield f"{kind} say nothing of {', '.join(sorted(missing))}"
    _, _, tag = container["image"].rpartition("/")[2].partition(":")
    if tag in {"", "latest"}:
        yield f"image {container['image']} is of no version"
    probes = {name: container.get(f"{name}Probe") for name in ("startup", "liveness", "readiness")}
    if not probes["startup"] or not probes["liveness"]:
        yield "nobody notices when it hangs"
    for name, probe in probes.items():
        command = (probe or {}).get("exec", {}).get("command")
        if command and command[0] not in _LIGHT:
            yield f"{name} probe starts {command[0]}"


def of_references(document: Document, everything: list[Document]) -> Iterator[str]:
    """Yield what a document names and is not there."""
    known = {(one["kind"], one["metadata"]["name"]) for one in everything}
    for kind, name in _named(document):
        if (kind, name) not in known:
            yield f"{kind} {name} is not there"
    template = template_of(document)
    for container in template["spec"]["containers"] if template else ():
        settings = variables_of(container, everything)
        for variable in re.findall(r"\$\((\w+)\)", " ".join(container.get("command", []))):
            if variable not in settings:
                yield f"$({variable}) has no value"
    if document["kind"] in {"Service", "PodDisruptionBudget"}:
        selector = document["spec"]["selector"]
        wanted = (selector.get("matchLabels", selector)).items()
        labels = [one["metadata"]["labels"].items() for one in map(template_of, everything) if one]
        if not any(wanted <= has for has in labels):
            yield "selects no pod"


def _named(document: Document) -> Iterator[tuple[str, str]]:
    spec = document.get("spec", {})
    if document["kind"] == "ScaledObject":
        yield "Deployment", spec["scaleTargetRef"]["name"]
    for trigger in spec.get("triggers", []):
        yield "TriggerAuthentication", trigger["authenticationRef"]["name"]
    for target in spec.get("secretTargetRef", []):
        yield "Secret", target["name"]
    template = template_of(document)
    if template is None:
        return
    pod = template["spec"]
    if "serviceAccountName" in pod:
        yield "ServiceAccount", pod["serviceAccountName"]
    for volume in pod.get("volumes", []):
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]
    for source in [source for one in pod["containers"] for source in sources_of(one)]:
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if field in source and not source[field].get("optional"):
                yield kind, source[field]["name"]


def sources_of(container: Document) -> list[Document]:
    """Return where a container's variables come from, each as an entry of `envFrom`."""
    keyed = [one["valueFrom"] for one in container.get("env", []) if "valueFrom" in one]
    renamed = {"configMapKeyRef": "configMapRef", "secretKeyRef": "secretRef"}
    return [*container.get("envFrom", []), *({renamed[key]: ref[key] for key in ref} for ref in keyed)]


def variables_of(container: Document, everything: list[Document]) -> set[str]:
    """Return the names of the variables that a container is given."""
    found = {one["name"] for one in container.get("env", [])}
    for source in container.get("envFrom", []):
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            for one in everything:
                if field in source and (one["kind"], one["metadata"]["name"]) == (kind, source[field]["name"]):
                    found |= one.get("data", {}).keys()
    return found
