"""Pixel checks: does a picture show what its scene says? No network is involved, only palette colours and drawn templates."""

import functools

import numpy as np

import scenes
from scenes import COLORS, SHAPES, SIZE

PALETTE = np.array(list(COLORS.values()), np.float32)
REACH = 32  # half the side of the window an object is looked for in
SHIFTS = range(-3, 4)  # templates are tried at these offsets
NEAR = 3.0  # pixels the centre may be off
MIN_IOU = 0.65


@functools.cache
def _template(shape, r):
    return scenes.mask(scenes.Obj(shape, "red", 64, 64, r)) > 0.5


@functools.cache
def _templates():
    """All shapes, sizes and offsets as rows -> (names [(shape, size)], bool [N, window])"""
    names, rows = [], []
    for shape in SHAPES:
        for size, r in scenes.RADIUS.items():
            t = _template(shape, r)
            for dy in SHIFTS:
                for dx in SHIFTS:
                    names.append((shape, size))
                    rows.append(np.roll(t, (dy, dx), (0, 1))[64 - REACH : 64 + REACH, 64 - REACH : 64 + REACH].ravel())
    return names, np.array(rows)


def _window(a, x, y, fill):
    """The 2 REACH x 2 REACH part of a around a grid point"""
    padded = np.pad(a, REACH, constant_values=fill)
    return padded[int(y) : int(y) + 2 * REACH, int(x) : int(x) + 2 * REACH].ravel()


def _own_pixels(scene, i):
    """Where object i may be judged: nearer to it than to its neighbours; of nested ones, what is not covered."""
    o = scene.objs[i]
    yy, xx = np.mgrid[:SIZE, :SIZE]
    own = np.ones((SIZE, SIZE), bool)
    for j, p in enumerate(scene.objs):
        if j == i:
            continue
        if (p.col, p.row) == (o.col, o.row):
            inner = scenes.mask(scenes.replace(p, r=p.r * 1.2)) > 0.02
            own &= ~inner if j > i else True
        else:
            # the border between two neighbours lies in the gap between their outlines
            along = (xx - o.x) * (p.x - o.x) + (yy - o.y) * (p.y - o.y)
            apart = np.hypot(p.x - o.x, p.y - o.y)
            own &= along / apart < o.r + (apart - o.r - p.r) / 2
    return own


def check_object(picture, scene, i):
    o = scene.objs[i]
    own = _own_pixels(scene, i)
    paint = np.array(COLORS[o.color], np.float32)
    rivals = [scenes.background(scene.bg)] + [np.array(COLORS[p.color], np.float32) for p in scene.objs if p.color != o.color]
    distance = np.abs(picture - paint).sum(-1)
    seen = (distance < 150) & np.all([distance < np.abs(picture - r).sum(-1) for r in rivals], 0) & own
    gx, gy = scenes.GRID[o.col], scenes.GRID[o.row]
    names, templates = _templates()
    seen_w, own_w = _window(seen, gx, gy, False), _window(own, gx, gy, False)
    both = (templates & own_w) @ seen_w.astype(np.float32)
    iou = both / np.maximum((templates @ own_w.astype(np.float32)) + seen_w.sum() - both, 1)
    best = int(iou.argmax())
    core = picture[(scenes.mask(o) > 0.5) & own]
    nearest = np.abs(core[:, None] - PALETTE).sum(-1).argmin(1)
    expected = (scenes.mask(o) > 0.5) & own
    offset = _centre(seen) - _centre(expected) if seen.any() else np.array([99.0, 99.0])
    return {
        "color": bool((nearest == list(COLORS).index(o.color)).mean() > 0.6),
        "shape": bool(names[best][0] == o.shape and iou[best] >= MIN_IOU),
        "size": names[best][1] == o.size,
        "place": bool(np.abs(offset).max() <= NEAR),
        "iou": float(iou[best]),
    }


def _centre(m):
    return np.argwhere(m).mean(0)[::-1]


def check(image, scene):
    """image: uint8 [SIZE, SIZE, 3], scene on the grid -> verdicts on the background and each object"""
    picture = image.astype(np.float32)
    free = ~np.any([scenes.mask(scenes.replace(o, r=o.r * 1.18 + 1)) > 0.02 for o in scene.objs], 0)
    off = np.abs(picture - scenes.background(scene.bg)).max(-1)
    objs = [check_object(picture, scene, i) for i in range(len(scene.objs))]
    result = {"background": bool((off < 40)[free].mean() > 0.9), "objects": objs}
    result["named"] = all(o["color"] and o["shape"] for o in objs)
    result["place"] = all(o["place"] for o in objs)
    result["all"] = result["background"] and result["named"] and result["place"]
    return result


def psnr(a, b):
    """of two uint8 pictures"""
    return float(-10 * np.log10(np.mean((a / 255.0 - b / 255.0) ** 2) + 1e-9))


def share(results, key):
    return sum(bool(r[key]) for r in results) / max(len(results), 1)


def object_share(results, key):
    objs = [o for r in results for o in r["objects"]]
    return sum(bool(o[key]) for o in objs) / max(len(objs), 1)


def over(layers):
    """Composes uint8 RGBA layers bottom to top -> float RGB in 0..255"""
    out = layers[0][..., :3].astype(np.float32)
    for layer in layers[1:]:
        a = layer[..., 3:].astype(np.float32) / 255
        out = out * (1 - a) + layer[..., :3] * a
    return out


def check_layers(layers, scene):
    """layers: uint8 RGBA [n, SIZE, SIZE, 4] -> alpha IoU of each shape's layer, order, PSNR of background and composite"""
    truth = scenes.render_layers(scene, len(layers))
    shapes = len(scene.objs)
    a, t = layers[1:, ..., 3] > 127, truth[1:, ..., 3] > 127
    table = np.array([[(x & y).sum() / max((x | y).sum(), 1) for y in t[:shapes]] for x in a[:shapes]])
    return {
        "iou": [float(v) for v in np.diag(table)],
        "order": all(int(row.argmax()) == i and row.max() > 0.3 for i, row in enumerate(table)),
        "empty": [float(x.mean()) for x in a[shapes:]],
        "composite_psnr": psnr(over(layers), scenes.render(scene)),
        "background_psnr": psnr(layers[0][..., :3], truth[0][..., :3]),
    }
