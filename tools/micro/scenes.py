"""The world of the micro models: flat icon scenes of one to three shapes on a plain or gradient background.

Everything is drawn here from formulas: no image, font or text comes from elsewhere. Positions lie on a quarter-pixel grid, so a
shape moved by whole pixels has exactly the same mask; the training code relies on that to compose scenes from a bank of masks.
"""

import math
import zlib
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageDraw

SIZE = 128  # scenes are SIZE x SIZE
SUPERSAMPLE = 4  # masks are drawn this much larger and box-reduced

SHAPES = ["circle", "square", "triangle", "star", "heart", "ring", "cross", "diamond", "hexagon", "moon"]
COLORS = {
    "red": (222, 40, 40),
    "orange": (245, 140, 30),
    "yellow": (250, 215, 50),
    "green": (50, 165, 75),
    "cyan": (60, 200, 215),
    "blue": (45, 90, 215),
    "purple": (135, 60, 180),
    "pink": (245, 130, 180),
    "white": (250, 250, 250),
    "black": (25, 25, 30),
    "gray": (140, 140, 145),
}
OBJECT_COLORS = [c for c in COLORS if c != "gray"]
BACKGROUND_COLORS = ["white", "black", "gray", "blue", "green", "yellow", "red", "purple"]
RADIUS = {"small": 10.0, "medium": 15.0, "big": 25.0}
GRID = [32.0, 64.0, 96.0]  # centres of the 3 x 3 places that a caption can name
# The shapes of a layered scene all differ in size, and the bigger one lies below: their order is plain.
LAYER_RADIUS = {"small": 12.0, "medium": 18.0, "big": 26.0}
FINE = ["star", "cross"]  # never small: their points are then finer than what the VAEs keep
ROOMY = ["circle", "square", "hexagon", "diamond", "heart"]  # shapes that another one fits inside


@dataclass
class Obj:
    shape: str
    color: str
    x: float
    y: float
    r: float
    size: str = "medium"
    col: int = 1
    row: int = 1


@dataclass
class Scene:
    bg: tuple  # (top colour, bottom colour or None)
    objs: list = field(default_factory=list)  # bottom to top
    kind: str = "free"  # how the objects are arranged; captions depend on it

    def copy(self):
        return Scene(self.bg, [replace(o) for o in self.objs], self.kind)


# ---------------------------------------------------------------- drawing


def _outline(shape):
    """Corners of a shape of radius 1, y down; None for the ones drawn from ellipses."""
    ngon = lambda n, radius: [(radius(k) * math.sin(2 * math.pi * k / n), -radius(k) * math.cos(2 * math.pi * k / n)) for k in range(n)]
    if shape == "square":
        return [(-0.87, -0.87), (0.87, -0.87), (0.87, 0.87), (-0.87, 0.87)]
    if shape == "triangle":
        return [(0, -1), (1, 0.82), (-1, 0.82)]
    if shape == "diamond":
        return [(0, -1.08), (0.78, 0), (0, 1.08), (-0.78, 0)]
    if shape == "hexagon":
        return [(math.cos(math.pi / 3 * k), math.sin(math.pi / 3 * k)) for k in range(6)]
    if shape == "star":
        return [(x, y + 0.08) for x, y in ngon(10, lambda k: 0.45 if k % 2 else 1.1)]
    if shape == "cross":
        a = 0.36
        quarter = [(-a, -1), (a, -1), (a, -a)]
        turn = lambda p, k: p if k == 0 else turn((-p[1], p[0]), k - 1)
        return [turn(p, k) for k in range(4) for p in quarter]
    if shape == "heart":
        curve = lambda t: 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        return [(16 * math.sin(t) ** 3 / 16.5, -curve(t) / 16.5 - 0.1) for t in (2 * math.pi * k / 64 for k in range(64))]
    return None


OUTLINE = {s: _outline(s) for s in SHAPES}


def patch(shape, r, fx, fy, half):
    """Alpha (float32, 2 half x 2 half, 0..1) of a shape of radius r whose centre lies (fx, fy) right and below the middle."""
    side = 2 * half * SUPERSAMPLE
    im = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(im)
    cx, cy, rr = (half + fx) * SUPERSAMPLE, (half + fy) * SUPERSAMPLE, r * SUPERSAMPLE

    def disc(x, y, radius, value):
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=value)

    if OUTLINE[shape]:
        draw.polygon([(cx + px * rr, cy + py * rr) for px, py in OUTLINE[shape]], fill=255)
    else:
        disc(cx, cy, rr, 255)
        if shape == "ring":
            disc(cx, cy, rr * 0.56, 0)
        elif shape == "moon":
            disc(cx + rr * 0.5, cy - rr * 0.12, rr * 0.82, 0)
    return np.asarray(im.reduce(SUPERSAMPLE), dtype=np.float32) / 255.0


