"""Checks the Kubernetes manifests: their form, and what they say of each other and of the container."""

import json
import subprocess
import sys
from pathlib import Path

FOLDER = "deploy/kubernetes"


def check(project, work, image, container, say):
    python = validator(work, say)
    if not python:
        return
    rendered = work / "manifests.yaml"
    if subprocess.run(["kubectl", "kustomize", "--help"], capture_output=True).returncode == 0:
        text = subprocess.run(
            ["kubectl", "kustomize", project / FOLDER], capture_output=True, text=True, check=True
        ).stdout
        say("rendered by kubectl kustomize")
    else:
        text = "---\n".join((project / FOLDER / name).read_text() for name in ("deployment.yaml", "service.yaml"))
        say("kubectl is not here: deployment.yaml and service.yaml as they are")
    rendered.write_text(text)
    done = subprocess.run([python, "-m", "kubernetes_validate", "--strict", rendered], capture_output=True, text=True)
    if "No module" in done.stderr:
        say("schemas: skipped, kubernetes-validate could not be installed")
    elif done.returncode:
        raise SystemExit(f"manifests: {done.stdout}{done.stderr}")
    else:
        say(f"schemas: {done.stdout.count('passed') + done.stderr.count('passed')} resources pass")
    load = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))"
    documents = json.loads(
        subprocess.run([python, "-c", load], input=text, capture_output=True, text=True, check=True).stdout
    )
    agree({document["kind"]: document for document in documents if document}, image)
    say("the manifests and the container agree on user, port, folders and selectors")
    mounts = [("bind", project / FOLDER, "etc/vigia", "ro")]
    checked = container.run(["vigia", "check", "/etc/vigia/vigia.yaml"], mounts)
    if checked.returncode:
        raise SystemExit(f"{FOLDER}/vigia.yaml: {checked.stdout}{checked.stderr}")
    say(f"vigia check {FOLDER}/vigia.yaml: fine")


def validator(work, say):
    """A Python that has PyYAML and, where it can be had, the schemas."""
    venv = work / "venv"
    if not venv.is_dir():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True, capture_output=True)
    python = venv / "bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "PyYAML", "kubernetes-validate"], capture_output=True)
    for candidate in (python, Path(sys.executable)):
        if subprocess.run([candidate, "-c", "import yaml"], capture_output=True).returncode == 0:
            return candidate
    say("skipped: there is no PyYAML")
    return None


def agree(documents, image):
    """What no schema knows."""
    deployment = documents["Deployment"]["spec"]
    pod = deployment["template"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    security = pod["securityContext"]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]
    service = documents["Service"]["spec"]
    for true, what in [
        (deployment["selector"]["matchLabels"].items() <= labels.items(), "the deployment's selector"),
        (service["selector"].items() <= labels.items(), "the service's selector"),
        (all(port["targetPort"] in ports for port in service["ports"]), "the service's port"),
        (all(probe["port"] in ports for probe in probes), "a probe's port"),
        (str(ports["http"]) == image.metadata["EXPOSE"], "the port"),
        (f"{security['runAsUser']}:{security['runAsGroup']}" == image.user, "the user"),
        (image.env["VIGIA_DATA_DIR"] in mounts and "/etc/vigia" in mounts, "the folders"),
        (pod["terminationGracePeriodSeconds"] > 10, "terminationGracePeriodSeconds and server.grace"),
        (container["securityContext"]["readOnlyRootFilesystem"], "readOnlyRootFilesystem"),
    ]:
        if not true:
            raise SystemExit(f"manifests: {what} does not fit")
