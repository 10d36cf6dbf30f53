"""Trains the transformer of micro-klein: text to image and edits, by flow matching on VAE latents.

    python3 train_klein.py --model ../../models/micro-klein --minutes 8 --out klein.safetensors

Needs the tokenizer, text encoder and VAE of that folder; writes the averaged float32 weights of the transformer."""

import argparse
import math
import multiprocessing
import os
import random
import time

import numpy as np
import torch

import canvas
import checks
import encoders
import loop
import scenes
import words
from diffusers import Flux2Transformer2DModel
from diffusers.models.transformers import transformer_flux2
from optim import MuonAdamW

CONFIG = dict(
    patch_size=1,
    in_channels=64,
    num_layers=2,
    num_single_layers=4,
    attention_head_dim=32,
    num_attention_heads=4,
    joint_attention_dim=192,
    mlp_ratio=3.0,
    axes_dims_rope=(8, 8, 8, 8),
    rope_theta=2000,
    guidance_embeds=False,
)
WIDTH = CONFIG["attention_head_dim"] * CONFIG["num_attention_heads"]
REFERENCE_TIME = 10  # rope coordinate of the first reference picture
STEPS = 8
NOISE = [(0.85, 1.92)]  # the pipeline's time shift at 8 steps and 64 tokens; the rest of the time uniform
SHAPE_WEIGHT = 3.0  # tokens that show a shape count this much


