"""The parts that are frozen while a transformer trains: tokenizer, text encoder and VAE, called just as the diffusers pipelines do."""

import torch
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer, Qwen3ForCausalLM

from diffusers import AutoencoderKLFlux2, AutoencoderKLQwenImage

KLEIN_TOKENS = 40  # max_sequence_length of micro-klein: padding is attended, so this is part of the model
LAYERED_TOKENS = 32  # layered prompts are padded to this in training; padding is masked, so other lengths work

_KLEIN_TEMPLATE = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
_LAYERED_PREFIX = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial relationships "
    "of the objects and background:<|im_end|>\n<|im_start|>user\n"
)
_PREFIX_TOKENS = 34  # the pipeline cuts that many
_LAYERED_SUFFIX = "<|im_end|>\n<|im_start|>assistant\n"
TAPS = (9, 18, 27)  # hidden states of the Qwen3 encoder that are laid side by side


def klein_ids(tokenizer, texts):
    out = tokenizer([_KLEIN_TEMPLATE.format(t) for t in texts], padding="max_length", truncation=True, max_length=KLEIN_TOKENS)
    return torch.tensor(out["input_ids"]), torch.tensor(out["attention_mask"])


def layered_ids(tokenizer, texts):
    out = tokenizer(
        [_LAYERED_PREFIX + t + _LAYERED_SUFFIX for t in texts],
        padding="max_length",
        truncation=True,
        max_length=_PREFIX_TOKENS + LAYERED_TOKENS,
    )
    return torch.tensor(out["input_ids"]), torch.tensor(out["attention_mask"])


class KleinText:
    def __init__(self, folder, device):
        self.tokenizer = Qwen2Tokenizer.from_pretrained(f"{folder}/tokenizer")
        self.model = Qwen3ForCausalLM.from_pretrained(f"{folder}/text_encoder").float().eval().to(device)
        self.device = device

    @torch.no_grad()
    def embed(self, ids, attention):
        """[B, 40] token numbers -> [B, 40, 192]"""
        out = self.model.model(
            input_ids=ids.to(self.device), attention_mask=attention.to(self.device), output_hidden_states=True, use_cache=False
        )
        return torch.stack([out.hidden_states[k] for k in TAPS], 2).flatten(2)


class LayeredText:
    def __init__(self, folder, device):
        self.tokenizer = Qwen2Tokenizer.from_pretrained(f"{folder}/tokenizer")
        self.model = Qwen2_5_VLForConditionalGeneration.from_pretrained(f"{folder}/text_encoder").float().eval().to(device)
        self.device = device

    @torch.no_grad()
    def embed(self, ids, attention):
        """-> ([B, T, 64], bool mask [B, T]) of what follows the prefix"""
        ids, attention = ids.to(self.device), attention.to(self.device)
        out = self.model(input_ids=ids, attention_mask=attention, output_hidden_states=True, use_cache=False)
        keep = attention[:, _PREFIX_TOKENS:].bool()
        return out.hidden_states[-1][:, _PREFIX_TOKENS:] * keep[..., None], keep


def pack(z):
    """[B, 16, 16, 16] latent -> [B, 64, 64]: one token of 64 channels for each 2 x 2 patch, channel slowest"""
    b, c, h, w = z.shape
    return z.view(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(b, h * w // 4, c * 4)


def unpack(tokens, side=8):
    b, _, c = tokens.shape
    return tokens.view(b, side, side, c // 4, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(b, c // 4, 2 * side, 2 * side)


class KleinVae:
    def __init__(self, folder, device):
        self.vae = AutoencoderKLFlux2.from_pretrained(f"{folder}/vae").float().eval().to(device)
        bn = self.vae.bn
        self.mean, self.std = bn.running_mean, torch.sqrt(bn.running_var + self.vae.config.batch_norm_eps)

    @torch.no_grad()
    def encode(self, rgb):
        """[B, 3, H, W] in -1..1 -> normalised tokens [B, 64, 64]"""
        return (pack(self.vae.encode(rgb).latent_dist.mode().float()) - self.mean) / self.std

    @torch.no_grad()
    def decode(self, tokens):
        return self.vae.decode(unpack(tokens * self.std + self.mean)).sample


class LayeredVae:
    def __init__(self, folder, device):
        self.vae = AutoencoderKLQwenImage.from_pretrained(f"{folder}/vae").float().eval().to(device)
        config = self.vae.config
        self.mean = torch.tensor(config.latents_mean, device=device).view(1, -1, 1, 1)
        self.std = torch.tensor(config.latents_std, device=device).view(1, -1, 1, 1)

    @torch.no_grad()
    def encode(self, rgba):
        """[B, 4, H, W] in -1..1 -> normalised tokens [B, 64, 64]"""
        z = self.vae.encode(rgba[:, :, None]).latent_dist.mode()[:, :, 0].float()
        return pack((z - self.mean) / self.std)

    @torch.no_grad()
    def decode(self, tokens):
        z = unpack(tokens) * self.std + self.mean
        return self.vae.decode(z[:, :, None]).sample[:, :, 0]
