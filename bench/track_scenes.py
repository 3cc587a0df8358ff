"""Simulated scenes for bench/track.py: people (and some bicycles) on a ground plane, seen by one fixed camera, and what a
detector might make of them. A scene is decided by its kind and its seed alone.

The world: x to the right and z away from the camera, in metres; the camera hangs 3 m high and has a focal length of 900 px,
so that a person is 80 to 380 px tall in 1280x720. Truth is every box of which at least 30 % is inside the picture, hidden or
not, as in MOT17. The detector: what is hidden is found less often, with less confidence and a box that shrinks to what is
seen; errors of boxes and confidences have a part that lasts and a part that does not; there are boxes where nothing is,
some of them for a while at the same place; then comes non-maximum suppression at 0.7, as a detector does it.
"""

import dataclasses

import numpy as np

WIDTH, HEIGHT = 1280, 720
FOCAL, CAMERA, HORIZON = 900.0, 3.0, 90.0
NEAR, FAR = 5.0, 20.0


@dataclasses.dataclass(frozen=True)
class Kind:
    """What makes one kind of scene different from the next."""

    people: int = 8
    bicycles: int = 0
    # Pairs that walk towards each other.
    crossing: bool = False
    # Columns that hide who walks behind them.
    pillars: int = 0
    # Share of seen objects that are missed, and how often a run of misses begins, per object and second.
    misses: float = 0.02
    blackouts: float = 0.02
    # False boxes per frame that come and go, and places where one stays for a while.
    clutter: float = 0.15
    ghosts: int = 0
    # Standard deviation of an edge's error, as a share of the box.
    jitter: float = 0.018
    # Share of frames that are dropped one by one, and how often a gap of 3 to 8 frames begins, per second.
    drops: float = 0.0
    gaps: float = 0.0


KINDS = {
    "crossing": Kind(people=10, crossing=True),
    "occlusion": Kind(people=9, pillars=3),
    "clutter": Kind(people=8, misses=0.12, blackouts=0.1, clutter=1.2, ghosts=4),
    "drops": Kind(people=9, drops=0.25, gaps=0.4),
    "jitter": Kind(people=9, jitter=0.05, misses=0.05),
    "crowd": Kind(people=26, bicycles=4, pillars=1, misses=0.04, clutter=0.4, ghosts=1),
}


@dataclasses.dataclass
class Scene:
    name: str
    fps: int
    frames: int
    # Frames that were not dropped, from 1, as in MOTChallenge files; then per frame rows of (id, x1, y1, x2, y2).
    shown: list
    truth: list
    # Per shown frame rows of (x1, y1, x2, y2, confidence).
    found: list


class Walker:
    """One person or bicycle, from when it comes until it has left."""

    def __init__(self, rng, number, bicycle, somewhere):
        self.rng, self.number = rng, number
        self.size = np.array([1.0 if bicycle else 0.62, 1.75]) * rng.normal(1, 0.06)
        self.cruise = max(0.6, rng.normal(4.5 if bicycle else 1.3, 0.25))
        self.pause, self.gait = 0.0, rng.uniform(0, 6.28)
        self.z = rng.uniform(NEAR, FAR)
        side = rng.choice([-1.0, 1.0])
        edge = (WIDTH / 2 / FOCAL) * self.z + 0.3
        self.x = rng.uniform(-0.8, 0.8) * edge if somewhere else side * edge
        self.heading = (0.0 if side < 0 else np.pi) + rng.normal(0, 0.35)
        self.course, self.pace = self.heading, 1.0
        # What lasts of the detector's errors: four edges, and the confidence.
        self.drift, self.mood, self.blackout = np.zeros(4), 0.0, 0.0

    def step(self, dt):
        rng, root = self.rng, np.sqrt(dt)
        self.heading += 0.35 * root * rng.normal() - 0.5 * dt * (self.heading - self.course)
        self.pace += 0.3 * root * rng.normal() - 1.0 * dt * (self.pace - 1.0)
        if self.pause > 0:
            self.pause -= dt
        elif rng.random() < 0.04 * dt:
            self.pause = rng.uniform(0.5, 2.5)
        elif rng.random() < 0.03 * dt:
            self.course = self.heading = self.heading + rng.choice([-1.0, 1.0]) * rng.uniform(0.8, 3.1)
        speed = 0.0 if self.pause > 0 else self.cruise * max(self.pace, 0.2)
        self.x += np.cos(self.heading) * speed * dt
        self.z = float(np.clip(self.z + np.sin(self.heading) * speed * dt, NEAR * 0.8, FAR * 1.1))
        self.gait += 9.0 * dt * speed / self.cruise

    def box(self):
        scale = FOCAL / self.z
        width, height = self.size * scale * np.array([1 + 0.12 * np.sin(self.gait), 1.0])
        foot, centre = HORIZON + CAMERA * scale, WIDTH / 2 + self.x * scale
        return np.array([centre - width / 2, foot - height, centre + width / 2, foot])

    def gone(self):
        box = self.box()
        return box[2] < -60 or box[0] > WIDTH + 60