def quarter(v):
    return round(v * 4) / 4


def mask(o):
    """Alpha (float32, SIZE x SIZE) of an object."""
    half = int(math.ceil(o.r * 1.15)) + 2
    ix, iy = math.floor(o.x), math.floor(o.y)
    p = patch(o.shape, o.r, o.x - ix, o.y - iy, half)
    out = np.zeros((SIZE + 4 * half, SIZE + 4 * half), np.float32)  # a margin, so that shapes may hang over the edge
    out[iy + half : iy + 3 * half, ix + half : ix + 3 * half] = p
    return out[2 * half : 2 * half + SIZE, 2 * half : 2 * half + SIZE]


def background(bg):
    top = np.array(COLORS[bg[0]], np.float32)
    bottom = np.array(COLORS[bg[1] or bg[0]], np.float32)
    t = np.linspace(0, 1, SIZE, dtype=np.float32)[:, None, None]
    return np.broadcast_to(top * (1 - t) + bottom * t, (SIZE, SIZE, 3)).copy()


def to_u8(x):
    return np.clip(np.floor(x + 0.5), 0, 255).astype(np.uint8)


def render(scene):
    """uint8 RGB [SIZE, SIZE, 3]"""
    img = background(scene.bg)
    for o in scene.objs:
        a = mask(o)[..., None]
        img = img * (1 - a) + np.array(COLORS[o.color], np.float32) * a
    return to_u8(img)


def render_layers(scene, count):
    """uint8 RGBA [count, SIZE, SIZE, 4]: the background, then one layer per shape bottom to top, then empty ones.

    The colour of a layer is constant, also where it is transparent: nothing bleeds into antialiased edges."""
    layers = np.zeros((count, SIZE, SIZE, 4), np.uint8)
    layers[0, ..., :3] = to_u8(background(scene.bg))
    layers[0, ..., 3] = 255
    layers[1:, ..., :3] = 128
    for layer, o in zip(layers[1:], scene.objs):
        layer[..., :3] = COLORS[o.color]
        layer[..., 3] = to_u8(mask(o) * 255)
    return layers


# ---------------------------------------------------------------- random scenes

_LOOKALIKES = {frozenset(p) for p in (("white", "gray"), ("cyan", "gray"))}


def _random_background(rng):
    top = rng.choice(BACKGROUND_COLORS)
    bottom = rng.choice([c for c in BACKGROUND_COLORS if c != top]) if rng.random() < 0.2 else None
    return (top, bottom)


def _random_object(rng, bg, col, row, sizes=("small", "medium", "big"), weights=(0.27, 0.46, 0.27), not_shapes=(), not_colors=()):
    colors = [c for c in OBJECT_COLORS if c not in bg and c not in not_colors and frozenset((c, bg[0])) not in _LOOKALIKES]
    size = rng.choices(sizes, weights[: len(sizes)])[0]
    x, y = quarter(GRID[col] + rng.uniform(-1, 1)), quarter(GRID[row] + rng.uniform(-1, 1))
    shape = rng.choice([s for s in SHAPES if s not in not_shapes and (size != "small" or s not in FINE)])
    return Obj(shape, rng.choice(colors), x, y, RADIUS[size], size, col, row)


PLACES = [(c, r) for r in range(3) for c in range(3)]
ARRANGEMENTS = {  # kind: places of its objects
    "row2": [(0, 1), (2, 1)],
    "col2": [(1, 0), (1, 2)],
    "row3": [(0, 1), (1, 1), (2, 1)],
    "col3": [(1, 0), (1, 1), (1, 2)],
}


def random_scene(rng):
    """A scene that a caption can describe: objects on the 3 x 3 grid."""
    bg = _random_background(rng)
    kind = rng.choices(["one", "row2", "col2", "inside", "row3", "col3"], [0.42, 0.18, 0.16, 0.08, 0.08, 0.08])[0]
    if kind == "one":
        place = (1, 1) if rng.random() < 0.4 else rng.choice([p for p in PLACES if p != (1, 1)])
        return Scene(bg, [_random_object(rng, bg, *place)], kind)
    if kind == "inside":
        outer = _random_object(rng, bg, 1, 1, ("big",), (1,), not_shapes=[s for s in SHAPES if s not in ROOMY])
        inner = _random_object(rng, bg, 1, 1, ("small",), (1,), (outer.shape,), (outer.color,))
        inner.x, inner.y = outer.x, outer.y
        return Scene(bg, [outer, inner], kind)
    objs = []
    places = ARRANGEMENTS[kind]
    sizes, weights = (("small", "medium", "big"), (0.27, 0.46, 0.27)) if len(places) == 2 else (("small", "medium"), (0.35, 0.65))
    for place in places:
        objs.append(_random_object(rng, bg, *place, sizes, weights, not_shapes=[o.shape for o in objs]))
    return Scene(bg, objs, kind)