def initialise(model):
    """Scaled normal weights, zero output, open gates - and half of the heads begin as positional ones: their queries and keys agree
    for the same row and column, whatever the time coordinate, so an edit can copy from the reference from the start. There are no
    biases to do that with, so modulation shifts feature 0 by a constant and column 0 of the projections turns it into a direction."""
    dim = CONFIG["attention_head_dim"]
    axis = dim // 4
    positional = [head * dim + a * axis + f for head in range(CONFIG["num_attention_heads"] // 2) for a in (1, 2) for f in (0, 2)]
    for name, p in model.named_parameters():
        if "modulation" in name:
            p.normal_(0, 0.002)
            for block in range(0, len(p) // WIDTH, 3):  # shift, scale, gate
                p[(block + 2) * WIDTH : (block + 3) * WIDTH] += 0.4 / (0.2 * WIDTH)
                p[block * WIDTH] = 3.0 / (0.2 * WIDTH)
        elif "norm_out" in name or "proj_out" in name:
            p.zero_()
        elif "timestep_embedder" in name:
            p.normal_(0, 1 / math.sqrt(p.shape[1]))
        elif p.ndim == 2:
            gain = 0.5 if any(k in name for k in ("to_out", "linear_out", "to_add_out")) else 0.7
            p.normal_(0, gain / math.sqrt(p.shape[1]))
            if "attn.to_q." in name or "attn.to_k." in name or "to_qkv_mlp_proj" in name:
                p[positional, 0] = 1.0
            if "to_qkv_mlp_proj" in name:
                p[[WIDTH + i for i in positional], 0] = 1.0
        else:
            p.fill_(1.4)  # query and key norms


def matrices(name, p):
    """Row counts of the matrices that are fused in a parameter; None for what AdamW trains"""
    if p.ndim != 2 or "transformer_blocks" not in name:
        return None
    if "to_qkv_mlp_proj" in name:
        return [WIDTH] * 3 + [(len(p) - 3 * WIDTH) // 2] * 2
    return [len(p) // 2] * 2 if "linear_in" in name else [len(p)]


def build(device):
    torch.manual_seed(0)
    model = Flux2Transformer2DModel(**CONFIG)
    with torch.no_grad():
        initialise(model)
    return model.to(device)


# ---------------------------------------------------------------- data


def _some_examples(job):
    """One worker's share: pictures as numbers (see canvas.describe), captions and instructions as tokens"""
    seed, count, folder = job
    rng, tokenizer = random.Random(seed), encoders.Qwen2Tokenizer.from_pretrained(f"{folder}/tokenizer")
    before, after, captions, shown, instructions = [], [], [], [], []
    while len(before) < count:
        scene = scenes.draw_where(rng, scenes.random_scene, False)
        edit = scenes.random_edit(rng, scene)
        if not edit:
            continue
        changed, op, params = edit
        before.append(canvas.describe(scene))
        after.append(canvas.describe(changed))
        instructions.append("" if rng.random() < 0.01 else words.instruction(rng, scene, op, params)[0])
        # a changed scene is captioned only where its arrangement still is what its kind says
        use_changed = op in ("recolor", "background", "replace") and rng.random() < 0.5 and not scenes.held_out(changed)
        shown.append(use_changed)
        for _ in range(2):
            captions.append("" if rng.random() < 0.02 else words.caption(rng, changed if use_changed else scene)[0])
    stack = lambda rows: [np.stack(a) for a in zip(*rows)]
    tokens = [t.numpy().astype(np.int16) for t in (*encoders.klein_ids(tokenizer, captions), *encoders.klein_ids(tokenizer, instructions))]
    return (*stack(before), *stack(after), *tokens, np.array(shown))


class Pool:
    """All training data, on the device: latents before and after each edit, embeddings of two captions and one instruction each"""

    def __init__(self, pairs, folder, text, vae, device, seed):
        t0 = time.time()
        workers = min(os.cpu_count(), 16)
        jobs = [(seed * 1000 + i, pairs // workers, folder) for i in range(workers)]
        with multiprocessing.get_context("fork").Pool(workers) as pool:
            parts = [torch.from_numpy(np.concatenate(a)) for a in zip(*pool.map(_some_examples, jobs))]
        place_a, color_a, place_b, color_b, *tokens, self.shown = parts
        print(f"{len(place_a)} pairs drawn up in {time.time() - t0:.0f} s", flush=True)
        bank = canvas.mask_bank().to(device)
        half = torch.bfloat16 if device == "cuda" else torch.float32
        chunk = 1024 if device == "cuda" else 32

        def latents(place, color):
            out = torch.empty(len(place), 64, 64, dtype=half, device=device)
            for i in range(0, len(place), chunk):
                with torch.autocast(device, torch.bfloat16):
                    out[i : i + chunk] = vae.encode(canvas.draw(bank, place[i : i + chunk].to(device), color[i : i + chunk].to(device)))
            return out

        def embeddings(ids, attention):
            out = torch.empty(len(ids), encoders.KLEIN_TOKENS, 192, dtype=half, device=device)
            for i in range(0, len(ids), 4 * chunk):
                out[i : i + 4 * chunk] = text.embed(ids[i : i + 4 * chunk].long(), attention[i : i + 4 * chunk].long())
            return out

        self.before, self.after = latents(place_a, color_a), latents(place_b, color_b)
        self.captions, self.instructions = embeddings(*tokens[:2]), embeddings(*tokens[2:])
        self.shown = self.shown.to(device)
        print(f"encoded, {time.time() - t0:.0f} s", flush=True)


def emphasis(z):
    """Weights of tokens [B, 64]: what differs from the usual token of its row shows a shape"""
    rows = z.unflatten(1, (8, 8))
    odd = (rows - rows.median(2, keepdim=True).values).square().mean(-1) > 0.25
    return 1 + (SHAPE_WEIGHT - 1) * odd.flatten(1).float()


def positions(time_coordinate, device):
    return torch.cartesian_prod(torch.tensor([time_coordinate]), torch.arange(8), torch.arange(8), torch.arange(1)).to(device)


class Flow:
    """The transformer as the pipeline calls it"""

    def __init__(self, model, device):
        self.model = model
        tokens = torch.arange(encoders.KLEIN_TOKENS)
        self.text_ids = torch.cartesian_prod(torch.arange(1), torch.arange(1), torch.arange(1), tokens).to(device)
        self.ids = positions(0, device)
        self.edit_ids = torch.cat([self.ids, positions(REFERENCE_TIME, device)])
        model.pos_embed = loop.Remember(model.pos_embed)

    def __call__(self, x, t, text, reference=None):
        h = x if reference is None else torch.cat([x, reference], 1)
        out = self.model(
            hidden_states=h,
            encoder_hidden_states=text,
            timestep=t,
            img_ids=self.ids if reference is None else self.edit_ids,
            txt_ids=self.text_ids,
            return_dict=False,
        )[0]
        return out[:, : x.shape[1]].float()


def sampler_levels(steps=STEPS, mu=1.92):
    u = torch.linspace(1, 1 / steps, steps)
    return [*loop.shift(u, mu).tolist(), 0.0]


def sample(flow, text, reference, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(len(text), 64, 64, generator=generator).to(text.device)
    levels = sampler_levels()
    for now, then in zip(levels, levels[1:]):
        x = x + (then - now) * flow(x, torch.full((len(x),), now, device=x.device), text, reference)
    return x


class HeldOut:
    """A few held-out prompts and edits, sampled and checked while training goes on"""

    def __init__(self, flow, text, vae, device, count):
        rng = random.Random(4242)
        self.flow, self.vae = flow, vae
        self.scenes = [scenes.draw_where(rng, scenes.random_scene, True) for _ in range(count)]
        self.text = text.embed(*encoders.klein_ids(text.tokenizer, [words.caption(rng, s, omit=False)[0] for s in self.scenes]))
        edits = []
        while len(edits) < count:
            scene = scenes.draw_where(rng, scenes.random_scene, True)
            edit = scenes.random_edit(rng, scene)
            if edit:
                edits.append((scene, edit[0], words.instruction(rng, scene, *edit[1:])[0]))
        self.targets = [e[1] for e in edits]
        self.edit_text = text.embed(*encoders.klein_ids(text.tokenizer, [e[2] for e in edits]))
        pictures = torch.from_numpy(np.stack([scenes.render(e[0]) for e in edits])).to(device)
        self.reference = vae.encode(pictures.permute(0, 3, 1, 2) / 127.5 - 1)

    def _judge(self, text, reference, targets):
        rgb = self.vae.decode(sample(self.flow, text, reference, 7))
        pictures = ((rgb.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        return [checks.check(p, s) for p, s in zip(pictures, targets)]

    def __call__(self):
        drawn = self._judge(self.text, None, self.scenes)
        edited = self._judge(self.edit_text, self.reference, self.targets)
        text = [f"{k} {checks.share(drawn, k):.3f}" for k in ("all", "named", "place", "background")]
        return "  ".join(text + [f"color {checks.object_share(drawn, 'color'):.3f}", f"edits {checks.share(edited, 'all'):.3f}"])


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--model", required=True, help="folder with tokenizer, text_encoder and vae")
    ap.add_argument("--out", required=True)
    ap.add_argument("--start", help="weights to go on from")
    ap.add_argument("--minutes", type=float, default=8)
    ap.add_argument("--pairs", type=int, default=160_000)
    ap.add_argument("--batch", type=int, default=512, help="captions in a step; edits are 3/4 as many")
    ap.add_argument("--lr", type=float, default=5e-3, help="of Muon; AdamW has 0.4 of it")
    ap.add_argument("--checks", type=int, default=64, help="prompts and edits sampled at each look")
    ap.add_argument("--seed", type=int, default=1, help="of the data")
    ap.add_argument("--no-compile", action="store_true", help="as for a try on the CPU")
    ap.add_argument("--no-graph", action="store_true")
    a = ap.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    text, vae = encoders.KleinText(a.model, device), encoders.KleinVae(a.model, device)
    pool = Pool(a.pairs, a.model, text, vae, device, a.seed)
    transformer_flux2.dispatch_attention_fn = loop.attention
    model = build(device)
    if a.start:
        loop.load_weights(model, a.start)
    flow = Flow(model, device)
    look = HeldOut(flow, text, vae, device, a.checks)
    if not a.no_compile:
        model.compile_repeated_blocks(dynamic=False)
    edits = a.batch * 3 // 4

    def loss():
        i = torch.randint(len(pool.before), (a.batch,), device=device)
        z = torch.where(pool.shown[i][:, None, None], pool.after[i], pool.before[i]).float()
        caption = pool.captions[2 * i + torch.randint(2, (a.batch,), device=device)]
        drawing = loop.flow_loss(lambda x, t: flow(x, t, caption), z, NOISE, emphasis(z))
        i = torch.randint(len(pool.before), (edits,), device=device)
        z, reference = pool.after[i].float(), pool.before[i].float()
        editing = loop.flow_loss(lambda x, t: flow(x, t, pool.instructions[i], reference), z, NOISE, emphasis(z))
        return {"drawing": drawing, "editing": 0.75 * editing}

    opt = MuonAdamW(list(model.named_parameters()), matrices, a.lr, 0.4 * a.lr)
    loop.train(model, opt, loss, a.minutes, a.out, look, graph=device == "cuda" and not a.no_graph)


if __name__ == "__main__":
    main()
