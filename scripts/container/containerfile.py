"""Reads a Containerfile: its stages and their instructions, as far as ours uses the language."""

import json
import re
import shlex
from dataclasses import dataclass, field

KNOWN = {
    "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "STOPSIGNAL", "USER",
    "WORKDIR",
}  # fmt: skip


@dataclass
class Instruction:
    """One instruction: `COPY --from=build a b` has the flags [("from", "build")] and the text "a b"."""

    line: int
    name: str
    flags: list[tuple[str, str]]
    text: str

    def flag(self, name):
        return next((value for key, value in self.flags if key == name), None)

    def words(self):
        return shlex.split(self.text)

    def pairs(self):
        """The variables of ENV, LABEL and ARG."""
        return dict(word.split("=", 1) for word in self.words())

    def command(self):
        """The program and arguments of the JSON form, the only one that this reads."""
        return json.loads(self.text)


@dataclass
class Stage:
    """From one FROM to the next."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def last(self, name):
        return next((step for step in reversed(self.instructions) if step.name == name), None)


def parse(text):
    """The stages, in order."""
    stages = []
    for number, line in logical_lines(text):
        name, _, rest = line.partition(" ")
        name = name.upper()
        if name not in KNOWN:
            raise SystemExit(f"Containerfile:{number}: {name} is not known here")
        flags = []
        while match := re.match(r"\s*--([a-z-]+)(?:=(\S+))?\s+", rest):
            flags.append((match[1], match[2] or ""))
            rest = rest[match.end() :]
        if name == "FROM":
            words = rest.split()
            named = words[2] if len(words) == 3 and words[1].upper() == "AS" else str(len(stages))
            stages.append(Stage(named, words[0]))
        elif not stages:
            raise SystemExit(f"Containerfile:{number}: {name} before the first FROM")
        else:
            stages[-1].instructions.append(Instruction(number, name, flags, rest.strip()))
    return stages


def logical_lines(text):
    """Lines with their continuations, without comments, each with the number it begins on."""
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not line.strip() and not pending):
            continue
        start = start if pending else number
        if line.rstrip().endswith("\\"):
            pending += line.rstrip()[:-1]
            continue
        yield start, (pending + line).strip()
        pending = ""
    if pending:
        yield start, pending.strip()


def expand(text, variables):
    """Replaces $NAME and ${NAME}."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: variables.get(match[1] or match[2], ""), text)


class Ignored:
    """The patterns of .containerignore: the last one that matches a path or a folder above it decides."""

    def __init__(self, text):
        lines = (line.strip() for line in text.splitlines())
        self.rules = [self.rule(line) for line in lines if line and not line.startswith("#")]

    @staticmethod
    def rule(line):
        keep = line.startswith("!")
        parts = re.split(r"(\*\*/?|\*|\?)", line.lstrip("!").strip("/"))
        special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        pattern = "".join(special.get(part, re.escape(part)) for part in parts)
        return re.compile(rf"{pattern}(?:/.*)?"), keep

    def __contains__(self, path):
        ignored = False
        for pattern, keep in self.rules:
            if pattern.fullmatch(path):
                ignored = not keep
        return ignored
