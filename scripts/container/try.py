"""Tries the container without a container engine: builds its stages in bare roots, runs it. See container.sh."""

import argparse
import os
import shutil
import time
from pathlib import Path

import manifests
import media
import roots
import server
from build import Builder
from containerfile import parse

PROJECT = Path(__file__).resolve().parents[2]
# Above the base, in bytes.
LARGEST = 200_000_000
BEGUN = time.monotonic()


def say(text):
    print(f"container: [{time.monotonic() - BEGUN:4.0f} s] {text}", flush=True)


def mega(size):
    return f"{size / 1e6:7.1f} MB"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for roots, caches and logs")
    parser.add_argument("--until", metavar="STAGE", help="build no further than this stage")
    return parser.parse_args()


def main():
    options = arguments()
    options.work.mkdir(parents=True, exist_ok=True)
    work = options.work.resolve()

    say("Debian's base, by debootstrap")
    builder = Builder(PROJECT, work, say)
    stages = parse((PROJECT / "Containerfile").read_text())
    for stage in stages:
        image = builder.build(stage, measured=stage is stages[-1])
        if stage.name == options.until:
            return
    sizes(builder, image)

    container = server.Container(image, work, say, PROJECT / "docs/operations.md")
    version = container.run(["vigia", "--version"])
    server.expect(version.returncode == 0, version.stderr)
    say(f"runs: {version.stdout.strip()}")
    pictures = sorted((Path(builder.images["build"].root) / "src/.vigia/samples").glob("*.jpg"))
    server.serve(container, pictures[0])
    say("videos and addresses, through vigia detect:")
    media.check(container, PROJECT)
    say("Kubernetes:")
    manifests.check(PROJECT, work, image, container, say)
    say("everything passed")


def sizes(builder, image):
    whole, packed = roots.measure(builder.base, {}, roots.snapshot(builder.base))
    say(f"sizes: unpacked, compressed, and how long it took; the base has {mega(whole)} {mega(packed)}")
    for name, size, compressed, seconds in image.layers:
        say(f"  {mega(size)} {mega(compressed)} {seconds:4.0f} s  {name}")
    size, compressed = (sum(layer[column] for layer in image.layers) for column in (1, 2))
    say(f"  {mega(size)} {mega(compressed)}         above the base; at most {mega(LARGEST).strip()}")
    server.expect(size < LARGEST, "the layers above the base are too large")


def remove(work):
    """Takes away what a trial left, logs excepted: the folder may be somebody's."""
    ours = ["base", "base.new", "cache", "clips", "etc", "venv", "stage-*", "manifests.yaml"]
    for path in (path for name in ours for path in work.glob(name)):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix != ".log":
            path.unlink()


if __name__ == "__main__":
    try:
        main()
    finally:
        if not os.environ.get("KEEP"):
            remove(arguments().work)
