"""Trains the VAE of one of the micro models, or only the part of its decoder that draws the edges: latents, and with them the
transformer, stay as they are.

    python3 train_vae.py klein --out vae --minutes 60
    python3 train_vae.py layered --start ../../models/micro-layered/vae --decoder-only --noise 0.1 --minutes 20 --out vae

With --noise, the decoder learns to read latents as a transformer draws them: a little off."""

import argparse
import random
import time

import numpy as np
import torch
import torch.nn.functional as F

import canvas
import scenes
from diffusers import AutoencoderKLFlux2, AutoencoderKLQwenImage
from diffusers.models.autoencoders import autoencoder_kl_qwenimage
from encoders import pack

CONFIG = {
    "klein": dict(
        block_out_channels=(16, 32, 64, 64),
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=2,
        sample_size=scenes.SIZE,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    ),
    "layered": dict(
        base_dim=12,
        z_dim=16,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=1,
        attn_scales=[],
        temperal_downsample=[False, True, True],
        input_channels=4,
    ),
}
KL = 4e-4
ALPHA_WEIGHT = 1.6  # of the fourth channel


def single_frame(conv, x, cache_x=None):
    """A causal 3-D convolution of one frame sees zeros in the past, so only the last slice of its kernel counts."""
    return F.conv2d(x[:, :, 0], conv.weight[:, :, -1], conv.bias, padding=conv._padding[0]).unsqueeze(2)


class Vae:
    """Both VAEs behind one face: 4-D pictures in -1..1 in and out, moments and latents [B, C, H, W]"""

    def __init__(self, kind, start=None):
        self.kind = kind
        cls = AutoencoderKLFlux2 if kind == "klein" else AutoencoderKLQwenImage
        self.model = cls.from_pretrained(start).float() if start else cls(**CONFIG[kind])
        if kind == "layered":
            self.original = autoencoder_kl_qwenimage.QwenImageCausalConv3d.forward
            autoencoder_kl_qwenimage.QwenImageCausalConv3d.forward = single_frame
            if not start:
                self._balance()

    @torch.no_grad()
    def _balance(self):
        """The default weights reckon with three frames; scale the one slice that counts."""
        for m in self.model.modules():
            if isinstance(m, autoencoder_kl_qwenimage.QwenImageCausalConv3d):
                fan = m.weight[:, :, -1].numel() / len(m.weight)
                m.weight.uniform_(-(fan**-0.5), fan**-0.5)
                m.weight[:, :, :-1] *= 0.02

    def moments(self, x):
        x = x if self.kind == "klein" else x[:, :, None]
        h = self.model.quant_conv(self.model.encoder(x))
        return (h if self.kind == "klein" else h[:, :, 0]).chunk(2, 1)

    def decode(self, z):
        z = z if self.kind == "klein" else z[:, :, None]
        x = self.model.decoder(self.model.post_quant_conv(z))
        return x if self.kind == "klein" else x[:, :, 0]

    def head(self, z):
        """The first part of the decoder, at the size of the latent; z -> features"""
        z = z if self.kind == "klein" else z[:, :, None]
        d = self.model.decoder
        return d.mid_block(d.conv_in(self.model.post_quant_conv(z)))

    def tail(self, h):
        """The rest, which draws the edges: convolutions only. head and tail together are decode."""
        d = self.model.decoder
        for block in d.up_blocks:
            h = block(h)
        if self.kind == "klein":
            return d.conv_out(d.conv_act(d.conv_norm_out(h)))
        return d.conv_out(d.nonlinearity(d.norm_out(h)))[:, :, 0]

    def tail_parameters(self):
        d = self.model.decoder
        norm = d.conv_norm_out if self.kind == "klein" else d.norm_out
        return [p for part in (d.up_blocks, norm, d.conv_out) for p in part.parameters()]

    def spread(self):
        """Standard deviation of each latent channel, as the pipelines normalise by it"""
        if self.kind == "klein":
            return torch.sqrt(self.model.bn.running_var).view(16, 4).mean(1).view(1, -1, 1, 1)
        return torch.tensor(self.model.config.latents_std).view(1, -1, 1, 1)

    @torch.no_grad()
    def measure(self, pictures):
        """Stores mean and deviation of the latents, which the pipelines use to normalise them."""
        z = torch.cat([self.moments(x)[0] for x in pictures.split(32)])
        if self.kind == "klein":
            tokens = pack(z).flatten(0, 1)
            self.model.bn.running_mean.copy_(tokens.mean(0))
            self.model.bn.running_var.copy_(tokens.var(0))
        else:
            mean, std = z.mean((0, 2, 3)).tolist(), z.std((0, 2, 3)).tolist()
            self.model.register_to_config(latents_mean=mean, latents_std=std)

    def save(self, folder):
        self.model.save_pretrained(folder)


def pictures(kind, count, seed, want_held_out, bank):
    """[count, 3 or 4, SIZE, SIZE]; of layered scenes all frames, but empty ones only now and then"""
    rng, make = random.Random(seed), scenes.random_scene if kind == "klein" else scenes.random_layered_scene
    found = [scenes.draw_where(rng, make, want_held_out) for _ in range(count)]
    place, color = (torch.from_numpy(np.stack(a)) for a in zip(*map(canvas.describe, found)))
    if kind == "klein":
        return canvas.draw(bank, place, color)
    frames = canvas.draw_layers(bank, place, color)
    keep = torch.tensor([[k < 2 + len(s.objs) or rng.random() < 0.1 for k in range(5)] for s in found])
    return frames[keep][torch.randperm(int(keep.sum()), generator=torch.Generator().manual_seed(seed))][:count]


