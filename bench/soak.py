#!/usr/bin/env python3
"""What must stay flat, and who must not notice: cameras that break, streams that come and go.

  python3 bench/soak.py --vigia target/release/vigia --clip 720p15.h264 --out DIR [--only outages,push,test,rtsp]
      [--outages 50] [--cycles 10000] [--rtsp-cycles 300] [--model NAME|FILE.onnx]

`outages`  one of four RTSP cameras is killed and brought back 50 times, with `retry: {max: 1s}`: how long after its return
           it is online again, and what the 99th percentile of the others was with and without.
`push`     10,000 times: a stream is added over the API, frames are pushed into it, one waits for its result, it is removed.
`test`     10,000 times the same with a generated picture as its source, a few at a time.
`rtsp`     300 times the same with an RTSP camera.
Each prints memory, file descriptors and threads of the server as it goes on, and at the end.

The cameras are GStreamer's RTSP server through Python (gir1.2-gst-rtsp-server-1.0 and the system's python3-gi, taken by
--rtsp-python), and play the clip in a loop: H.264 with access unit delimiters, as `vigia bench streams` makes it. Talks
to loopback only, ends only what it started. Prints a table and writes soak.json into --out.
"""

import argparse
import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import queue
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

CAMERA = r'''
import re, sys, threading, time
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
port, path = sys.argv[1], sys.argv[2]
data = open(path, "rb").read()
cuts = [m.start() for m in re.finditer(rb"\x00\x00\x00\x01\x09", data)][:300] + [None]
units = [GLib.Bytes.new(data[a:b]) for a, b in zip(cuts, cuts[1:]) if b]
sources, lock = {}, threading.Lock()
def configure(factory, media):
    src = media.get_element().get_child_by_name("src")
    with lock:
        sources[src] = 0
    media.connect("unprepared", lambda m: sources.pop(src, None))
server = GstRtspServer.RTSPServer(service=port, address="127.0.0.1")
factory = GstRtspServer.RTSPMediaFactory(shared=True)
factory.set_launch("( appsrc name=src is-live=true do-timestamp=true format=time max-buffers=60 leaky-type=downstream "
    "caps=video/x-h264,stream-format=byte-stream,alignment=au,framerate=15/1 ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )")
factory.connect("media-configure", configure)
server.get_mount_points().add_factory("/cam", factory)
server.attach(None)
def pace():
    start, tick = time.monotonic(), 0
    while True:
        wait = start + tick / 15 - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        tick += 1
        with lock:
            for src, i in list(sources.items()):
                sources[src] = (i + 1) % len(units)
                src.emit("push-buffer", Gst.Buffer.new_wrapped_bytes(units[i]))
threading.Thread(target=pace, daemon=True).start()
print("ready", flush=True)
GLib.MainLoop().run()
'''


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Camera:
    def __init__(self, args, port):
        self.command, self.port, self.process = [args.rtsp_python, "-c", CAMERA, str(port), str(args.clip)], port, None

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if self.process.stdout.readline().strip() != "ready":
            sys.exit("the camera does not start: gir1.2-gst-rtsp-server-1.0 and python3-gi are needed")
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    @property
    def url(self):
        return f"rtsp://127.0.0.1:{self.port}/cam"