def clipped(box):
    return np.clip(box, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])


def area(box):
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def seen(box, nearer):
    """The share of a box that nothing nearer covers, and the box around that share."""
    xs = np.linspace(box[0], box[2], 14)[1:-1]
    ys = np.linspace(box[1], box[3], 26)[1:-1]
    free = np.ones((24, 12), bool)
    for other in nearer:
        # A body does not fill its box to the sides.
        inset = 0.12 * (other[2] - other[0])
        across = (xs > other[0] + inset) & (xs < other[2] - inset)
        down = (ys > other[1]) & (ys < other[3])
        free &= ~(down[:, None] & across[None, :])
    inside = (xs > 0) & (xs < WIDTH)
    free &= inside[None, :] & ((ys > 0) & (ys < HEIGHT))[:, None]
    if not free.any():
        return 0.0, box
    columns, rows = xs[free.any(axis=0)], ys[free.any(axis=1)]
    return float(free.mean()), np.array([columns[0], rows[0], columns[-1], rows[-1]])


def detect(kind, walker, box, nearer, dt):
    """The detection of one walker, or None."""
    rng = walker.rng
    share, around = seen(box, nearer)
    keep = np.exp(-dt / 0.4)
    walker.drift = keep * walker.drift + np.sqrt(1 - keep**2) * rng.normal(size=4)
    walker.mood = keep * walker.mood + np.sqrt(1 - keep**2) * rng.normal()
    if walker.blackout > 0:
        walker.blackout -= dt
    elif rng.random() < kind.blackouts * dt:
        walker.blackout = rng.uniform(0.15, 0.8)
    noise, luck, error = rng.normal(size=4), rng.random(), rng.normal()
    chance = (1 - kind.misses) / (1 + np.exp(-(share - 0.3) / 0.07))
    if walker.blackout > 0 or luck > chance:
        return None
    height = box[3] - box[1]
    confidence = 0.1 + 0.8 * share**0.9 - (0.12 if height < 100 else 0.0) + 0.05 * walker.mood + 0.05 * error
    if confidence < 0.1:
        return None
    size = np.array([box[2] - box[0], height] * 2)
    pull = 0.6 if share < 0.9 else 0.0
    spread = kind.jitter * (1 + 1.5 * (1 - share)) * size
    found = (1 - pull) * box + pull * around + spread * (0.7 * walker.drift + 0.7 * noise)
    return np.array([*clipped(found), min(confidence, 0.97)])


def clutter(kind, rng, ghosts, boxes, dt):
    """Boxes where nothing is, or only a part of somebody."""
    rows = []
    for _ in range(rng.poisson(kind.clutter)):
        if boxes and rng.random() < 0.5:
            x1, y1, x2, y2 = boxes[rng.integers(len(boxes))]
            w, h = (x2 - x1) * rng.uniform(0.5, 1.0), (y2 - y1) * rng.uniform(0.3, 0.6)
            x, y = rng.uniform(x1 - w / 3, x2 - w / 2), rng.uniform(y1, y2 - h / 2)
        else:
            h = rng.uniform(60, 250)
            w, x, y = h * rng.uniform(0.3, 0.6), rng.uniform(0, WIDTH - 60), rng.uniform(60, HEIGHT - h)
        rows.append([x, y, x + w, y + h, 0.1 + 0.55 * rng.beta(1.5, 4)])
    for ghost in ghosts:
        if rng.random() < dt / (0.5 if ghost["on"] else 2.5):
            ghost["on"] = not ghost["on"]
            ghost["confidence"] = rng.uniform(0.2, 0.62)
        noise, error, hit = rng.normal(size=4), rng.normal(), rng.random() < 0.8
        if ghost["on"] and hit:
            rows.append([*(ghost["box"] + 0.03 * (ghost["box"][3] - ghost["box"][1]) * noise), ghost["confidence"] + 0.06 * error])
    return [np.array([*clipped(np.array(row[:4])), row[4]]) for row in rows if row[4] >= 0.1]