def difference(out, x):
    """Absolute and squared error, and that of the slopes: crisp edges"""
    w = torch.tensor([1, 1, 1, ALPHA_WEIGHT][: x.shape[1]], device=x.device).view(1, -1, 1, 1)
    d = out - x
    slope = ((d[..., 1:] - d[..., :-1]).abs() * w).mean() + ((d[..., 1:, :] - d[..., :-1, :]).abs() * w).mean()
    return (d.abs() * w).mean() + 0.5 * (d * d * w).mean() + 0.5 * slope


@torch.no_grad()
def psnr(vae, x):
    out = torch.cat([vae.decode(vae.moments(c)[0]).clamp(-1, 1) for c in x.split(16)])
    return -10 * ((out - x) / 2).square().mean((1, 2, 3)).log10().clamp(min=-9)


@torch.no_grad()
def noisy_features(vae, pool, noise):
    out = []
    for x in pool.split(32):
        z = vae.moments(x)[0]
        out.append(vae.head(z + noise * torch.rand(len(z), 1, 1, 1, device=z.device) * torch.randn_like(z)))
    return torch.cat(out)


def crops(h, x, side=8):
    """The side x side features where most happens, and the picture below them. Only for a decoder without group norms, which
    would see other statistics."""
    busy = F.avg_pool2d((x - x.mean((2, 3), keepdim=True)).abs().mean(1, keepdim=True), 8 * side, 8)[:, 0]
    corner = busy.flatten(1).argmax(1)
    rows, columns = corner // busy.shape[2], corner % busy.shape[2]
    cut = [(slice(r, r + side), slice(c, c + side)) for r, c in zip(rows.tolist(), columns.tolist())]
    pixels = [tuple(slice(8 * s.start, 8 * s.stop) for s in rc) for rc in cut]
    return torch.stack([f[..., r, c] for f, (r, c) in zip(h, cut)]), torch.stack([p[..., r, c] for p, (r, c) in zip(x, pixels)])


def train(vae, a, device):
    params = vae.tail_parameters() if a.decoder_only else list(vae.model.parameters())
    params = [p for p in params if p.requires_grad]
    opt = torch.optim.AdamW(params, lr=a.lr, betas=(0.9, 0.98), weight_decay=1e-3)
    average = [p.detach().clone() for p in params]
    bank = canvas.mask_bank().to(device)
    held = pictures(vae.kind, 64, 77, True, bank).to(device)
    noise = a.noise * vae.spread().to(device) if a.decoder_only else 0
    print(f"held out: {psnr(vae, held).mean():.2f} dB", flush=True)
    start, n, pool, features = time.time(), 0, None, None
    while (done := (time.time() - start) / (60 * a.minutes)) < 1:
        if n % 400 == 0:  # fresh pictures
            pool = pictures(vae.kind, a.pool, n + 1, False, bank).to(device)
            if a.decoder_only:
                features = noisy_features(vae, pool, noise)
        i = torch.randint(len(pool), (a.batch,), device=device)
        if a.decoder_only:
            h, x = crops(features[i], pool[i]) if vae.kind == "layered" else (features[i], pool[i])
            loss = difference(vae.tail(h), x)
        else:
            x = pool[i]
            mean, log_var = vae.moments(x)
            log_var = log_var.clamp(-12, 4)
            z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
            kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).mean()
            loss = difference(vae.decode(z), x) + KL * kl
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        for g in opt.param_groups:
            g["lr"] = a.lr * min((n + 1) / 50, 1 - done)
        opt.step()
        n += 1
        torch._foreach_lerp_(average, [p.detach() for p in params], max(0.005, 1 / n))
        if n % 200 == 0:
            print(f"step {n}  {time.time() - start:.0f} s  loss {loss.item():.4f}", flush=True)
    with torch.no_grad():
        for p, e in zip(params, average):
            p.copy_(e)
    print(f"held out: {psnr(vae, held).mean():.2f} dB after {n} steps", flush=True)
    if not a.decoder_only:
        vae.measure(pictures(vae.kind, 2048, 5, False, bank).to(device))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("kind", choices=CONFIG)
    ap.add_argument("--out", required=True)
    ap.add_argument("--start", help="folder of a VAE to go on from")
    ap.add_argument("--decoder-only", action="store_true")
    ap.add_argument("--noise", type=float, default=0.0, help="largest noise on latents, in their standard deviations")
    ap.add_argument("--minutes", type=float, default=60)
    ap.add_argument("--batch", type=int, default=8)
    ap.add_argument("--pool", type=int, default=1200, help="pictures drawn at a time")
    ap.add_argument("--lr", type=float, default=2e-3)
    a = ap.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    vae = Vae(a.kind, a.start)
    vae.model.to(device).train()
    train(vae, a, device)
    vae.save(a.out)


if __name__ == "__main__":
    main()