class Server:
    def __init__(self, args, folder):
        self.port = free_port()
        config = folder / "vigia.yaml"
        lines = [f"server: {{listen: '127.0.0.1:{self.port}'}}", f"data_dir: {folder / 'data'}"]
        if args.model:
            lines += [f"models: {{soak: {{path: {json.dumps(args.model)}, instances: 2, threads: 1, batch: 1}}}}",
                      "pipelines: {soak: {detect: {model: soak}}}"]
        config.write_text("\n".join(lines) + "\n")
        self.pipeline = "soak" if args.model else "faces"
        self.log = open(folder / "vigia.log", "wb")
        env = {**os.environ, "RUST_LOG": "error"}
        self.process = subprocess.Popen([str(args.vigia), "serve", "--config", str(config)], stdout=self.log, stderr=self.log, env=env)
        until = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError):
                if self.ask("GET", "/readyz")[0] == 200:
                    break
            if self.process.poll() is not None or time.monotonic() > until:
                sys.exit(f"the server does not come up: {(folder / 'vigia.log').read_text()}")
            time.sleep(0.1)

    def ask(self, method, path, body=None, kind="application/json", connection=None):
        own = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            own.request(method, path, body, {"content-type": kind} if body is not None else {})
            answer = own.getresponse()
            return answer.status, answer.read()
        finally:
            if connection is None:
                own.close()

    def add(self, id, source, **keys):
        body = json.dumps({"id": id, "source": source, "pipeline": self.pipeline, **keys})
        status, answer = self.ask("POST", "/v1/streams", body)
        assert status == 201, answer

    def stream(self, id):
        status, answer = self.ask("GET", f"/v1/streams/{id}")
        assert status == 200, answer
        return json.loads(answer)

    def states(self, id):
        """A queue of the states that the stream goes to from now on: asking again and again would load the server."""
        connection, states = http.client.HTTPConnection("127.0.0.1", self.port), queue.Queue()
        connection.request("GET", "/v1/events/stream")
        answer = connection.getresponse()

        def read():
            with contextlib.suppress(OSError, http.client.HTTPException):
                for line in answer:
                    change = json.loads(line[5:]) if line.startswith(b"data:") else {}
                    if change.get("stream") == id and "state" in change:
                        states.put(change["state"])

        threading.Thread(target=read, daemon=True).start()
        return states

    def remove(self, id):
        status, answer = self.ask("DELETE", f"/v1/streams/{id}")
        assert status == 204, answer

    def usage(self):
        """MiB, file descriptors, threads."""
        proc = pathlib.Path(f"/proc/{self.process.pid}")
        rss = int(re.search(r"VmRSS:\s+(\d+)", (proc / "status").read_text())[1]) / 1024
        return round(rss, 1), len(os.listdir(proc / "fd")), len(os.listdir(proc / "task"))

    def settled(self):
        """The usage once what was removed is gone."""
        time.sleep(3)
        return self.usage()

    def series(self):
        """Lines of the metrics that name a stream."""
        return self.ask("GET", "/metrics")[1].count(b'stream="')

    def end(self):
        self.process.terminate()
        code = self.process.wait(30)
        assert code == 0, f"the server ended with {code}"


def outages(args, server, report):
    cameras = [Camera(args, free_port()).start() for _ in range(4)]
    ids = [f"cam{k}" for k in range(4)]
    try:
        for id, camera in zip(ids, cameras):
            server.add(id, camera.url, retry={"initial": "250ms", "max": "1s"}, timeout="2s")
        until = time.monotonic() + 30
        while any(server.stream(id)["state"] != "online" for id in ids) and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(40)
        calm = [server.stream(id)["latency_ms"]["p99"] for id in ids[1:]]
        before, back, states = server.usage(), [], server.states(ids[0])

        def wait_for(wanted):
            while (state := states.get(timeout=60)) not in wanted:
                pass
            return state

        for n in range(args.outages):
            cameras[0].kill()
            wait_for({"stalled", "retrying"})
            time.sleep(0.3 * (n % 7))
            cameras[0].start()
            returned = time.monotonic()
            wait_for({"online"})
            back.append(time.monotonic() - returned)
            if (n + 1) % 10 == 0:
                print(f"outages: {n + 1}, back after at most {max(back):.2f} s; MiB, fds, threads {server.usage()}", flush=True)
        stormy = [server.stream(id)["latency_ms"]["p99"] for id in ids[1:]]
        report["outages"] = {"outages": args.outages, "back_s": {"p50": round(statistics.median(back), 2), "max": round(max(back), 2)},
                             "others_p99_ms": {"before": calm, "during": stormy}, "usage": {"before": before, "after": server.usage()}}
    finally:
        for id in ids:
            server.remove(id)
        for camera in cameras:
            camera.kill()


