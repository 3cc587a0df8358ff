#!/usr/bin/env python3
"""Holds a running server against its own OpenAPI description.

  python3 scripts/contract.py [VIGIA]

Starts VIGIA (default: the debug build) on a free port with the default models and one stream that pictures are pushed
into, and has schemathesis send what the description allows, and what it does not. The exit status is that of schemathesis, or 1 when
the server does not come up or does not end in order. What is needed of PyPI is installed into .vigia/contract, once.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "scripts" / "contract"
VENV = ROOT / ".vigia" / "contract"
# Few streams at a time: whatever is added is a real one.
CONFIG = """\
data_dir: {folder}
limits: {{streams: 16}}
streams: {{door: {{source: push, timeout: 1h, latency: 1h}}}}
"""
SAMPLE = ROOT / ".vigia" / "samples" / "sample1.jpg"
# Operations whose answers go on for ever, or that are no requests: the project's own tests read them.
LEFT_OUT = {
    "followResults": "server-sent events never end", "followEvents": "server-sent events never end",
    "watch": "motion JPEG never ends", "pushFrames": "it is a WebSocket", "followManyResults": "it is a WebSocket",
}
# How long the server may take to come up, and to end, in seconds.
PATIENCE = 60


def fail(why):
    print(f"contract: failed: {why}", file=sys.stderr)
    raise SystemExit(1)


def schemathesis():
    """The program, installed where it is not yet there as the requirements want it."""
    program, stamp = VENV / "bin" / "schemathesis", VENV / "requirements.txt"
    wanted = (HERE / "requirements.txt").read_text()
    if not stamp.is_file() or stamp.read_text() != wanted:
        print("contract: installing schemathesis into .vigia/contract", flush=True)
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", VENV])
        if made.returncode:
            fail("python3 makes no virtual environment: install its module venv (Debian: python3-venv)")
        pip = [VENV / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps"]
        if subprocess.run([*pip, "-r", HERE / "requirements.txt"]).returncode:
            fail("pip did not install what scripts/contract/requirements.txt names (its message is above)")
        stamp.write_text(wanted)
    return program


def push(address):
    """Gives the stream a result: then every operation has something to answer."""
    url = f"{address}/v1/streams/door/frames/0?wait=result"
    request = urllib.request.Request(url, SAMPLE.read_bytes(), {"Content-Type": "image/jpeg"}, method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            json.load(answer)
    except (urllib.error.URLError, ConnectionError) as error:
        fail(f"the stream of the contract test has no result: {error}")


def event(address):
    """The id of a track that ended: that of a stream that is removed once a face was seen in it."""
    def ask(method, path, body=None, kind="application/json"):
        headers = {"Content-Type": kind} if body else {}
        with urllib.request.urlopen(urllib.request.Request(address + path, body, headers, method=method), timeout=PATIENCE) as answer:
            return answer.read()

    try:
        ask("POST", "/v1/streams", json.dumps({"id": "gone", "source": "push", "latency": "1h", "timeout": "1h"}).encode())
        for frame in range(3):
            ask("PUT", f"/v1/streams/gone/frames/{frame}?wait=result", SAMPLE.read_bytes(), "image/jpeg")
        ask("DELETE", "/v1/streams/gone")
        until = time.monotonic() + PATIENCE
        while not (events := json.loads(ask("GET", "/v1/events?stream=gone"))["events"]):
            if time.monotonic() > until:
                fail("no track of the contract test has ended")
            time.sleep(0.05)
        return events[0]["id"]
    except (urllib.error.URLError, ConnectionError) as error:
        fail(f"the contract test has no event: {error}")


def check(address, event_id):
    """Runs schemathesis; its exit status."""
    command = [
        schemathesis(), "--config-file", HERE / "schemathesis.toml", "run", f"{address}/openapi.json",
        "--phases", "examples,coverage,fuzzing", "--max-examples", "50", "--workers", "1", "--continue-on-failure",
        "--request-timeout", "20", "--no-color",
    ]
    for operation, why in LEFT_OUT.items():
        print(f"contract: {operation} is left out: {why}")
        command += ["--exclude-operation-id", operation]
    sys.stdout.flush()
    # An id that there is stands in the configuration of the operations that want one.
    return subprocess.run(command, cwd=VENV, env={**os.environ, "EVENT_ID": event_id}).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    parser.add_argument("vigia", nargs="?", default=Path(target) / "debug" / "vigia", type=Path)
    vigia = parser.parse_args().vigia.resolve()
    schemathesis()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "vigia.yaml"
        config.write_text(CONFIG.format(folder=json.dumps(str(Path(folder) / "data"))))
        command = [vigia, "--config", config, "serve", "--listen", "127.0.0.1:0"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VIGIA_")}
        environment.setdefault("RUST_LOG", "warn")
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment) as server:
            try:
                address = server.stdout.readline().rpartition(" ")[2].strip()
                if not address:
                    fail("the server did not start (its message is above)")
                push(address)
                status = check(address, event(address))
                server.send_signal(signal.SIGTERM)
                ended = server.wait(PATIENCE)
            finally:
                # Only what was started here, and only when it has not ended by itself.
                if server.poll() is None:
                    server.kill()
    if ended:
        fail(f"the server ended with status {ended}")
    print(f"contract: {'the server does what its description says' if status == 0 else 'failed, see above'}")
    return status


if __name__ == "__main__":
    sys.exit(main())
