"""Measures a model folder with the reference pipelines on held-out prompts, edits or scenes, by pixel checks.

    python3 evaluate.py klein --model ../../models/micro-klein --count 200 --edits 200 --sheet sheet.png
    python3 evaluate.py layered --model ../../models/micro-layered --count 200 --sheet sheet.png [--gguf FILE]"""

import argparse
import json
import random

import numpy as np
from PIL import Image

import checks
import pipelines
import scenes
import words

PROMPT_SEED, EDIT_SEED, SCENE_SEED = 777001, 777002, 777003  # of the held-out material


def held_out_prompts(count, seed=PROMPT_SEED):
    rng = random.Random(seed)
    found = [scenes.draw_where(rng, scenes.random_scene, True) for _ in range(count)]
    return [(s, words.caption(rng, s, omit=False)[0]) for s in found]


def held_out_edits(count, seed=EDIT_SEED):
    """-> [(scene, scene after the edit, operation, instruction)]"""
    rng, out = random.Random(seed), []
    while len(out) < count:
        scene = scenes.draw_where(rng, scenes.random_scene, True)
        edit = scenes.random_edit(rng, scene)
        if edit:
            out.append((scene, edit[0], edit[1], words.instruction(rng, scene, *edit[1:])[0]))
    return out


def held_out_scenes(count, seed=SCENE_SEED):
    rng = random.Random(seed)
    return [scenes.draw_where(rng, scenes.random_layered_scene, True) for _ in range(count)]


def sheet(pictures, columns, path):
    """Pictures of one size side by side; the lowest bits, which nobody sees, go for the sake of a small file"""
    pictures = pictures + [np.full_like(pictures[0], 255)] * (-len(pictures) % columns)
    rows = [np.concatenate(pictures[i : i + columns], 1) for i in range(0, len(pictures), columns)]
    Image.fromarray(np.concatenate(rows) // 6 * 6 + 2).save(path, optimize=True)


def framed(picture, width=2):
    return np.pad(picture, ((width, width), (width, width), (0, 0)), constant_values=90)


def summary(results):
    shares = {k: checks.share(results, k) for k in ("all", "named", "place", "background")}
    objects = {k: checks.object_share(results, k) for k in ("color", "shape", "size")}
    return {"n": len(results)} | {k: round(v, 4) for k, v in (shares | {"object_" + k: v for k, v in objects.items()}).items()}


def evaluate_klein(a):
    pipe = pipelines.Klein(a.model)
    prompts = held_out_prompts(a.count)
    drawn = []
    for i in range(0, a.count, 20):
        drawn += list(pipe([t for _, t in prompts[i : i + 20]], list(range(i, min(i + 20, a.count)))))
    results = [checks.check(p, s) for p, (s, _) in zip(drawn, prompts)]
    report = {"prompts": summary(results)}
    for kind in ("one", "row2", "col2", "inside", "row3", "col3"):
        report["prompts"]["kind_" + kind] = round(checks.share([r for r, (s, _) in zip(results, prompts) if s.kind == kind], "all"), 3)
    edits, made, kept = held_out_edits(a.edits), [], []
    for i, (before, after, _, text) in enumerate(edits):
        made.append(pipe([text], [i], image=scenes.render(before))[0])
        kept.append(checks.psnr(made[-1], scenes.render(after)))
    results = [checks.check(p, e[1]) for p, e in zip(made, edits)]
    report["edits"] = summary(results) | {"psnr_to_truth": round(float(np.mean(kept)), 2)}
    for op in ("recolor", "background", "remove", "add", "replace"):
        report["edits"]["op_" + op] = round(checks.share([r for r, e in zip(results, edits) if e[2] == op], "all"), 3)
    if a.sheet:
        sheet([framed(p) for p in drawn[:64]], 8, a.sheet)
        pairs = [framed(np.concatenate([scenes.render(e[0]), p], 1)) for e, p in zip(edits, made)]
        sheet(pairs[:32], 4, a.sheet.replace(".png", "-edits.png"))
    return report


def evaluate_layered(a):
    pipe = pipelines.Layered(a.model)
    if a.gguf:
        pipe.use_gguf(a.gguf)
    found, results, taken = held_out_scenes(a.count), [], []
    for i, scene in enumerate(found):
        taken.append(pipe(scenes.render(scene), len(scene.objs) + 1, i))
        results.append(checks.check_layers(taken[-1], scene))
    iou = [v for r in results for v in r["iou"]]
    report = {
        "n": a.count,
        "alpha_iou": round(float(np.mean(iou)), 4),
        "iou_over_0.8": round(float(np.mean([v > 0.8 for v in iou])), 4),
        "order": round(checks.share(results, "order"), 4),
        "composite_psnr": round(float(np.mean([r["composite_psnr"] for r in results])), 2),
        "background_psnr": round(float(np.mean([r["background_psnr"] for r in results])), 2),
    }
    for n in (2, 3, 4):
        some = [v for r, s in zip(results, found) if len(s.objs) == n - 1 for v in r["iou"]]
        report[f"alpha_iou_{n}_layers"] = round(float(np.mean(some)), 4)
    for radius in scenes.LAYER_RADIUS.values():
        some = [v for r, s in zip(results, found) for v, o in zip(r["iou"], s.objs) if o.r == radius]
        report[f"alpha_iou_radius_{radius:.0f}"] = round(float(np.mean(some)), 4)
    if a.sheet:
        sheet([_row(scenes.render(s), t) for s, t in zip(found[:64], taken)], 4, a.sheet)
    return report


def _row(picture, layers):
    """The picture and its layers on a chequered ground, at half size"""
    ground = np.where((np.indices(picture.shape[:2]) // 16).sum(0) % 2, 225, 190)[..., None]
    tiles = [picture]
    for layer in layers:
        a = layer[..., 3:] / 255
        tiles.append((layer[..., :3] * a + ground * (1 - a)).astype(np.uint8))
    tiles += [np.full_like(picture, 255)] * (5 - len(tiles))
    return np.concatenate([framed(np.asarray(Image.fromarray(t).reduce(2)), 1) for t in tiles], 1)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("kind", choices=["klein", "layered"])
    ap.add_argument("--model", required=True)
    ap.add_argument("--count", type=int, default=200, help="held-out prompts or scenes")
    ap.add_argument("--edits", type=int, default=200)
    ap.add_argument("--gguf", help="take the transformer from this file instead")
    ap.add_argument("--sheet", help="write a contact sheet of 64 samples here")
    a = ap.parse_args()
    print(json.dumps(evaluate_klein(a) if a.kind == "klein" else evaluate_layered(a), indent=1))


if __name__ == "__main__":
    main()