def suppress(rows, limit=0.7):
    kept = []
    for row in sorted(rows, key=lambda row: -row[4]):
        overlaps = []
        for other in kept:
            shared = area([max(row[0], other[0]), max(row[1], other[1]), min(row[2], other[2]), min(row[3], other[3])])
            overlaps.append(shared / max(area(row) + area(other) - shared, 1e-9))
        if all(overlap <= limit for overlap in overlaps):
            kept.append(row)
    return kept


def pair(rng, numbers, frames_s):
    """Two that walk towards each other and meet in the picture, now and then to turn back."""
    a, b = Walker(rng, next(numbers), False, True), Walker(rng, next(numbers), False, True)
    depth, middle, when = rng.uniform(NEAR, 14), rng.uniform(-2, 2), rng.uniform(1.5, min(6.0, frames_s / 2))
    for walker, way in ((a, 1.0), (b, -1.0)):
        walker.x, walker.z = middle - way * walker.cruise * when, depth + rng.uniform(0, 0.8)
        walker.heading = walker.course = (0.0 if way > 0 else np.pi) + rng.normal(0, 0.08)
    return [a, b]


def scene(name, seed):
    """The scene of a kind and a seed."""
    kind, rng = KINDS[name], np.random.default_rng([seed, sorted(KINDS).index(name)])
    fps, seconds = int(rng.choice([15, 20, 25])), float(rng.uniform(10, 20))
    frames, dt = int(fps * seconds), 1.0 / fps
    numbers = iter(range(1, 100_000))
    walkers = [Walker(rng, next(numbers), i >= kind.people, True) for i in range(0 if kind.crossing else kind.people + kind.bicycles)]
    while kind.crossing and len(walkers) < kind.people:
        walkers += pair(rng, numbers, seconds)
    pillars = []
    for i in range(kind.pillars):
        z, x = rng.uniform(NEAR, 9), WIDTH * (i + rng.uniform(0.25, 0.75)) / kind.pillars
        half, foot = 0.5 * rng.uniform(0.35, 0.7) * FOCAL / z, HORIZON + CAMERA * FOCAL / z
        pillars.append((z, np.array([x - half, foot - 3.2 * FOCAL / z, x + half, foot])))
    ghosts = []
    for _ in range(kind.ghosts):
        h = rng.uniform(70, 220)
        x, y = rng.uniform(0, WIDTH - h), rng.uniform(80, HEIGHT - h)
        ghosts.append({"on": False, "confidence": 0.4, "box": np.array([x, y, x + h * rng.uniform(0.35, 0.6), y + h])})
    result, gap = Scene(f"{name}-{seed}", fps, frames, [], [], []), 0
    for frame in range(1, frames + 1):
        for walker in walkers:
            walker.step(dt)
        leaving = [walker for walker in walkers if walker.gone()]
        walkers = [walker for walker in walkers if not walker.gone()]
        if kind.crossing and len(walkers) <= kind.people - 2:
            walkers += pair(rng, numbers, seconds)
        elif not kind.crossing:
            walkers += [Walker(rng, next(numbers), walker.size[0] > 0.85, False) for walker in leaving]
        walkers.sort(key=lambda walker: walker.z)
        boxes, truth, found = [], [], []
        for walker in walkers:
            box = walker.box()
            nearer = boxes + [pillar for z, pillar in pillars if z < walker.z]
            row = detect(kind, walker, box, nearer, dt)
            if area(clipped(box)) >= 0.3 * area(box):
                truth.append((walker.number, *clipped(box)))
                if row is not None:
                    found.append(row)
            boxes.append(box)
        found = suppress(found + clutter(kind, rng, ghosts, boxes, dt))
        if gap == 0 and rng.random() < kind.gaps * dt:
            gap = int(rng.integers(3, 9))
        dropped = gap > 0 or rng.random() < kind.drops
        gap = max(gap - 1, 0)
        # A picture without a detection has no line in a MOTChallenge file, and would look like a dropped one.
        if not dropped and found:
            result.shown.append(frame)
            result.truth.append(truth)
            result.found.append(found)
    return result
