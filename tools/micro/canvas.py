"""Draws scenes in batches with torch, equal to scenes.render to the last bit: shapes come from a bank of masks, one for each shape,
radius and quarter-pixel offset, pasted at whole pixels."""

import itertools
import math

import numpy as np
import torch

import scenes

HALF = 34  # room for the biggest shape (radius 26 reaches 28.6 pixels) and a little more
PATCH = 2 * HALF
RADII = sorted({*scenes.RADIUS.values(), *scenes.LAYER_RADIUS.values()})
KEYS = {k: i for i, k in enumerate(itertools.product(scenes.SHAPES, RADII, range(4), range(4)))}
BLANK = len(KEYS)  # an all-transparent mask, for scenes with fewer than three objects


def mask_bank():
    patches = [scenes.patch(s, r, fx / 4, fy / 4, HALF) for s, r, fx, fy in KEYS]
    return torch.from_numpy(np.stack(patches + [np.zeros((PATCH, PATCH), np.float32)]))


def describe(scene):
    """-> (int16 [3, 3] mask number and left, top of each object, uint8 [5, 3] colours of background top, bottom and objects)"""
    place = np.tile(np.array([BLANK, 0, 0], np.int16), (3, 1))
    color = np.zeros((5, 3), np.uint8)
    color[0], color[1] = scenes.COLORS[scene.bg[0]], scenes.COLORS[scene.bg[1] or scene.bg[0]]
    for i, o in enumerate(scene.objs):
        ix, iy = math.floor(o.x), math.floor(o.y)
        place[i] = KEYS[o.shape, o.r, int((o.x - ix) * 4), int((o.y - iy) * 4)], ix - HALF, iy - HALF
        color[2 + i] = scenes.COLORS[o.color]
    return place, color


def alphas(bank, place):
    """place [B, 3, 3] -> [B, 3, SIZE, SIZE]"""
    number, left, top = place.long().unbind(-1)
    axis = torch.arange(scenes.SIZE, device=place.device)
    u, v = axis - left[..., None], axis - top[..., None]
    inside = lambda k: (k >= 0) & (k < PATCH)
    a = bank[number[..., None, None], v.clamp(0, PATCH - 1)[..., :, None], u.clamp(0, PATCH - 1)[..., None, :]]
    return a * (inside(v)[..., :, None] & inside(u)[..., None, :])


def _u8(x):
    return torch.floor(x + 0.5).clamp(0, 255)


def backgrounds(color):
    t = torch.linspace(0, 1, scenes.SIZE, device=color.device)[None, None, :, None]
    top, bottom = color[:, 0].float()[:, :, None, None], color[:, 1].float()[:, :, None, None]
    return (top * (1 - t) + bottom * t).expand(-1, -1, -1, scenes.SIZE)


def draw(bank, place, color):
    """-> RGB [B, 3, SIZE, SIZE] in -1..1, rounded as 8-bit pictures are"""
    img = backgrounds(color)
    for i, a in enumerate(alphas(bank, place).unbind(1)):
        a = a[:, None]
        img = img * (1 - a) + color[:, 2 + i].float()[:, :, None, None] * a
    return _u8(img) / 127.5 - 1


def draw_layers(bank, place, color):
    """-> RGBA [B, 5, 4, SIZE, SIZE] in -1..1: composite, background, three shape layers (transparent gray where there is none)"""
    out = torch.ones(len(place), 5, 4, scenes.SIZE, scenes.SIZE, device=place.device)
    out[:, 0, :3] = draw(bank, place, color)
    out[:, 1, :3] = _u8(backgrounds(color)) / 127.5 - 1
    used = (place[..., :1] != BLANK).float()
    tint = color[:, 2:].float() * used + 128 * (1 - used)
    out[:, 2:, :3] = (tint / 127.5 - 1)[..., None, None]
    out[:, 2:, 3] = _u8(alphas(bank, place) * 255) / 127.5 - 1
    return out
