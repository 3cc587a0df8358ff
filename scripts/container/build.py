"""Runs the steps of a Containerfile, each stage in a root of its own."""

import hashlib
import json
import os
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import roots
from containerfile import Ignored, expand

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Image:
    """What a stage made: its files, and how a container of it is started."""

    root: str
    key: str
    env: dict = field(default_factory=lambda: {"PATH": PATH})
    workdir: str = "/"
    user: str = ""
    metadata: dict = field(default_factory=dict)
    layers: list = field(default_factory=list)


class Builder:
    """Builds stages from the files of a project, in a folder for work."""

    def __init__(self, project, work, say):
        self.project, self.work, self.say = project, work, say
        ignore = project / ".containerignore"
        self.ignored = Ignored(ignore.read_text() if ignore.is_file() else "")
        self.images = {}
        self.base = roots.base(work)
        self.mounts = []

    def build(self, stage, measured):
        """Runs a stage, or takes what an earlier trial left of the same stage."""
        key = self.key(stage)
        kept = self.work / f"stage-{stage.name}"
        record = kept.with_suffix(".json")
        if record.is_file() and json.loads(record.read_text())["key"] == key:
            image = Image(**json.loads(record.read_text()))
            self.say(f"{stage.name}: as it was, nothing has changed")
        else:
            record.unlink(missing_ok=True)
            shutil.rmtree(kept, ignore_errors=True)
            subprocess.run(["cp", "-a", "--reflink=auto", self.base, kept], check=True)
            image = Image(str(kept), key)
            self.substitute(stage, image)
            for step in stage.instructions:
                self.step(stage, step, image, measured)
            record.write_text(json.dumps(asdict(image), indent=1))
        self.images[stage.name] = image
        return image

    def key(self, stage):
        """Changes with whatever a stage is made of."""
        digest = hashlib.sha256()
        for step in stage.instructions:
            digest.update(f"{step.name} {step.flags} {step.text}\n".encode())
            if step.name == "COPY":
                *sources, _ = step.words()
                if source := step.flag("from"):
                    digest.update(self.images[source].key.encode())
                else:
                    for path, _ in self.context(sources):
                        digest.update(f"{path.name} {path.stat().st_mode}\n".encode() + path.read_bytes())
        return digest.hexdigest()

    def substitute(self, stage, image):
        """Stands in for an image that is not Debian's own: Rust's is Debian with Rust."""
        name = stage.base.rsplit("/", 1)[-1]
        self.mounts = []
        if name.startswith("rust:"):
            toolchain = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True)
            toolchain = toolchain.stdout.strip()
            self.say(f"{stage.name}: for {stage.base}, a Debian root with this machine's Rust from {toolchain}")
            (Path(image.root) / "usr/local/rust").mkdir()
            self.mounts = [("bind", toolchain, "usr/local/rust", "ro")]
            image.env |= {"CARGO_HOME": "/usr/local/cargo", "PATH": f"/usr/local/rust/bin:{PATH}"}
        elif name.startswith("debian:"):
            self.say(f"{stage.name}: for {stage.base}, a root made by debootstrap")
        else:
            raise SystemExit(f"nothing here stands in for {stage.base}")

    def step(self, stage, step, image, measured):
        """One instruction."""
        head = " ".join([*(f"--{flag}={value}" for flag, value in step.flags), *step.text.split()])
        head = head if len(head) < 80 else head[:79] + "…"
        self.say(f"{stage.name}: {step.name} {head}")
        before, begun = roots.snapshot(image.root) if measured else {}, time.monotonic()
        text = expand(step.text, image.env) if step.name != "RUN" else step.text
        match step.name:
            case "ENV":
                step.text = text
                image.env |= step.pairs()
            case "ARG":
                image.env |= step.pairs() if "=" in step.text else {}
            case "WORKDIR":
                image.workdir = os.path.join(image.workdir, text)
                self.inside(image, image.workdir).mkdir(parents=True, exist_ok=True)
            case "USER":
                image.user = text
            case "COPY":
                self.copy(step, image)
            case "RUN":
                self.run(stage, step, image)
            case _:
                image.metadata[step.name] = step.text
        if measured and step.name in ("COPY", "RUN"):
            size, packed = roots.measure(image.root, before, roots.snapshot(image.root))
            image.layers.append([f"{step.name} {head}", size, packed, time.monotonic() - begun])

    @staticmethod
    def inside(image, path):
        """A path of the container on this machine."""
        return Path(image.root) / path.lstrip("/")

    def context(self, sources):
        """The project's files that COPY takes: each with its name under the target."""
        for source in sources:
            start = (self.project / source).resolve()
            if start.is_file():
                yield start, start.name
                continue
            for folder, folders, files in os.walk(start):
                relative = os.path.relpath(folder, self.project)
                prefix = "" if relative == "." else f"{relative}/"
                folders[:] = sorted(name for name in folders if prefix + name not in self.ignored)
                for name in sorted(files):
                    if prefix + name not in self.ignored:
                        path = Path(folder, name)
                        yield path, str(path.relative_to(start))

    def copy(self, step, image):
        *sources, target = step.words()
        folder = self.inside(image, os.path.join(image.workdir, target))
        if source := step.flag("from"):
            for path in sources:
                origin = self.inside(self.images[source], path)
                folder.mkdir(parents=True, exist_ok=True)
                origin = f"{origin}/." if origin.is_dir() else str(origin)
                subprocess.run(["cp", "-a", "--no-preserve=ownership", origin, folder], check=True)
        else:
            for path, name in self.context(sources):
                copy = folder / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, copy)
                os.chown(copy, 0, 0)
        if owner := step.flag("chown"):
            subprocess.run(
                ["chroot", image.root, "chown", "-R", owner, os.path.join(image.workdir, target)], check=True
            )

    def run(self, stage, step, image):
        mounts = list(self.mounts)
        for name, value in step.flags:
            options = dict(part.partition("=")[::2] for part in value.split(","))
            if name != "mount" or options.get("type") != "cache":
                raise SystemExit(f"Containerfile:{step.line}: --{name}={value} is not known here")
            cache = self.work / "cache" / options["id"]
            cache.mkdir(parents=True, exist_ok=True)
            self.inside(image, options["target"]).mkdir(parents=True, exist_ok=True)
            mounts.append(("bind", cache, options["target"], "rw"))
        log = self.work / f"stage-{stage.name}.log"
        with roots.Borrowed(Path(image.root)) as network, log.open("a") as out:
            env = network | image.env
            command = ["/bin/sh", "-c", step.text]
            argv = roots.in_root(image.root, command, env=env, cwd=image.workdir, user=image.user, mounts=mounts)
            # The machine may have other work.
            if subprocess.run(["nice", "-n", "19", *argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out).returncode:
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
                raise SystemExit(f"{tail}\nContainerfile:{step.line}: failed; all of it is in {log}")