def cycles(name, count, workers, server, report, one):
    """`count` times `one`, on `workers` threads."""
    first = min(count // 10, 200) or 1
    next_id, lock, usages = iter(range(count)), threading.Lock(), []

    def work():
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        while True:
            with lock:
                n = next(next_id, None)
            if n is None:
                return connection.close()
            one(f"{name}-{n}", connection)

    def run(n):
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            for done in [pool.submit(work) for _ in range(workers)]:
                done.result()

    numbers = next_id
    # What the first ones make is kept: pools, arenas, plug-ins.
    next_id = iter([next(numbers) for _ in range(first)])
    run(first)
    usages.append(server.settled())
    started = time.monotonic()
    rest = list(numbers)
    for part in range(4):
        next_id = iter(rest[part::4])
        run(len(rest))
        usages.append(server.settled())
        print(f"{name}: {first + len(rest) * (part + 1) // 4} cycles; MiB, fds, threads {usages[-1]}; metrics of streams {server.series()}", flush=True)
    report[name] = {"cycles": count, "seconds": round(time.monotonic() - started, 1), "usage": usages, "metrics_left": server.series()}


def push_cycle(server, picture):
    def one(id, connection):
        # On a busy machine, too, the one that is waited for has a result.
        body = json.dumps({"id": id, "source": "push", "pipeline": server.pipeline, "latency": "1m", "timeout": "1m"})
        status, answer = server.ask("POST", "/v1/streams", body, connection=connection)
        assert status == 201, answer
        for n in range(2):
            status, answer = server.ask("PUT", f"/v1/streams/{id}/frames/{n}", picture, "image/jpeg", connection)
            assert status == 202, answer
        status, answer = server.ask("PUT", f"/v1/streams/{id}/frames/9?wait=result", picture, "image/jpeg", connection)
        assert status == 200 and json.loads(answer)["frame_id"] == 9, answer
        status, answer = server.ask("DELETE", f"/v1/streams/{id}", connection=connection)
        assert status == 204, answer
    return one


def source_cycle(server, source):
    def one(id, connection):
        body = json.dumps({"id": id, "source": source, "pipeline": server.pipeline})
        status, answer = server.ask("POST", "/v1/streams", body, connection=connection)
        assert status == 201, answer
        until = time.monotonic() + 30
        while json.loads(server.ask("GET", f"/v1/streams/{id}", connection=connection)[1])["frames"]["inferred"] == 0:
            assert time.monotonic() < until, server.stream(id)
            time.sleep(0.01)
        status, answer = server.ask("DELETE", f"/v1/streams/{id}", connection=connection)
        assert status == 204, answer
    return one


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--vigia", required=True, type=pathlib.Path)
    p.add_argument("--clip", type=pathlib.Path, help="H.264 for the cameras; needed for outages and rtsp")
    p.add_argument("--picture", required=True, type=pathlib.Path, help="a small JPEG to push")
    p.add_argument("--model", help="a detector alone; the default pipeline otherwise")
    p.add_argument("--out", required=True, type=pathlib.Path)
    p.add_argument("--only", default="outages,push,test,rtsp")
    p.add_argument("--outages", type=int, default=50)
    p.add_argument("--cycles", type=int, default=10_000)
    p.add_argument("--rtsp-cycles", type=int, default=300)
    p.add_argument("--rtsp-python", default="/usr/bin/python3")
    args = p.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    wanted, report = args.only.split(","), {}
    with tempfile.TemporaryDirectory() as folder:
        server = Server(args, pathlib.Path(folder))
        try:
            if "outages" in wanted:
                outages(args, server, report)
            if "push" in wanted:
                cycles("push", args.cycles, 4, server, report, push_cycle(server, args.picture.read_bytes()))
            if "test" in wanted:
                cycles("test", args.cycles, 8, server, report, source_cycle(server, "test://?width=320&height=180&fps=30"))
            if "rtsp" in wanted:
                camera = Camera(args, free_port()).start()
                try:
                    cycles("rtsp", args.rtsp_cycles, 2, server, report, source_cycle(server, camera.url))
                finally:
                    camera.kill()
        finally:
            server.end()
    (args.out / "soak.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
