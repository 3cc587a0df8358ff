#!/usr/bin/env python3
"""vigia's live streams and those of other programs, in one run, on the same cameras.

  python3 bench/streams.py --vigia target/release/vigia --model yunet.onnx --clip 720p15.h264 --out DIR \\
      [--peers ../shared/peers --peer gstreamer-tuned --peer opencv ...] [--streams 1,4,8,16] [--rounds 1] [--seconds 15]

For each number of streams, vigia and the peers run one after the other, each as a process of its own, so that a machine
that changes its speed does so for all. The cameras are `vigia bench cameras` for all of them; each program measures
itself: `vigia bench streams`, and the peers' own meter.py. A latency runs from the camera's sending to the result.
"others'" are the cores that the rest of the machine took meanwhile: where that is more than a tenth, measure again (--tries does it).

Another build of vigia, or the same with other settings: --also NAME="target/release/vigia --device openvino". What stands
after the program is added to `bench streams`; a variable may stand before it, as in ORT_DYLIB_PATH=lib.so.

Needs the peers' packages for the peers: the Python that runs this is taken for all of them, or OPENCV_PYTHON,
GSTREAMER_PYTHON, LOADSTREAMS_PYTHON. The clip is made by their assets.sh, or by `vigia bench clip --to FILE`. Prints a
table and writes streams.json and streams.md into --out. Talks to loopback only.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import re
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

# As the peers' run_video.py does it for --tuned.
TUNED = {"ORT_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "2147483647",
         "DECODE_THREADS": "1"}
# A peer gives up by itself after 40 s without a picture; then comes what is measured.
PATIENCE_S = 60
# Cores that others may take before a measurement is tried again.
QUIET = 0.1


def machine_s():
    """Processor time of the whole machine, and of what this program has waited for."""
    ticks = [int(t) for t in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK"), children.ru_utime + children.ru_stime


def vigia(args, command, streams, log):
    """One measurement of vigia by itself."""
    words = shlex.split(command)
    given = [word for word in words if re.match(r"\w+=", word)]
    program, *settings = [word for word in words if word not in given]
    env = {**os.environ, **dict(word.split("=", 1) for word in given)}
    argv = [program, "bench", "streams", "--model", args.model, "--clip", args.clip, "--streams", streams, "--fps", args.fps,
            "--seconds", args.seconds, "--warm", args.warm, "--json", "-", *settings]
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=log, env=env)
    if done.returncode:
        return None, {}
    report = json.loads(done.stdout)
    (case,) = report.pop("cases")
    return case, report


@contextlib.contextmanager
def cameras(args, streams, times, log):
    """vigia's cameras, and the port they listen on."""
    argv = [args.vigia, "bench", "cameras", "--streams", streams, "--fps", args.fps, "--clip", args.clip, "--times", times]
    process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        yield json.loads(process.stdout.readline())["port"]
    finally:
        process.stdin.close()
        process.wait(10)


def peer(args, name, streams, log):
    """One measurement of a peer by its own meter."""
    kind = name.removesuffix("-tuned")
    env = {**os.environ, "PYTHONPATH": str(args.peers), **(TUNED if name != kind else {})}
    python = os.environ.get(f"{kind.upper()}_PYTHON", sys.executable)
    with tempfile.TemporaryDirectory() as folder:
        times = pathlib.Path(folder) / "times"
        with cameras(args, streams, times, log) as port:
            argv = [python, args.peers / f"video_{kind}.py", args.model, f"rtsp://127.0.0.1:{port}", streams, times, args.warm,
                    args.seconds]
            argv = [str(a) for a in argv]
            try:
                limit = PATIENCE_S + float(args.warm) + float(args.seconds)
                done = subprocess.run(argv, env=env, stdout=subprocess.PIPE, stderr=log, text=True, timeout=limit)
                lines = done.stdout.splitlines()
            except subprocess.TimeoutExpired:
                lines = []
    return next((json.loads(line) for line in lines if line.startswith("{")), None)


def once(args, programs, name, streams, log):
    """One measurement, what vigia says of itself, and what the rest of the machine did meanwhile."""
    started, (all_s, own_s) = time.time(), machine_s()
    case, about = vigia(args, programs[name], streams, log) if name in programs else (peer(args, name, streams, log), {})
    all_after, own_after = machine_s()
    if case:
        case["other_cores"] = round(max(0.0, all_after - all_s - own_after + own_s) / (time.time() - started), 2)
    return case, about


