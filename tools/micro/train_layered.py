"""Trains the transformer of micro-layered: given a picture, draw its layers, by flow matching on VAE latents.

    python3 train_layered.py --model ../../models/micro-layered --minutes 8 --out layered.safetensors

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
from diffusers import QwenImageTransformer2DModel
from diffusers.models.transformers import transformer_qwenimage
from optim import MuonAdamW

CONFIG = dict(
    patch_size=2,
    in_channels=64,
    out_channels=16,
    num_layers=4,
    attention_head_dim=32,
    num_attention_heads=4,
    joint_attention_dim=64,
    guidance_embeds=False,
    axes_dims_rope=(8, 12, 12),
    zero_cond_t=False,
    use_additional_t_cond=True,
    use_layer3d_rope=True,
)
WIDTH = CONFIG["attention_head_dim"] * CONFIG["num_attention_heads"]
STEPS = 10
MU = 0.5  # sqrt(64 tokens / 256): the pipeline's time shift at this size
TERMINAL = 0.02  # the scheduler stretches its last level to this
NOISE = [(0.65, MU), (0.35, 2.0)]  # the sampler's levels, and more of the noisy ones, where everything is decided
SHAPE_WEIGHT = 6.0  # of tokens that show a shape
COMPOSITE_WEIGHT = 0.25  # the first frame repeats the picture and is thrown away
COUNTS = {2: 0.2, 3: 0.4, 4: 0.4}  # number of layers: share of the batch


def initialise(model):
    """Scaled normal weights, zero output, open gates - and half of the heads begin as positional ones: the biases of their queries
    and keys agree for the same row and column, whatever the frame, so layers can look at the picture from the start."""
    dim = CONFIG["attention_head_dim"]
    frame, height, _ = CONFIG["axes_dims_rope"]
    positional = [h * dim + o + f for h in range(CONFIG["num_attention_heads"] // 2) for o in (frame, frame + height) for f in (0, 2)]
    for name, p in model.named_parameters():
        if "img_mod" in name or "txt_mod" in name:
            p.normal_(0, 0.002)
            if p.ndim == 1:
                p.zero_()
                p[2 * WIDTH : 3 * WIDTH] = p[5 * WIDTH : 6 * WIDTH] = 0.4  # gates
        elif "norm_out" in name or "proj_out" in name:
            p.zero_()
        elif "addition_t_embedding" in name:
            p.normal_(0, 0.02)
        elif p.ndim == 2:
            gain = 0.5 if any(k in name for k in ("to_out", "net.2", "to_add_out")) else 0.7
            p.normal_(0, gain / math.sqrt(p.shape[1]))
        elif "bias" in name:
            p.zero_()
            if name.endswith("attn.to_q.bias") or name.endswith("attn.to_k.bias"):
                p[positional] = 3.0
        elif "attn.norm" in name:
            p.fill_(1.6)


def matrices(name, p):
    """Row counts of the matrices in a parameter; None for what AdamW trains"""
    if p.ndim != 2 or "transformer_blocks" not in name or "_mod" in name:
        return None
    return [WIDTH] * (len(p) // WIDTH)


def build(device):
    torch.manual_seed(0)
    model = QwenImageTransformer2DModel(**CONFIG)
    with torch.no_grad():
        initialise(model)
    return model.to(device)


def real_rope(x, table):
    """apply_rotary_emb_qwen without complex numbers; table [S, dim, 2] holds cosines and sines, each twice"""
    c, s = table.unbind(-1)
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack([-b, a], -1).flatten(-2)
    return (x.float() * c[:, None] + turned * s[:, None]).to(x.dtype)


class RealTable(torch.nn.Module):
    """The model's rotary table as cosines and sines, for real_rope"""

    def __init__(self, table):
        super().__init__()
        self.table = table

    def forward(self, *where, **options):
        with torch.device("cpu"):
            real = [torch.view_as_real(t.cpu()).repeat_interleave(2, 1) for t in self.table(*where, **options)]
        return [t.to(options["device"]) for t in real]


def prepare(model):
    """Replaces what a CUDA graph or torch.compile cannot take"""
    transformer_qwenimage.ROPE_PER_DEVICE = {"cuda": real_rope, "cpu": real_rope}
    transformer_qwenimage.dispatch_attention_fn = loop.attention
    transformer_qwenimage.compute_text_seq_len_from_mask = _text_length
    model.pos_embed = loop.Remember(RealTable(model.pos_embed))


