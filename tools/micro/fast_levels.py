"""Measures what --fast leaves out and what it costs, with the program itself on held-out scenes.

    python3 fast_levels.py ../../build/veetance --count 200 [--steps 50] [--guidance 1]

A level's layers are compared with those of level 0 (PSNR of the layers over the colour that each shows on grey, alpha IoU) and with
the true layers (alpha IoU)."""

import argparse
import json
import pathlib
import random
import subprocess
import tempfile

import numpy as np
from PIL import Image

import checks
import scenes

SCENE_SEED = 777003  # as in evaluate.py


def take_apart(program, picture, out, layers, seed, options):
    command = [program, "layers", "-m", "micro-layered", "-i", picture, "-o", out, "-n", layers, "--seed", seed,
               "--keep-empty", "-q", "--json", "--threads", 2, *options]
    report = json.loads(subprocess.run([str(c) for c in command], check=True, capture_output=True).stdout)
    images = [np.asarray(Image.open(out / f"layer_{i}.png").convert("RGBA")) for i in range(layers)]
    return np.stack(images), report["passes"]


def on_grey(layers):
    alpha = layers[..., 3:].astype(np.float32) / 255
    return layers[..., :3] * alpha + 128 * (1 - alpha)


def alpha_iou(a, b):
    a, b = a[1:, ..., 3] > 127, b[1:, ..., 3] > 127
    return [float((x & y).sum() / max((x | y).sum(), 1)) for x, y in zip(a, b)]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("program")
    ap.add_argument("--count", type=int, default=200)
    ap.add_argument("--steps", type=int, default=50)
    ap.add_argument("--guidance", type=float, default=1)
    ap.add_argument("--levels", type=int, nargs="+", default=[0, 1, 2, 3])
    a = ap.parse_args()
    rng = random.Random(SCENE_SEED)
    found = [scenes.draw_where(rng, scenes.random_layered_scene, True) for _ in range(a.count)]
    common = ["--steps", a.steps, "--guidance", a.guidance]
    rows = {level: [] for level in a.levels}
    with tempfile.TemporaryDirectory() as home:
        home = pathlib.Path(home)
        for i, scene in enumerate(found):
            Image.fromarray(scenes.render(scene)).save(home / "scene.png")
            n = len(scene.objs) + 1
            exact = None
            for level in a.levels:
                layers, passes = take_apart(a.program, home / "scene.png", home / f"{i}-{level}", n, i, [*common, "--fast", level])
                exact = layers if exact is None else exact
                rows[level].append({
                    "psnr": checks.psnr(on_grey(layers), on_grey(exact)),
                    "iou": alpha_iou(layers, exact),
                    "true_iou": checks.check_layers(layers, scene)["iou"],
                    "passes": passes["computed"],
                })
    for level, all_rows in rows.items():
        flat = lambda key: [v for r in all_rows for v in r[key]]
        one = lambda key: [r[key] for r in all_rows]
        print(f"level {level}: passes {np.mean(one('passes')):.1f}, "
              f"PSNR {np.mean(one('psnr')):.1f} dB (least {np.min(one('psnr')):.1f}), alpha IoU with level 0 {np.mean(flat('iou')):.4f}, "
              f"with the truth {np.mean(flat('true_iou')):.4f}")


if __name__ == "__main__":
    main()
