"""Muon for the matrices inside the blocks, AdamW for everything else, and a running average of the weights.

Every quantity that changes lives in a tensor, so that a whole training step can be captured as a CUDA graph and replayed."""

import math

import torch


def orthogonalise(g, steps=5):
    """Newton-Schulz iteration: [N, R, C] -> the nearest (semi-)orthogonal matrices, roughly. Keller Jordan's coefficients."""
    x = g.bfloat16()
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return (x.mT if tall else x).float()


class MuonAdamW:
    """named: [(name, parameter)]; chunks(name, parameter) -> list of row counts that are separate matrices, or None for AdamW."""

    MOMENTUM, BETA1, BETA2, CLIP = 0.95, 0.9, 0.98, 1.0

    def __init__(self, named, chunks, muon_lr, adam_lr, decay=0.01, average=0.999):
        self.params = [p for _, p in named]
        device = self.params[0].device
        self.muon_lr, self.adam_lr, self.decay = muon_lr, adam_lr, decay
        self.average = average
        self.rate = torch.zeros((), device=device)  # the schedule's factor, set before each step
        self.count = torch.zeros((), device=device)
        self.ema = [p.detach().clone() for p in self.params]
        self.matrices = [(p, rows) for n, p in named for rows in [chunks(n, p)] if rows]
        own = {id(p) for p, _ in self.matrices}
        self.others = [p for p in self.params if id(p) not in own]
        self.momentum = [torch.zeros_like(p) for p, _ in self.matrices]
        self.mean = [torch.zeros_like(p) for p in self.others]
        self.square = [torch.zeros_like(p) for p in self.others]

    @torch.no_grad()
    def step(self):
        grads = [p.grad for p in self.params]
        norm = torch.stack(torch._foreach_norm(grads)).norm()
        torch._foreach_mul_(grads, (self.CLIP / (norm + 1e-6)).clamp(max=1.0))
        self.count += 1
        self._adamw()
        self._muon()
        keep = ((1 + self.count) / (10 + self.count)).clamp(max=self.average)
        difference = torch._foreach_sub(self.params, self.ema)
        torch._foreach_mul_(difference, 1 - keep)
        torch._foreach_add_(self.ema, difference)
        return norm

    def _adamw(self):
        grads = [p.grad for p in self.others]
        torch._foreach_lerp_(self.mean, grads, 1 - self.BETA1)
        torch._foreach_mul_(self.square, self.BETA2)
        torch._foreach_addcmul_(self.square, grads, grads, 1 - self.BETA2)
        size = torch._foreach_sqrt(torch._foreach_div(self.square, 1 - self.BETA2**self.count))
        torch._foreach_add_(size, 1e-8)
        update = torch._foreach_div(torch._foreach_div(self.mean, 1 - self.BETA1**self.count), size)
        lr = self.adam_lr * self.rate
        torch._foreach_mul_(update, -lr)
        torch._foreach_mul_(self.others, 1 - lr * self.decay)
        torch._foreach_add_(self.others, update)

    def _muon(self):
        by_shape = {}
        for (p, rows), m in zip(self.matrices, self.momentum):
            m.lerp_(p.grad, 1 - self.MOMENTUM)
            update = p.grad.lerp(m, self.MOMENTUM)
            for part, u in zip(p.split(rows), update.split(rows)):
                by_shape.setdefault(u.shape, []).append((part, u))
        for (r, c), parts in by_shape.items():
            lr = self.muon_lr * self.rate
            o = orthogonalise(torch.stack([u for _, u in parts])) * (-0.2 * math.sqrt(max(r, c)) * lr)
            weights = [w for w, _ in parts]
            torch._foreach_mul_(weights, 1 - lr * 10 * self.decay)
            torch._foreach_add_(weights, list(o.unbind()))

    @torch.no_grad()
    def swap_average(self):
        """Exchanges weights and their running average; call again to go back."""
        for p, e in zip(self.params, self.ema):
            kept = p.clone()
            p.copy_(e)
            e.copy_(kept)


def schedule(done, warmup=0.01, hold=0.35):
    """Rate factor over training, done in 0..1: a short rise, a flat part, a straight line to zero."""
    return min(done / warmup, 1.0, max((1 - done) / (1 - hold), 0.0))