def measure(args, programs, name, streams, log):
    """The quietest of some measurements; the first one that nobody else disturbed."""
    tried = []
    for _ in range(args.tries):
        tried.append(once(args, programs, name, streams, log))
        if tried[-1][0] and tried[-1][0]["other_cores"] <= QUIET:
            break
        time.sleep(1)
    return min(tried, key=lambda one: one[0]["other_cores"] if one[0] else float("inf"))


def mean(cases):
    """The mean of several measurements of the same; None where one has no value."""
    first = cases[0]
    plain = {key for key, value in first.items() if isinstance(value, int | float)}
    return {**first, **{key: round(statistics.mean(case[key] for case in cases), 2) for key in plain
                        if all(isinstance(case.get(key), int | float) for case in cases)},
            "runs": [[case["fps_total"], case["p50_ms"]] for case in cases]}


def table(result):
    lines = [f"{result['model']}, {result['fps']} frames/s per camera, {result['rounds']} x {result['seconds']} s, "
             f"{result['processor']}, {result['cores']} cores, {result['date']}", "",
             "| streams | program | fps | per stream | p50 ms | p95 ms | p99 ms | cores | others' | RSS MiB | per stream | dropped |",
             "|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for streams, programs in result["cases"].items():
        for name, case in programs.items():
            if case is None:
                lines.append(f"| {streams} | {name} | failed | | | | | | | | | |")
                continue
            dropped = case.get("frames", {}).get("dropped", {})
            dropped = ", ".join(f"{reason} {count}" for reason, count in dropped.items()) or "-"
            values = [case["fps_total"], f"{case['fps_min_stream']:.1f}-{case['fps_max_stream']:.1f}", case["p50_ms"],
                      case["p95_ms"], case.get("p99_ms"), case["cores"], case["other_cores"], case["rss_mib"], case["rss_mib_per_stream"], dropped]
            shown = ["-" if v is None else f"{v:.1f}" if isinstance(v, float) and v >= 2 else str(v) for v in values]
            lines.append(f"| {streams} | {name} | {' | '.join(shown)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vigia", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--clip", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--also", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--peers", type=pathlib.Path, default=pathlib.Path(__file__).parents[2] / "shared" / "peers")
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--streams", default="1,4,8,16")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tries", type=int, default=1, help="measure again, so often in all, where others were busy")
    parser.add_argument("--fps", default="15")
    parser.add_argument("--warm", default="4")
    parser.add_argument("--seconds", default="15")
    args = parser.parse_args()
    args.vigia, args.model, args.clip = args.vigia.resolve(), args.model.resolve(), args.clip.resolve()
    args.peers = args.peers.resolve()
    for name in args.peer:
        if not (args.peers / f"video_{name.removesuffix('-tuned')}.py").exists():
            parser.error(f"{args.peers} has no {name}")

    programs = {"vigia": str(args.vigia), **dict(also.split("=", 1) for also in args.also)}
    args.out.mkdir(parents=True, exist_ok=True)
    machine, cases = {}, {}
    with tempfile.TemporaryFile() as log:
        try:
            for streams in args.streams.split(","):
                runs = {name: [] for name in [*programs, *args.peer]}
                for _ in range(args.rounds):
                    for name, seen in runs.items():
                        case, about = measure(args, programs, name, streams, log)
                        machine[name] = about or machine.get(name, {})
                        print(streams, name, json.dumps(case), flush=True, file=sys.stderr)
                        seen.append(case)
                        time.sleep(1)
                cases[streams] = {name: mean(seen) if all(seen) else None for name, seen in runs.items()}
        finally:
            log.seek(0)
            complaints = log.read().decode(errors="replace")
    about = machine["vigia"]
    result = {"date": datetime.date.today().isoformat(), "processor": about.get("machine", {}).get("processor"),
              "cores": os.cpu_count(), "model": args.model.stem, "clip": about.get("clip"), "fps": args.fps,
              "seconds": args.seconds, "warm": args.warm, "rounds": args.rounds,
              "vigia": {name: {key: told.get(key) for key in ("versions", "models")} for name, told in machine.items()},
              "cases": cases}
    (args.out / "streams.json").write_text(json.dumps(result, indent=1) + "\n")
    text = table(result)
    (args.out / "streams.md").write_text(text + "\n")
    print(text)
    if any(case is None for programs in cases.values() for case in programs.values()):
        sys.exit(f"some measurements failed; what was said:\n{complaints[-4000:]}")


if __name__ == "__main__":
    main()
