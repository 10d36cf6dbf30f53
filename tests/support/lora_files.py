"""LoRA files of random numbers for the embedded models; standard library only.

    lora_files.py klein FILE        transformer's attention and feed-forward, as diffusers writes them
    lora_files.py layered FILE      the same of Qwen-Image, in kohya's names
    lora_files.py dora FILE         one that is refused
"""
import json
import os
import random
import struct
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RANK = 4


def write(path, tensors):
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        b = struct.pack("<%df" % len(values), *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(b)]}
        data += b
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def shapes(model):
    """Names and shapes of an embedded model's transformer."""
    path = os.path.join(ROOT, "models", model, "transformer", "diffusion_pytorch_model.safetensors")
    with open(path, "rb") as f:
        n, = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(n))
    return {k: v["shape"] for k, v in header.items() if k != "__metadata__"}


def matrix(rows, columns):
    return [rows, columns], [random.uniform(-0.3, 0.3) for _ in range(rows * columns)]


def klein():
    out = {}
    for name, (rows, columns) in ((k, v) for k, v in shapes("micro-klein").items() if len(v) == 2):
        module = "transformer." + name.removesuffix(".weight")
        if ".attn." in name or ".ff." in name:
            out[module + ".lora_A.weight"] = matrix(RANK, columns)
            out[module + ".lora_B.weight"] = matrix(rows, RANK)
    return out


def layered():
    out = {}
    for name, shape in shapes("micro-layered").items():
        if len(shape) != 2 or not name.startswith("transformer_blocks.") or not name.endswith(".weight"):
            continue
        module = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
        out[module + ".lora_down.weight"] = matrix(RANK, shape[1])
        out[module + ".lora_up.weight"] = matrix(shape[0], RANK)
        out[module + ".alpha"] = [], [RANK / 2]
    return out


def dora():
    out = klein()
    out["transformer.transformer_blocks.0.attn.to_q.lora_magnitude_vector"] = matrix(1, 128)
    return out


if __name__ == "__main__":
    random.seed(1)
    write(sys.argv[2], {"klein": klein, "layered": layered, "dora": dora}[sys.argv[1]]())