def _text_length(text, keep):
    """compute_text_seq_len_from_mask, without copying between host and device"""
    return text.shape[1], None, keep


# ---------------------------------------------------------------- data


def _some_examples(job):
    seed, count, folder = job
    rng, tokenizer = random.Random(seed), encoders.Qwen2Tokenizer.from_pretrained(f"{folder}/tokenizer")
    found = [scenes.draw_where(rng, scenes.random_layered_scene, False) for _ in range(count)]
    tokens = encoders.layered_ids(tokenizer, [words.layered_caption(rng, s) for s in found])
    described = [np.stack(a) for a in zip(*map(canvas.describe, found))]
    return (*described, np.array([len(s.objs) for s in found]), *(t.numpy().astype(np.int16) for t in tokens))


class Pool:
    """Latents of all frames (composite, background, three shape layers) and an embedding of one caption for each scene"""

    def __init__(self, count, folder, text, vae, device, seed):
        t0 = time.time()
        workers = min(os.cpu_count(), 16)
        jobs = [(seed * 1000 + i, count // workers, folder) for i in range(workers)]
        with multiprocessing.get_context("fork").Pool(workers) as pool:
            parts = [torch.from_numpy(np.concatenate(a)) for a in zip(*pool.map(_some_examples, jobs))]
        place, color, shapes, ids, attention = parts
        print(f"{len(place)} scenes drawn up in {time.time() - t0:.0f} s", flush=True)
        bank = canvas.mask_bank().to(device)
        half = torch.bfloat16 if device == "cuda" else torch.float32
        chunk = 256 if device == "cuda" else 8
        self.frames = torch.empty(len(place), 5, 64, 64, dtype=half, device=device)
        self.captions = torch.empty(len(place), encoders.LAYERED_TOKENS, 64, dtype=half, device=device)
        self.keep = torch.empty(len(place), encoders.LAYERED_TOKENS, dtype=torch.bool, device=device)
        for i in range(0, len(place), chunk):
            j = slice(i, i + chunk)
            with torch.autocast(device, torch.bfloat16):
                rgba = canvas.draw_layers(bank, place[j].to(device), color[j].to(device))
                self.frames[j] = vae.encode(rgba.flatten(0, 1)).unflatten(0, (-1, 5))
            self.captions[j], self.keep[j] = text.embed(ids[j].long(), attention[j].long())
        self.plain, self.plain_keep = (t.to(half) for t in text.embed(*encoders.layered_ids(text.tokenizer, words.LAYER_PROMPTS)))
        self.plain_keep = self.plain_keep.bool()
        # scenes fit for n layers: n - 1 shapes mostly, now and then fewer
        self.fit = {}
        for n in COUNTS:
            rare = [torch.nonzero(shapes == k).flatten() for k in range(1, n - 1)]
            usual = torch.nonzero(shapes == n - 1).flatten()
            self.fit[n] = (usual.to(device), torch.cat(rare).to(device) if rare else usual.to(device))
        print(f"encoded, {time.time() - t0:.0f} s", flush=True)

    def batch(self, n, size):
        """-> frames [size, n + 1, 64, 64], text, its mask"""
        device = self.frames.device
        usual, rare = (s[torch.randint(len(s), (size,), device=device)] for s in self.fit[n])
        i = torch.where(torch.rand(size, device=device) < 0.75, usual, rare)
        said = torch.rand(size, device=device) < 0.3
        plain = torch.randint(len(self.plain), (size,), device=device)
        text = torch.where(said[:, None, None], self.captions[i], self.plain[plain])
        return self.frames[i, : n + 1], text, torch.where(said[:, None], self.keep[i], self.plain_keep[plain])


def emphasis(frames):
    """Weights of tokens: those that show a shape count more"""
    rows = frames.float().unflatten(2, (8, 8))
    odd = (rows - rows.median(3, keepdim=True).values).square().mean(-1) > 0.2
    weight = 1 + (SHAPE_WEIGHT - 1) * odd.float()
    weight[:, 0] *= COMPOSITE_WEIGHT
    return weight.flatten(1)


class Flow:
    """The transformer as the pipeline calls it: noisy frames, then the clean picture"""

    def __init__(self, model):
        self.model = model

    def __call__(self, x, t, picture, text, keep):
        n = x.shape[1] // 64
        out = self.model(
            hidden_states=torch.cat([x, picture], 1),
            encoder_hidden_states=text,
            encoder_hidden_states_mask=keep,
            timestep=t,
            img_shapes=[[(1, 8, 8)] * (n + 1)],
            additional_t_cond=torch.zeros(len(x), dtype=torch.long, device=x.device),
            return_dict=False,
        )[0]
        return out[:, : x.shape[1]].float()


def sampler_levels(steps=STEPS):
    levels = loop.shift(torch.linspace(1, 1 / steps, steps), MU)
    levels = 1 - (1 - levels) * (1 - TERMINAL) / (1 - levels[-1])
    return [*levels.tolist(), 0.0]


def sample(flow, picture, n, text, keep, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(len(picture), (n + 1) * 64, 64, generator=generator).to(picture.device)
    levels = sampler_levels()
    for now, then in zip(levels, levels[1:]):
        x = x + (then - now) * flow(x, torch.full((len(x),), now, device=x.device), picture, text, keep)
    return x.unflatten(1, (n + 1, 64))[:, 1:]


class HeldOut:
    """A few held-out scenes, taken apart and checked while training goes on"""

    def __init__(self, flow, text, vae, device, count):
        rng = random.Random(4242)
        self.flow, self.vae, self.device = flow, vae, device
        found = [scenes.draw_where(rng, scenes.random_layered_scene, True) for _ in range(count)]
        self.groups = {n: [s for s in found if len(s.objs) == n - 1] for n in COUNTS}
        self.text, self.keep = text.embed(*encoders.layered_ids(text.tokenizer, words.LAYER_PROMPTS[:1]))

    def __call__(self):
        results = []
        for n, group in self.groups.items():
            if not group:
                continue
            rgb = torch.from_numpy(np.stack([scenes.render(s) for s in group])).to(self.device).permute(0, 3, 1, 2) / 127.5 - 1
            picture = self.vae.encode(torch.cat([rgb, torch.ones_like(rgb[:, :1])], 1))
            latents = sample(self.flow, picture, n, self.text.expand(len(group), -1, -1), self.keep.expand(len(group), -1), 7)
            rgba = self.vae.decode(latents.flatten(0, 1)).clamp(-1, 1)
            layers = ((rgba + 1) * 127.5).round().byte().permute(0, 2, 3, 1).unflatten(0, (-1, n)).cpu().numpy()
            results += [checks.check_layers(a, s) for a, s in zip(layers, group)]
        mean = lambda key: np.mean([r[key] for r in results])
        iou = [v for r in results for v in r["iou"]]
        return (
            f"alpha IoU {np.mean(iou):.3f} (worst {min(iou):.2f})  order {checks.share(results, 'order'):.3f}  "
            f"composite {mean('composite_psnr'):.1f} dB  background {mean('background_psnr'):.1f} dB"
        )


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--model", required=True, help="folder with tokenizer, text_encoder and vae")
    ap.add_argument("--out", required=True)
    ap.add_argument("--start", help="weights to go on from")
    ap.add_argument("--minutes", type=float, default=8)
    ap.add_argument("--scenes", type=int, default=100_000)
    ap.add_argument("--batch", type=int, default=512, help="scenes in a step")
    ap.add_argument("--lr", type=float, default=5e-3, help="of Muon; AdamW has 0.4 of it")
    ap.add_argument("--checks", type=int, default=64, help="scenes sampled at each look")
    ap.add_argument("--seed", type=int, default=1, help="of the data")
    ap.add_argument("--no-compile", action="store_true", help="as for a try on the CPU")
    ap.add_argument("--no-graph", action="store_true")
    a = ap.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    text, vae = encoders.LayeredText(a.model, device), encoders.LayeredVae(a.model, device)
    pool = Pool(a.scenes, a.model, text, vae, device, a.seed)
    model = build(device)
    prepare(model)
    if a.start:
        loop.load_weights(model, a.start)
    flow = Flow(model)
    look = HeldOut(flow, text, vae, device, a.checks)
    if not a.no_compile:
        model.compile_repeated_blocks(dynamic=False)

    def one(n):
        frames, caption, keep = pool.batch(n, int(a.batch * COUNTS[n]))
        clean, picture = frames.float().flatten(1, 2), frames[:, 0].float()
        predict = lambda x, t: flow(x, t, picture, caption, keep)
        return COUNTS[n] * loop.flow_loss(predict, clean, NOISE, emphasis(frames))

    opt = MuonAdamW(list(model.named_parameters()), matrices, a.lr, 0.4 * a.lr)
    graph = device == "cuda" and not a.no_graph
    loop.train(model, opt, lambda: {f"layers{n}": one(n) for n in COUNTS}, a.minutes, a.out, look, graph)


if __name__ == "__main__":
    main()
