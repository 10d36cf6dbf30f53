"""How far PyTorch's own bf16 is from the reference, for the cases of tests/parity that run one network once.

    python3 bench/bf16_reference.py tests/parity > tests/parity/bf16.json

Writes {case: {tensor: ||bf16 - reference|| / ||reference||}}. Needs PyTorch with a card, transformers, and diffusers (or $DIFFUSERS: a
folder that holds its package)."""
import json
import os
import sys

if os.environ.get("DIFFUSERS"):
    sys.path.insert(0, os.environ["DIFFUSERS"])

import torch
from safetensors.torch import load_file

DEV, BF = "cuda", torch.bfloat16
ROOT = sys.argv[1]


def at(*parts):
    return os.path.join(ROOT, *parts)


def card(t):
    return t.to(DEV, BF if t.is_floating_point() else None)


def of(cls, *path, **kw):
    return cls.from_pretrained(at(*path), torch_dtype=BF, **kw).to(DEV).eval()


def qwen3(case, given, want):
    from transformers import AutoModel

    model = of(AutoModel, case["call"]["model"], "text_encoder")
    h = model(input_ids=card(want["input_ids"]), attention_mask=card(want["attention_mask"]), output_hidden_states=True, use_cache=False).hidden_states
    got = {f"hidden_states.{k}": h[k] for k in range(1, 27)}
    got["prompt_embeds"] = torch.stack([h[k] for k in case["call"]["layers"]], 2).flatten(2)
    return got


def flux2(case, given, want):
    from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel

    if "single_file" in case["call"]:
        return {}
    model = of(Flux2Transformer2DModel, case["call"]["model"], "transformer")
    return {"output": model(**{k: card(v) for k, v in given.items()}, guidance=None, return_dict=False)[0]}


def flux2_vae(case):
    from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2

    return of(AutoencoderKLFlux2, case["call"]["model"], "vae")


def flux2_decode(case, given, want):
    return {"image": flux2_vae(case).decode(card(want["latents"]), return_dict=False)[0]}


def flux2_encode(case, given, want):
    return {"moments": flux2_vae(case).encode(card(want["image"])).latent_dist.parameters} if "image" in want else {}


def qwen_image(case, given, want):
    from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel

    model = of(QwenImageTransformer2DModel, case["call"]["model"], "transformer")
    shapes = [[tuple(s) for s in case["call"]["img_shapes"]]]
    return {"output": model(**{k: card(v) for k, v in given.items()}, encoder_hidden_states_mask=None, img_shapes=shapes, return_dict=False)[0]}


def qwen_vae(case):
    from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage

    return of(AutoencoderKLQwenImage, case["call"]["model"], "vae")


def qwen_decode(case, given, want):
    return {"image": qwen_vae(case).decode(card(want["latents"]), return_dict=False)[0]}


def qwen_encode(case, given, want):
    return {"moments": qwen_vae(case).encode(card(want["image"])).latent_dist.parameters}


def qwen_vl(case):
    from transformers import Qwen2_5_VLForConditionalGeneration

    return of(Qwen2_5_VLForConditionalGeneration, case["call"]["model"], "text_encoder")


def qwen_vl_text(case, given, want):
    if not case["call"]["all_layers"]:
        return {}  # cut and without its padding, as the pipeline has it: not what the network alone makes
    mask = card(want["attention_mask"])
    h = qwen_vl(case)(input_ids=card(want["input_ids"]), attention_mask=mask, output_hidden_states=True, use_cache=False).hidden_states
    got = {f"hidden_states.{k}": h[k] for k in range(1, len(h)) if f"hidden_states.{k}" in want}
    rows = want["prompt_embeds"].shape[1]
    got["prompt_embeds"] = h[-1][mask.bool()][-rows:][None]
    return got


def qwen_vl_vision(case, given, want):
    from PIL import Image
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(at(case["call"]["model"], "processor"))
    p = processor(images=[Image.open(at("cases", case["name"], "image.png")).convert("RGB")], return_tensors="pt")
    out = qwen_vl(case).model.visual(card(p["pixel_values"]), grid_thw=card(p["image_grid_thw"]))
    return {"image_embeds": getattr(out, "pooler_output", out)}


KINDS = {"qwen3_encode": qwen3, "flux2_transformer": flux2, "flux2_vae_decode": flux2_decode, "flux2_vae_encode": flux2_encode,
         "qwen_transformer": qwen_image, "qwen_vae_decode": qwen_decode, "qwen_vae_encode": qwen_encode, "qwenvl_text": qwen_vl_text,
         "qwenvl_vision": qwen_vl_vision}


def tensors(name, file):
    path = at("cases", name, file)
    return load_file(path) if os.path.exists(path) else {}


def main():
    found = {}
    for name in sorted(os.listdir(at("cases"))):
        case = json.load(open(at("cases", name, "case.json")))
        if case["kind"] not in KINDS:
            continue
        want = tensors(name, "expected.safetensors")
        try:
            with torch.inference_mode():
                got = KINDS[case["kind"]](case, tensors(name, "inputs.safetensors"), want)
            errors = {}
            for key, value in got.items():
                if key in want:
                    w = want[key].double().flatten()
                    errors[key] = float(f"{((value.double().cpu().flatten() - w).norm() / w.norm()).item():.3g}")
            if errors:
                found[name] = errors
        except Exception as e:  # the others are still worth having
            print(f"{name}: {type(e).__name__}: {e}", file=sys.stderr)
    json.dump(found, sys.stdout, indent=1)


main()
