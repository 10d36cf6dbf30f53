"""Puts trained parts into a model folder in diffusers layout, rounded to bfloat16.

    python3 export.py klein --transformer klein.safetensors --model ../../models/micro-klein
    python3 export.py layered --transformer layered.safetensors --vae vae --model ../../models/micro-layered   (writes the GGUF too)"""

import argparse
import json
import os

import torch
from safetensors.torch import load_file

import gguf
import train_klein
import train_layered
from diffusers import AutoencoderKLFlux2, AutoencoderKLQwenImage, Flux2Transformer2DModel, QwenImageTransformer2DModel

KINDS = {
    "klein": (Flux2Transformer2DModel, train_klein.CONFIG, AutoencoderKLFlux2),
    "layered": (QwenImageTransformer2DModel, train_layered.CONFIG, AutoencoderKLQwenImage),
}


def save(part, folder):
    part.to(torch.bfloat16).save_pretrained(folder)
    path = os.path.join(folder, "config.json")
    with open(path) as f:
        config = json.load(f)
    config.pop("_name_or_path", None)  # where it was loaded from concerns nobody
    with open(path, "w") as f:
        f.write(json.dumps(config, indent=2, sort_keys=True) + "\n")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("kind", choices=KINDS)
    ap.add_argument("--model", required=True, help="folder to write into")
    ap.add_argument("--transformer", help="averaged weights from training")
    ap.add_argument("--vae", help="folder from train_vae.py")
    a = ap.parse_args()
    transformer_class, config, vae_class = KINDS[a.kind]
    if a.transformer:
        transformer = transformer_class(**config)
        transformer.load_state_dict(load_file(a.transformer))
        save(transformer, f"{a.model}/transformer")
    if a.vae:
        save(vae_class.from_pretrained(a.vae), f"{a.model}/vae")
    if a.kind == "layered":
        weights = load_file(f"{a.model}/transformer/diffusion_pytorch_model.safetensors")
        arrays = {k: v.float().numpy() for k, v in weights.items()}
        gguf.write(f"{a.model}/transformer-Q5_0.gguf", "qwen_image", arrays)


if __name__ == "__main__":
    main()
