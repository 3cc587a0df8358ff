"""Runs a container that was built, as Kubernetes would, and looks at what it does."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import roots

CONFIG = """server: {listen: 0.0.0.0:8080, grace: 10s}
streams:
  test: {source: "test://?width=640&height=360&fps=10"}
"""
DATA = "var/lib/vigia"


class Container:
    """A container of an image: its root cannot be written to, its user may do nothing else."""

    def __init__(self, image, work, say, documents):
        self.image, self.say, self.work, self.documents = image, say, work, documents
        self.config = work / "etc"
        self.config.mkdir(exist_ok=True)
        self.user = image.user
        uid, _, gid = self.user.partition(":")
        self.mounts = [("tmpfs", f"uid={uid},gid={gid},mode=0750,size=64m", DATA, "")]

    def argv(self, command, mounts=()):
        return roots.in_root(
            self.image.root,
            command,
            env=self.image.env,
            cwd=self.image.workdir,
            user=self.user,
            mounts=[*self.mounts, *mounts],
            readonly=True,
        )

    def run(self, command, mounts=(), timeout=120):
        """A command to its end."""
        return subprocess.run(
            self.argv(command, mounts), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout
        )

    def configured(self, text):
        (self.config / "vigia.yaml").write_text(text)
        return ("bind", self.config, "etc/vigia", "ro")

    def entry(self, name):
        return json.loads(self.image.metadata[name])


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def expect(true, what):
    if not true:
        raise SystemExit(f"container: failed: {what}")


def fetch(url, data=None, kind=None, timeout=30):
    """The status, the media type and the body of an answer."""
    request = urllib.request.Request(url, data=data, headers={"Content-Type": kind} if kind else {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.headers.get_content_type(), answer.read()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers.get_content_type(), answer.read()


def until(what, seconds, probe):
    """The first answer of `probe` that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := probe():
            return found
        time.sleep(0.2)
    raise SystemExit(f"container: failed: no {what} within {seconds} s")


def serve(container, picture):
    """The server: up, asked everything once, ended."""
    say = container.say
    address = f"127.0.0.1:{free_port()}"
    entry, arguments = container.entry("ENTRYPOINT"), container.entry("CMD")
    health = container.image.metadata["HEALTHCHECK"]
    health = json.loads(health[health.index("CMD") + 3 :])
    arguments = [address if word == "0.0.0.0:8080" else word for word in arguments]
    health = [address if word == "127.0.0.1:8080" else word for word in health]
    expect(address in arguments and address in health, "the command and the health check name their address")

    log = container.work / "server.log"
    begun = time.monotonic()
    with log.open("w") as out:
        argv = container.argv([*entry, *arguments], [container.configured(CONFIG)])
        server = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        ask(container, server, f"http://{address}", health, picture, begun)
        process = process_of(server)
        end_in_order(say, process, server, f"http://{address}", picture)
    except BaseException:
        print(log.read_text(), end="")
        raise
    finally:
        server.kill()
        server.wait()


def process_of(server):
    """vigia's own process: the one that `unshare` started."""
    return int(Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()[0])


