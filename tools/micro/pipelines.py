"""The reference: unmodified diffusers pipelines in float32 on the CPU, and how the project calls them."""

import contextlib

import numpy as np
import torch
from PIL import Image

import gguf
import words
from diffusers import Flux2KleinPipeline, QwenImageLayeredPipeline
from encoders import KLEIN_TOKENS

KLEIN_STEPS = 8
LAYERED_STEPS = 10


class AnyResolution(int):
    """QwenImageLayeredPipeline asserts that its resolution is 640 or 1024, and otherwise just computes with it."""

    __hash__ = int.__hash__

    def __eq__(self, other):
        return True


def _quiet(pipe):
    pipe.set_progress_bar_config(disable=True)
    return pipe


class Klein:
    def __init__(self, folder):
        self.pipe = _quiet(Flux2KleinPipeline.from_pretrained(folder, torch_dtype=torch.float32))

    def __call__(self, prompts, seeds, image=None, size=128):
        """-> uint8 [len(prompts), size, size, 3]"""
        out = self.pipe(
            prompt=prompts,
            image=None if image is None else Image.fromarray(image),
            height=size,
            width=size,
            num_inference_steps=KLEIN_STEPS,
            guidance_scale=1.0,
            max_sequence_length=KLEIN_TOKENS,
            generator=[torch.Generator("cpu").manual_seed(s) for s in seeds],
            output_type="np",
        )
        return to_u8(out.images)


class Layered:
    def __init__(self, folder):
        with contextlib.redirect_stdout(None):
            self.pipe = _quiet(QwenImageLayeredPipeline.from_pretrained(folder, torch_dtype=torch.float32))

    def use_gguf(self, path):
        """Takes the transformer's weights as a GGUF reader gets them"""
        weights = {k: torch.from_numpy(np.array(v)) for k, v in gguf.read(path).items()}
        self.pipe.transformer.load_state_dict(weights)

    def __call__(self, image, layers, seed, prompt=words.LAYER_PROMPTS[0]):
        """uint8 RGB [128, 128, 3] -> uint8 RGBA [layers, 128, 128, 4]"""
        out = self.pipe(
            image=Image.fromarray(image).convert("RGBA"),
            prompt=prompt,
            layers=layers,
            resolution=AnyResolution(len(image)),
            num_inference_steps=LAYERED_STEPS,
            true_cfg_scale=1.0,
            generator=torch.Generator("cpu").manual_seed(seed),
            output_type="np",
        )
        return to_u8(np.stack(out.images[0]))


def to_u8(x):
    return (np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8)
