#!/usr/bin/env python3
"""vigia's tracker and those of other programs, on the same detections of simulated scenes, scored by TrackEval.

  cargo build --release -p vigia-core --example track_mot
  python3 bench/track.py --out DIR [--vigia target/release/examples/track_mot] [--seeds 100-109] [--keep DIR]

The scenes are those of track_scenes.py. Seeds 0-9 are for choosing thresholds, vigia's own and those of the variants that
are called tuned (--tune does that again, for the others); what is reported comes from other seeds. Each tracker gets the
frames that were not dropped, and the frame rate:
  vigia                   track_mot, with its defaults and the time of each frame
  supervision             sv.ByteTrack, with its defaults
  supervision, tuned      the same with what scored best of GRID; "empty" calls it without detections for each dropped frame
  trackers                ByteTrackTracker, supervision's successor, with its defaults and the time of each frame
  trackers, tuned         the same with what scored best of GRID
The best is the greatest mean of HOTA, IDF1 and MOTA, over the kinds of scenes. All of them give the boxes of the detections.
Scores are those of the PyPI package trackeval, the authors' code, over all scenes of a kind together. "us" is the mean time
of an update in microseconds; that of the Python trackers is with supervision's Detections ready.

Needs track.requirements.txt. Writes detections, truth and results as MOTChallenge files into a folder that is deleted, or
into --keep. Prints a table and writes track.json into --out.
"""

import argparse
import contextlib
import datetime
import importlib.metadata
import itertools
import json
import multiprocessing
import os
import pathlib
import subprocess
import tempfile
import time
import warnings

warnings.simplefilter("ignore")
os.environ["PYTHONWARNINGS"] = "ignore"

import numpy as np
import supervision
import trackers
from trackeval.datasets import MotChallenge2DBox
from trackeval.metrics import CLEAR, HOTA, Identity

import track_scenes

TUNING_SEEDS = range(0, 10)
GRID = {
    "supervision": {
        "track_activation_threshold": [0.2, 0.25, 0.35],
        "minimum_matching_threshold": [0.8, 0.85, 0.9],
        "minimum_consecutive_frames": [1, 2],
        "empty": [True],
    },
    "trackers": {
        "track_activation_threshold": [0.5, 0.7],
        "high_conf_det_threshold": [0.35, 0.6],
        "minimum_iou_threshold": [0.1, 0.2, 0.3],
    },
}
# What --tune found.
TUNED = {
    "supervision": {"minimum_matching_threshold": 0.85, "empty": True},
    "trackers": {"track_activation_threshold": 0.5, "high_conf_det_threshold": 0.35, "minimum_iou_threshold": 0.2},
}
METRICS = [HOTA(), CLEAR({"PRINT_CONFIG": False}), Identity({"PRINT_CONFIG": False})]


def others():
    for name in ("supervision", "trackers"):
        yield name, name, {}
        yield f"{name}, tuned", name, TUNED[name]


def mot(frame, number, box, rest):
    x1, y1, x2, y2 = box[:4]
    return f"{frame},{number},{x1:.3f},{y1:.3f},{x2 - x1:.3f},{y2 - y1:.3f},{rest}\n"


def simulate(job):
    """Writes one scene's truth and detections."""
    folder, kind, seed = job
    scene = track_scenes.scene(kind, seed)
    truth = folder / "gt" / scene.name / "gt"
    truth.mkdir(parents=True, exist_ok=True)
    rows = zip(scene.shown, scene.truth)
    truth.joinpath("gt.txt").write_text("".join(mot(f, n, box, "1,1,1") for f, rows in rows for n, *box in rows))
    rows = zip(scene.shown, scene.found)
    lines = (mot(f, -1, box, f"{box[4]:.4f},-1,-1,-1") for f, rows in rows for box in rows)
    (folder / "det").mkdir(exist_ok=True)
    (folder / "det" / f"{scene.name}.txt").write_text("".join(lines))
    return {"name": scene.name, "kind": kind, "fps": scene.fps, "frames": scene.frames}


def track_other(tracker, settings, scene, source, result):
    """One of the Python packages over one file; gives seconds and updates."""
    settings = dict(settings)
    empty = settings.pop("empty", False)
    if tracker == "supervision":
        it = supervision.ByteTrack(frame_rate=scene["fps"], **settings)
        update = lambda found, frame: it.update_with_detections(found)
    else:
        it = trackers.ByteTrackTracker(frame_rate=scene["fps"], **settings)
        update = lambda found, frame: it.update(found, timestamp=frame / scene["fps"])
    rows = np.loadtxt(source, delimiter=",", ndmin=2)
    spent, lines, last = 0.0, [], None
    frames = np.unique(rows[:, 0]).astype(int)
    for frame in frames:
        here = rows[rows[:, 0] == frame]
        boxes = here[:, 2:6] + np.pad(here[:, 2:4], ((0, 0), (2, 0)))
        found = supervision.Detections(xyxy=boxes, confidence=here[:, 6], class_id=np.zeros(len(here), int))
        begun = time.perf_counter()
        for dropped in range((last or frame) + 1, frame if empty else 0):
            nothing = supervision.Detections(xyxy=np.zeros((0, 4)), confidence=np.zeros(0), class_id=np.zeros(0, int))
            update(nothing, dropped)
        tracked = update(found, int(frame))
        spent += time.perf_counter() - begun
        last = frame
        for number, box, confidence in zip(tracked.tracker_id, tracked.xyxy, tracked.confidence):
            if number >= 0:
                lines.append(mot(frame, number, box, f"{confidence:.4f},-1,-1,-1"))
    result.write_text("".join(lines))
    return spent, len(frames)