def ask(container, server, url, health, picture, begun):
    say = container.say

    def ready():
        expect(server.poll() is None, f"the server ended with status {server.poll()}")
        return container.run(health).returncode == 0

    until("answer to the health check", 90, ready)
    say(f"ready after {time.monotonic() - begun:.1f} s, says {' '.join(health)}")

    status = Path(f"/proc/{process_of(server)}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    expect(fields["Uid"].split()[0] == container.user.split(":")[0], f"runs as {fields['Uid']}")
    expect(int(fields["CapEff"], 16) == 0, f"has capabilities {fields['CapEff']}")
    touch = container.run(
        ["/bin/sh", "-c", 'touch /x /opt/vigia/x /tmp/x; touch /var/lib/vigia/x; test -r "$GST_REGISTRY"']
    )
    expect(touch.stderr.count("Read-only") == 3 and touch.returncode == 0, f"what can be written: {touch.stderr}")
    say(f"runs as {container.user} without capabilities; only /{DATA} can be written")

    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/"):
        code, _, body = fetch(url + path)
        expect(code == 200 and body, f"GET {path}: {code}")
    documented = container.documents.read_text()
    metrics = re.findall(r"^# TYPE (\S+)", fetch(url + "/metrics")[2].decode(), re.MULTILINE)
    unknown = [name for name in metrics if f"`{name}" not in documented]
    expect(metrics and not unknown, f"{container.documents} has all metrics but {unknown}")
    code, _, body = fetch(url + "/v1/models")
    models = [model["name"] for model in json.loads(body)["models"]]
    expect(code == 200 and {"tiny-face", "face-landmarks-68"} <= set(models), f"GET /v1/models: {code}, {models}")
    say(f"GET /v1/models: {', '.join(models)}")

    code, faces = post(url, picture)
    expect(code == 200 and faces, f"POST /predict/: {code}, {faces} faces")
    say(f"POST /predict/ {picture.name}: {faces} faces")
    code, kind, body = fetch(url + "/predict/?annotate=jpeg", *form(picture))
    expect(code == 200 and kind == "image/jpeg" and body[:2] == b"\xff\xd8", f"annotated: {code} {kind}")

    def online():
        code, _, body = fetch(url + "/v1/streams/test")
        stream = json.loads(body)
        return code == 200 and stream["state"] == "online" and stream["frames"]["inferred"] > 10 and stream

    stream = until("stream online", 30, online)
    code, kind, body = fetch(url + "/v1/streams/test/snapshot.jpg")
    expect(code == 200 and kind == "image/jpeg" and body[:2] == b"\xff\xd8", f"snapshot.jpg: {code} {kind}")
    say(
        f"stream test: {stream['state']}, {stream['frames']['inferred']} frames inferred, snapshot of {len(body)} bytes"
    )
    memory = Path(f"/proc/{process_of(server)}/status").read_text()
    peak = next(line.split()[1] for line in memory.splitlines() if line.startswith("VmHWM"))
    say(f"most memory so far: {int(peak) / 1000:.0f} MB")


def form(picture):
    mark = "vigia-trial"
    head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{picture.name}"\r\n'
    head += "Content-Type: image/jpeg\r\n\r\n"
    return (
        head.encode() + picture.read_bytes() + f"\r\n--{mark}--\r\n".encode(),
        f"multipart/form-data; boundary={mark}",
    )


def post(url, picture):
    code, _, body = fetch(url + "/predict/", *form(picture))
    return code, len(json.loads(body).get("detections", []))


def end_in_order(say, process, server, url, picture):
    """SIGTERM while pictures are posted: what was accepted is answered, and the status is 0."""
    answers, closed = [], []

    def poster():
        while True:
            begun = time.monotonic()
            try:
                answers.append(post(url, picture)[0])
            except (OSError, http.client.HTTPException) as error:
                # A door that is closed, or closes while a request is on its way in.
                closed.append((begun, error))
                return

    posters = [threading.Thread(target=poster) for _ in range(4)]
    for thread in posters:
        thread.start()
    time.sleep(1)
    begun = time.monotonic()
    os.kill(process, signal.SIGTERM)
    status = server.wait(timeout=20)
    took = time.monotonic() - begun
    for thread in posters:
        thread.join()
    lost = [error for started, error in closed if started < begun]
    expect(not lost, f"no answer to what was posted before SIGTERM: {lost}")
    kinds = {kind: answers.count(kind) for kind in sorted(set(answers))}
    expect(status == 0, f"status {status} after SIGTERM")
    expect(kinds.get(200), f"answers under load: {kinds}")
    expect(set(kinds) <= {200, 503}, f"answers at the end: {kinds}")
    say(f"SIGTERM under load: status 0 after {took:.1f} s; answers by status: {kinds}")
