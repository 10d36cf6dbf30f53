"""Writes tests/data/micro: held-out scenes with their true layers, prompts and edits, and what the reference pipelines make of them.

    python3 testdata.py --klein ../../models/micro-klein --layered ../../models/micro-layered --out ../../tests/data/micro"""

import argparse
import json
import os

import numpy as np
from PIL import Image

import checks
import evaluate
import pipelines
import scenes

PROMPTS, EDITS, SCENES, REFERENCE_SCENES = 24, 16, 24, 8
SEED = 31337  # of the material: not the one that evaluate.py uses


def save(picture, folder, name):
    Image.fromarray(picture).save(os.path.join(folder, name), optimize=True)
    return name


def probes(scene, margin=2, count=4):
    """Pixels [x, y] well inside each object's visible part, and on the background: a test can just look at their colour"""
    masks = [scenes.mask(o) for o in scene.objs]
    visible = []
    for i, m in enumerate(masks):
        v = m > 0.99
        for above in masks[i + 1 :]:
            v &= above < 0.01
        visible.append(v)
    bare = ~np.any([m > 0 for m in masks], 0)
    return [_spread(_shrink(v, margin), count) for v in visible], _spread(_shrink(bare, 6), 8)


def _shrink(m, margin):
    """Pixels whose neighbourhood lies in m; where nothing is left, less is asked"""
    while margin:
        out = m.copy()
        for dy in range(-margin, margin + 1):
            for dx in range(-margin, margin + 1):
                out &= np.roll(m, (dy, dx), (0, 1))
        if out.any():
            return out
        margin -= 1
    return m


def _spread(m, count):
    ys, xs = np.nonzero(m)
    pick = np.linspace(0, len(xs) - 1, count).astype(int)
    return [[int(xs[i]), int(ys[i])] for i in pick]


def expectation(scene):
    inside, bare = probes(scene)
    objects = [
        {"shape": o.shape, "color": o.color, "rgb": scenes.COLORS[o.color], "x": o.x, "y": o.y, "r": o.r, "probes": p}
        for o, p in zip(scene.objs, inside)
    ]
    background = scenes.to_u8(scenes.background(scene.bg))
    probed = [{"at": [x, y], "rgb": background[y, x].tolist()} for x, y in bare]
    return {"background": [c for c in scene.bg if c], "background_probes": probed, "objects": objects}


def klein_cases(pipe, folder):
    call = {"width": 128, "height": 128, "steps": pipelines.KLEIN_STEPS, "guidance": 1.0, "max_sequence_length": pipelines.KLEIN_TOKENS}
    cases = []
    for i, (scene, text) in enumerate(evaluate.held_out_prompts(PROMPTS, SEED)):
        picture = pipe([text], [1000 + i])[0]
        verdict = checks.check(picture, scene)
        case = {"id": f"prompt-{i:02d}", "prompt": text, "seed": 1000 + i, **call, "result": save(picture, folder, f"prompt-{i:02d}.png")}
        cases.append(case | {"expect": expectation(scene), "reference_right": verdict["all"]})
    for i, (before, after, op, text) in enumerate(evaluate.held_out_edits(EDITS, SEED)):
        source = scenes.render(before)
        picture = pipe([text], [2000 + i], image=source)[0]
        verdict = checks.check(picture, after)
        case = {"id": f"edit-{i:02d}", "operation": op, "prompt": text, "seed": 2000 + i, **call}
        case |= {"image": save(source, folder, f"edit-{i:02d}-input.png"), "result": save(picture, folder, f"edit-{i:02d}.png")}
        cases.append(case | {"expect": expectation(after), "reference_right": verdict["all"]})
    return cases


def layered_cases(pipe, folder):
    call = {"resolution": 128, "steps": pipelines.LAYERED_STEPS, "cfg": 1.0, "prompt": pipelines.words.LAYER_PROMPTS[0]}
    cases = []
    for i, scene in enumerate(evaluate.held_out_scenes(SCENES, SEED)):
        layers, name = len(scene.objs) + 1, f"scene-{i:02d}"
        opaque = np.full((scenes.SIZE, scenes.SIZE, 1), 255, np.uint8)
        case = {"id": name, "layers": layers, "seed": 3000 + i, **call}
        case["image"] = save(np.concatenate([scenes.render(scene), opaque], -1), folder, f"{name}-input.png")
        truth = scenes.render_layers(scene, layers)
        case["true_layers"] = [save(t, folder, f"{name}-true{k}.png") for k, t in enumerate(truth)]
        made = pipe(scenes.render(scene), layers, case["seed"])
        verdict = checks.check_layers(made, scene)
        if i < REFERENCE_SCENES:
            case["result"] = [save(t, folder, f"{name}-layer{k}.png") for k, t in enumerate(made)]
        case["reference_alpha_iou"] = [round(v, 3) for v in verdict["iou"]]
        case["reference_order_right"] = verdict["order"]
        case["reference_composite_psnr"] = round(verdict["composite_psnr"], 2)
        cases.append(case | {"expect": expectation(scene)})
    return cases


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--klein", required=True)
    ap.add_argument("--layered", required=True)
    ap.add_argument("--out", required=True)
    a = ap.parse_args()
    for name, pipeline, cases in (("klein", pipelines.Klein, klein_cases), ("layered", pipelines.Layered, layered_cases)):
        folder = os.path.join(a.out, name)
        os.makedirs(folder, exist_ok=True)
        found = cases(pipeline(getattr(a, name)), folder)
        with open(os.path.join(folder, "manifest.json"), "w") as f:
            head = {"model": f"micro-{name}", "palette": scenes.COLORS}
            f.write("{\n" + "".join(f' "{k}": {json.dumps(v)},\n' for k, v in head.items()))
            f.write(' "cases": [\n' + ",\n".join("  " + json.dumps(c) for c in found) + "\n ]\n}\n")


if __name__ == "__main__":
    main()
