#!/usr/bin/env python3
"""vigia's HTTP path against the machine's limit and against other servers, in one run.

  python3 bench/serve.py --vigia target/release/vigia --model yunet.onnx --photo 720.jpg --out DIR \\
      [--peers ../shared/peers --peer mosec-2w-tuned --peer fastapi-2w ...] [--rounds 2] [--seconds 7]

Each server is started, asked once, loaded by `wrk` over kept connections (1, 8 and 32), and ended; a round does this
for each of them one after the other, so that a machine that changes its speed does so for all. The load generator, the
peers and the measurement of the engine alone are those of the folder --peers. Without it, nothing is measured but vigia.

The limit is what the cores could do if nothing but decoding at half size (1.05 ms), pixels to tensor (0.4 ms) and the
engine (R pictures per second on all cores, measured before and after) took time: cores / (cores / R + 1.45 ms).

Then: 1,000 posts at 32 connections, of which none may fail, and the memory of the process while they run.

Needs: wrk, psutil, onnxruntime, opencv-python-headless, numpy; the peers' own packages for the peers. Python's path is
taken for all of them. Prints a table and writes serve.json and serve.md into --out. Talks to loopback only.
"""

import argparse
import contextlib
import datetime
import http.client
import json
import os
import pathlib
import platform
import queue
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

DECODE_AND_TENSOR_S = 1.45e-3
POSTS, CLIENTS = 1000, 32


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def engine_rate(peers, model, photo):
    """Pictures per second of ONNX Runtime alone: one session with one thread per core."""
    import cv2
    from detect import letterbox
    from raw_limit import ort_rate

    blob = cv2.dnn.blobFromImage(letterbox(cv2.imread(str(photo)))[0])
    return ort_rate(str(model), blob, os.cpu_count(), 1)["fps"]


def measure(name, args, out):
    """One server under wrk, by the peers' own runner."""
    import run_http

    file = out / f"{name}.json"
    sys.argv = ["run_http", "--peer", name, "--model", str(args.model), "--photo", str(args.photo), "--out", str(file),
                "--seconds", str(args.seconds), "--runs", "2", "--concurrency", args.concurrency]
    run_http.main()
    return json.loads(file.read_text())


def rss_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


@contextlib.contextmanager
def served(args, extra=()):
    """A vigia of our own on a free port."""
    port = free_port()
    command = [str(args.vigia), "serve", "--model", str(args.model), "--listen", f"127.0.0.1:{port}", *extra]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        line = process.stdout.readline()
        if "listens on" not in line:
            raise SystemExit(f"vigia did not start: {' '.join(command)}")
        yield port, process
    finally:
        process.terminate()
        process.wait(20)


def many_posts(args):
    """1,000 posts at 32 connections, after as many to warm up: who failed, and what the memory did."""
    import run_http

    body, headers = run_http.multipart(args.photo.read_bytes(), "")
    with served(args) as (port, process):
        def round_of(posts):
            todo, failures, memory = queue.SimpleQueue(), [], []
            for n in range(posts):
                todo.put(n)

            def client():
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                while True:
                    try:
                        n = todo.get_nowait()
                    except queue.Empty:
                        return
                    try:
                        connection.request("POST", "/predict/", body, headers)
                        answer = connection.getresponse()
                        answer.read()
                        if answer.status != 200:
                            failures.append(answer.status)
                    except OSError as error:
                        failures.append(str(error))
                        connection.close()
                    if n % 100 == 0:
                        memory.append(round(rss_mib(process.pid), 1))

            clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
            started = time.time()
            [c.start() for c in clients]
            [c.join() for c in clients]
            return {"posts": posts, "failed": failures, "per_second": round(posts / (time.time() - started), 1), "rss_mib": memory}

        round_of(POSTS)
        return round_of(POSTS)


