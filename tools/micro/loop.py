"""The training loop that both transformers share: a wall-clock budget, one captured step replayed, checkpoints on the way."""

import functools
import math
import os
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from optim import schedule


def attention(q, k, v, attn_mask=None, **_):
    """[B, S, heads, dim], in place of diffusers' dispatcher, which torch.compile cannot see through"""
    return F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=attn_mask).transpose(1, 2)


class Remember(torch.nn.Module):
    """A rotary table depends on positions alone: computed once for each set of them, not in every step"""

    def __init__(self, table):
        super().__init__()
        self.table, self.known = [table], {}  # in a list: not a submodule, weights keep their names

    def forward(self, *where, **options):
        key = str([tuple(w.shape) if torch.is_tensor(w) else w for w in where] + [options])
        if key not in self.known:
            self.known[key] = self.table[0](*where, **options)
        return self.known[key]


def shift(u, mu):
    """The schedulers' exponential time shift: uniform u in 0..1 -> noise level in 0..1"""
    e = math.exp(mu)
    return e / (e + 1 / u - 1)


def noise_levels(n, parts, device):
    """n noise levels, each from one of parts = [(share, mu)], never quite 0"""
    u = torch.rand(n, device=device).clamp(1e-3, 1)
    pick = torch.rand(n, device=device)
    out, below = u, 0.0
    for share, mu in parts:
        out = torch.where((pick >= below) & (pick < below + share), shift(u, mu), out)
        below += share
    return out


def flow_loss(predict, clean, parts, emphasis):
    """Flow matching: from clean tokens [B, N, C] mixed with noise, predict noise - clean. emphasis [B, N] weighs tokens."""
    t = noise_levels(len(clean), parts, clean.device)
    noise = torch.randn_like(clean)
    mixed = torch.lerp(clean, noise, t[:, None, None])
    error = (predict(mixed, t) - (noise - clean)).square().mean(-1)
    return (error * emphasis).mean()


def save_average(opt, names, path):
    save_file({n: e.contiguous() for n, e in zip(names, opt.ema)}, path + ".tmp")
    os.replace(path + ".tmp", path)


def load_weights(model, path):
    model.load_state_dict(load_file(path, device=str(next(model.parameters()).device)))


def capture(step, warm=3):
    """A function that replays step() as a CUDA graph"""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(warm):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = step()

    def replay():
        graph.replay()
        return out

    return replay


def train(model, opt, loss, minutes, checkpoint, evaluate, graph=True, evaluations=6, log_every=500):
    """loss() draws a batch and returns a dict of scalars whose sum is minimised."""
    names = [n for n, _ in model.named_parameters()]
    cast = functools.partial(torch.autocast, opt.rate.device.type, torch.bfloat16, cache_enabled=False)
    for p in opt.params:
        p.grad = torch.zeros_like(p)

    def step():
        torch._foreach_zero_([p.grad for p in opt.params])
        with cast():
            parts = loss()
        sum(parts.values()).backward()
        norm = opt.step()
        return {k: v.detach() for k, v in parts.items()} | {"norm": norm}

    t0 = time.time()
    run = capture(step) if graph else step
    print(f"captured in {time.time() - t0:.0f} s", flush=True)
    start, n, looked = time.time(), 0, 0
    while (done := (time.time() - start) / (60 * minutes)) < 1:
        opt.rate.fill_(schedule(done))
        values = run()
        n += 1
        if n % log_every == 0 or n == 20:
            text = "  ".join(f"{k} {v.item():.4f}" for k, v in values.items())
            print(f"step {n}  {time.time() - start:.0f} s  {text}  rate {schedule(done):.3f}", flush=True)
        elif n % 25 == 0 and torch.cuda.is_available():
            torch.cuda.synchronize()  # the clock above must not run ahead of the device
        if done * evaluations > looked + 1:
            looked += 1
            _look(opt, names, checkpoint, evaluate)
    _look(opt, names, checkpoint, evaluate)
    print(f"{n} steps in {time.time() - start:.0f} s", flush=True)
    return n


def _look(opt, names, checkpoint, evaluate):
    save_average(opt, names, checkpoint)
    opt.swap_average()
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):  # in full float32, as the pipeline is run
        print("  held out:", evaluate(), flush=True)
    opt.swap_average()