def measure(job):
    """One tracker over one scene: TrackEval's raw scores, seconds and updates."""
    folder, name, tracker, settings, scene = job
    source = folder / "det" / f"{scene['name']}.txt"
    result = folder / "results" / name / "data" / f"{scene['name']}.txt"
    result.parent.mkdir(parents=True, exist_ok=True)
    if tracker == "vigia":
        argv = [settings["program"], str(scene["fps"]), str(source), str(result)]
        mean, updates = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
        spent, updates = float(mean) * int(updates) / 1e6, int(updates)
    else:
        spent, updates = track_other(tracker, settings, scene, source, result)
    data = MotChallenge2DBox({
        "GT_FOLDER": str(folder / "gt"), "TRACKERS_FOLDER": str(folder / "results"), "TRACKERS_TO_EVAL": [name],
        "SEQ_INFO": {scene["name"]: scene["frames"]}, "SKIP_SPLIT_FOL": True, "DO_PREPROC": False, "PRINT_CONFIG": False,
    })
    raw = data.get_preprocessed_seq_data(data.get_raw_seq_data(name, scene["name"]), "pedestrian")
    return {metric.get_name(): metric.eval_sequence(raw) for metric in METRICS}, spent, updates


def summary(scenes, measured):
    """The scores of each kind of scenes, and of all."""
    rows = {}
    for kind in [*track_scenes.KINDS, "all"]:
        chosen = [(scene["name"], one) for scene, one in zip(scenes, measured) if kind in (scene["kind"], "all")]
        combined = {m.get_name(): m.combine_sequences({n: one[0][m.get_name()] for n, one in chosen}) for m in METRICS}
        clear, updates = combined["CLEAR"], sum(one[2] for _, one in chosen)
        rows[kind] = {
            "HOTA": round(100 * float(np.mean(combined["HOTA"]["HOTA"])), 2),
            "IDF1": round(100 * float(combined["Identity"]["IDF1"]), 2),
            "MOTA": round(100 * float(clear["MOTA"]), 2),
            "switches": int(clear["IDSW"]), "fragmentations": int(clear["Frag"]),
            "false_positives": int(clear["CLR_FP"]), "misses": int(clear["CLR_FN"]),
            "update_us": round(1e6 * sum(one[1] for _, one in chosen) / updates, 1),
        }
    return rows


def score(rows):
    return float(np.mean([rows[kind][metric] for kind in track_scenes.KINDS for metric in ("HOTA", "IDF1", "MOTA")]))


def run(pool, folder, scenes, name, tracker, settings):
    return summary(scenes, pool.map(measure, [(folder, name, tracker, settings, scene) for scene in scenes], chunksize=1))


def tune(pool, folder, scenes):
    for tracker, grid in GRID.items():
        best = (0.0, None)
        for values in itertools.product(*grid.values()):
            settings = dict(zip(grid, values))
            reached = score(run(pool, folder, scenes, "tuning", tracker, settings))
            if reached > best[0]:
                best = (reached, settings)
                print(f"{tracker}: {reached:.2f} with {settings}", flush=True)
    print(f"vigia: {score(run(pool, folder, scenes, 'vigia', 'vigia', {'program': ARGS.vigia})):.2f} with its defaults")


def show(name, rows):
    for kind, row in rows.items():
        print(f"{name if kind == 'crossing' else '':20}{kind:10}{row['HOTA']:7.1f}{row['IDF1']:7.1f}{row['MOTA']:7.1f}"
              f"{row['switches']:7}{row['fragmentations']:7}{row['update_us']:9.1f}", flush=True)


def main():
    first, _, last = ARGS.seeds.partition("-")
    seeds = TUNING_SEEDS if ARGS.tune else range(int(first), int(last or first) + 1)
    with folder_for_files() as folder, multiprocessing.Pool(ARGS.jobs) as pool:
        folder = pathlib.Path(folder)
        scenes = pool.map(simulate, [(folder, kind, seed) for kind in track_scenes.KINDS for seed in seeds], chunksize=1)
        if ARGS.tune:
            tune(pool, folder, scenes)
            return
        print(f"{'':20}{'':10}{'HOTA':>7}{'IDF1':>7}{'MOTA':>7}{'IDSW':>7}{'frag':>7}{'us':>9}")
        report = {"trackers": {}}
        for name, tracker, settings in [("vigia", "vigia", {"program": ARGS.vigia}), *others()]:
            rows = run(pool, folder, scenes, name, tracker, settings)
            show(name, rows)
            report["trackers"][name] = {"settings": {k: v for k, v in settings.items() if k != "program"}, "scores": rows}
    packages = ("supervision", "trackers", "trackeval", "numpy", "scipy")
    report = {
        "date": datetime.date.today().isoformat(), "cores": os.cpu_count(), "seeds": [seeds.start, seeds.stop - 1],
        "scenes_per_kind": len(seeds), "packages": {name: importlib.metadata.version(name) for name in packages}, **report,
    }
    if ARGS.out:
        ARGS.out.mkdir(parents=True, exist_ok=True)
        (ARGS.out / "track.json").write_text(json.dumps(report, indent=1) + "\n")


def folder_for_files():
    """The folder for the files: a temporary one, or --keep."""
    if ARGS.keep:
        ARGS.keep.mkdir(parents=True, exist_ok=True)
        return contextlib.nullcontext(ARGS.keep)
    return tempfile.TemporaryDirectory()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vigia", default="target/release/examples/track_mot", help="the example track_mot, built")
    parser.add_argument("--seeds", default="100-109", help="of the scenes, first-last")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="scenes at once")
    parser.add_argument("--out", type=pathlib.Path, help="folder for track.json")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for the MOTChallenge files")
    parser.add_argument("--tune", action="store_true", help="search GRID on the seeds for choosing, and report nothing")
    ARGS = parser.parse_args()
    main()