def _all_visible(objs, share=0.7):
    masks = [mask(o) for o in objs]
    for i, m in enumerate(masks):
        seen = m.copy()
        for above in masks[i + 1 :]:
            seen *= 1 - above
        if seen.sum() < share * m.sum():
            return False
    return True


def random_layered_scene(rng):
    """A scene to take apart: one to three shapes, different in colour and size, on the grid or anywhere; they may overlap."""
    while True:
        bg = _random_background(rng)
        count = rng.choices([1, 2, 3], [0.25, 0.4, 0.35])[0]
        sizes = sorted(rng.sample(list(LAYER_RADIUS), count), key=LAYER_RADIUS.get, reverse=True)
        places = rng.sample(PLACES, count) if rng.random() < 0.35 else None
        objs = []
        for i, size in enumerate(sizes):
            o = _random_object(rng, bg, 1, 1, (size,), (1,), not_colors=[p.color for p in objs])
            o.r = LAYER_RADIUS[size]
            edge = int(o.r) + 2
            if places:
                o.x, o.y = (GRID[k] + rng.randint(-1, 1) for k in places[i])
            else:
                o.x, o.y = float(rng.randint(edge, SIZE - edge)), float(rng.randint(edge, SIZE - edge))
            objs.append(o)
        if _all_visible(objs):
            return Scene(bg, objs)


def held_out(scene):
    """One scene in twelve is never trained on. Jitter on the grid does not count: a held-out combination of words is new."""
    place = (lambda o: (o.x, o.y)) if scene.kind == "free" else (lambda o: (o.col, o.row))
    words = (scene.kind, scene.bg, [(o.shape, o.color, o.r, place(o)) for o in scene.objs])
    return zlib.crc32(repr(words).encode()) % 12 == 0


def draw_where(rng, make, want_held_out):
    while True:
        scene = make(rng)
        if held_out(scene) == want_held_out:
            return scene


# ---------------------------------------------------------------- edits


def random_edit(rng, scene, op=None):
    """-> (scene after the edit, op, parameters), or None where the drawn operation does not fit the scene."""
    op = op or rng.choices(["recolor", "background", "remove", "add", "replace"], [0.3, 0.2, 0.15, 0.2, 0.15])[0]
    objs, after = scene.objs, scene.copy()
    i = rng.randrange(len(objs))
    if op == "recolor":
        taken = {*scene.bg, objs[i].color} | ({o.color for o in objs} if scene.kind == "inside" else set())
        color = rng.choice([c for c in OBJECT_COLORS if c not in taken])
        after.objs[i].color = color
        return after, op, (i, color)
    if op == "background":
        colors = [c for c in BACKGROUND_COLORS if c not in scene.bg and c not in [o.color for o in objs]]
        if not colors:
            return None
        color = rng.choice(colors)
        after.bg = (color, None)
        return after, op, (color,)
    if op == "remove":
        if len(objs) < 2:
            return None
        i = 1 if scene.kind == "inside" else i
        del after.objs[i]
        return after, op, (i,)
    if op == "replace":
        pool = ROOMY if scene.kind == "inside" and i == 0 else SHAPES
        unfit = [o.shape for o in objs] + (FINE if objs[i].size == "small" else [])
        shape = rng.choice([s for s in pool if s not in unfit])
        after.objs[i].shape = shape
        return after, op, (i, shape)
    return _random_addition(rng, scene, after)


def _random_addition(rng, scene, after):
    objs = scene.objs
    if len(objs) > 2 or scene.kind == "inside":
        return None
    col, row = rng.choice([p for p in PLACES if p not in [(o.col, o.row) for o in objs]])
    steps = [max(abs(col - o.col), abs(row - o.row)) for o in objs]
    if any(step < 2 and o.size == "big" for step, o in zip(steps, objs)):
        return None
    sizes = ("small", "medium", "big") if min(steps) >= 2 else ("small", "medium")
    new = _random_object(rng, scene.bg, col, row, sizes, (0.3, 0.5, 0.2), [o.shape for o in objs])
    after.objs.append(new)
    return after, "add", (new,)