def table(result):
    limit = result["limit_per_second"]
    lines = [f"engine alone {result['engine_per_second']} pictures/s, limit {limit:.1f}", "",
             "| server | req/s c1 | c8 | c32 | p50/p99 ms c1 | c8 | c32 | c8 of the limit | peak RSS MiB | errors |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for name, server in result["servers"].items():
        cases = server["cases"]
        rates = " | ".join(f"{c['rps']:.1f}" for c in cases.values())
        times = " | ".join(f"{c['p50_ms']:.1f} / {c['p99_ms']:.1f}" for c in cases.values())
        share = f"{cases['8']['rps'] / limit:.2f}" if "8" in cases else "-"
        errors = sum(c["errors"] for c in cases.values())
        lines.append(f"| {name} | {rates} | {times} | {share} | {server['peak_rss_mib']} | {errors} |")
    posts = result["many_posts"]
    memory = posts["rss_mib"]
    lines += ["", f"{posts['posts']} posts at {CLIENTS} connections: {len(posts['failed'])} failed, "
              f"{posts['per_second']} per second, memory {min(memory)} to {max(memory)} MiB"]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vigia", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--photo", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--peers", type=pathlib.Path, default=pathlib.Path(__file__).parents[2] / "shared" / "peers")
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=7)
    parser.add_argument("--concurrency", default="1,8,32")
    args = parser.parse_args()
    args.vigia, args.model, args.photo = args.vigia.resolve(), args.model.resolve(), args.photo.resolve()
    if not (args.peers / "run_http.py").exists():
        parser.error(f"{args.peers} has no run_http.py: name the folder with the peers and the load generator")
    sys.path.insert(0, str(args.peers.resolve()))
    import run_http

    run_http.PORT = free_port()
    run_http.URL = f"http://127.0.0.1:{run_http.PORT}"
    serve = ["serve", "--model", str(args.model), "--listen", f"127.0.0.1:{run_http.PORT}"]
    run_http.PEERS["vigia"] = ("VIGIA_BENCHED", serve, {}, "/predict/", run_http.multipart, 0)
    # The peers' table was made with the port that they had when it was loaded.
    for name, (python, arguments, env, path, make, batched) in list(run_http.PEERS.items()):
        moved = [str(run_http.PORT) if a == "18080" else a for a in arguments]
        run_http.PEERS[name] = (python, moved, env, path, make, batched)
    os.environ["VIGIA_BENCHED"] = str(args.vigia)
    for python in {python for python, *_ in run_http.PEERS.values()} - {"VIGIA_BENCHED"}:
        os.environ.setdefault(python, sys.executable)

    engine, runs = [], {name: [] for name in ["vigia", *args.peer]}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.rounds):
            engine.append(engine_rate(args.peers, args.model, args.photo))
            for name in runs:
                runs[name].append(measure(name, args, pathlib.Path(folder)))
        engine.append(engine_rate(args.peers, args.model, args.photo))
    rate, cores = statistics.mean(engine), os.cpu_count()
    servers = {}
    for name, rounds in runs.items():
        cases = {}
        for connections in args.concurrency.split(","):
            same = [c for r in rounds for c in r["cases"] if c["connections"] == int(connections)]
            cases[connections] = {key: round(statistics.mean(c[key] for c in same), 2)
                                  for key in ("rps", "p50_ms", "p95_ms", "p99_ms", "server_cores")}
            cases[connections]["errors"] = sum(c["errors"] for c in same)
            cases[connections]["runs"] = [run["rps"] for c in same for run in c["runs"]]
        servers[name] = {"cases": cases, "peak_rss_mib": max(r["peak_rss_mib"] for r in rounds),
                         "answer": rounds[0]["answer"][:160]}
    result = {
        "date": datetime.date.today().isoformat(), "cores": cores, "cpu": platform.processor() or platform.machine(),
        "model": args.model.name, "photo": args.photo.name, "engine_runs": engine, "engine_per_second": round(rate, 1),
        "limit_per_second": cores / (cores / rate + DECODE_AND_TENSOR_S), "servers": servers,
        "many_posts": many_posts(args),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "serve.json").write_text(json.dumps(result, indent=1) + "\n")
    text = table(result)
    (args.out / "serve.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
