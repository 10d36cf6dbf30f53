"""Small checkpoints in the forms that people have them in, made from the models of the parity tests.

    checkpoint_files.py quantised FORM FROM QUANTISED VALUES    a form's file, and one with its values in float32
    checkpoint_files.py one-file FOLDER FILE [PREFIX]            transformer, text encoder and VAE in one file
    checkpoint_files.py scaled FROM TO                           float8 with a scale a tensor
"""
import json
import random
import struct
import sys

WIDTH = {"F32": 4, "BF16": 2, "F8_E4M3": 1, "U8": 1, "I8": 1, "I64": 8}
E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6]


def read(path):
    b = open(path, "rb").read()
    n = struct.unpack("<Q", b[:8])[0]
    out = {}
    for name, t in json.loads(b[8:8 + n]).items():
        if name != "__metadata__":
            begin, end = t["data_offsets"]
            out[name] = (t["dtype"], t["shape"], b[8 + n + begin:8 + n + end])
    return out


def write(path, tensors, meta=None):
    header, data = ({"__metadata__": meta} if meta else {}), b""
    for name, (dtype, shape, b) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(b)]}
        data += b
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def floats(dtype, b):
    if dtype == "F32":
        return list(struct.unpack("<%df" % (len(b) // 4), b))
    return list(struct.unpack("<%df" % (len(b) // 2), b"".join(b"\0\0" + b[i:i + 2] for i in range(0, len(b), 2))))


def f32(values):
    return struct.pack("<%df" % len(values), *values)


def e4m3(code):
    e, m = code >> 3 & 15, code & 7
    return (m / 8 * 2.0 ** -6 if e == 0 else (1 + m / 8) * 2.0 ** (e - 7)) * (-1 if code & 128 else 1)


CODES = sorted((e4m3(c), c) for c in range(127))


def nearest(table, x):
    lo, hi = 0, len(table) - 1
    while lo < hi:
        mid = (lo + hi) // 2
        if table[mid][0] < x:
            lo = mid + 1
        else:
            hi = mid
    if lo and abs(table[lo - 1][0] - x) <= abs(table[lo][0] - x):
        lo -= 1
    return table[lo]


def to_e4m3(x):
    return nearest(CODES, abs(x))[1] | (128 if x < 0 else 0)


def to_e2m1(x):
    return min(range(8), key=lambda i: abs(E2M1[i] - abs(x))) | (8 if x < 0 else 0)


def from_e2m1(c):
    return -E2M1[c & 7] if c & 8 else E2M1[c]


def tiled(rows, blocks, at, fill):
    """Scales in the order of tensor cores: tiles of 128 x 4, in these 32 x 4 x 4, padded."""
    across = (blocks + 3) // 4
    out = bytearray([fill]) * ((rows + 127) // 128 * across * 512)
    for r in range(rows):
        for k in range(blocks):
            out[(r // 128 * across + k // 4) * 512 + r % 32 * 16 + r % 128 // 32 * 4 + k % 4] = at(r, k)
    shape = [(rows + 127) // 128 * 128, across * 4]
    return shape, bytes(out)


def nvfp4(v, rows, cols, comfy):
    whole = max(map(abs, v)) / (6 * 448) or 1.0
    whole = 2.0 ** round(__import__("math").log2(whole))
    codes, scales, values = [], [], []
    for b in range(rows * cols // 16):
        part = v[16 * b:16 * b + 16]
        s = to_e4m3(max(map(abs, part)) / 6 / whole)
        q = [to_e2m1(x / (e4m3(s) * whole)) if s else 0 for x in part]
        scales.append(s)
        codes += q
        values += [from_e2m1(c) * e4m3(s) * whole for c in q]
    first, second = (4, 0) if comfy else (0, 4)
    packed = bytes(codes[i] << first | codes[i + 1] << second for i in range(0, len(codes), 2))
    n = cols // 16
    shape, order = tiled(rows, n, lambda r, k: scales[r * n + k], 0) if comfy else ([rows, n], bytes(scales))
    return {".weight": ("U8", [rows, cols // 2], packed), ".weight_scale": ("F8_E4M3", shape, order),
            ".weight_scale_2": ("F32", [], f32([whole])), ".input_scale": ("F32", [], f32([1.0]))}, values


def mxfp8(v, rows, cols):
    import math
    codes, scales, values = [], [], []
    for b in range(rows * cols // 32):
        part = v[32 * b:32 * b + 32]
        e = max(-127, math.ceil(math.log2(max(map(abs, part)) / 448 or 2.0 ** -126)))
        q = [to_e4m3(x / 2.0 ** e) for x in part]
        scales.append(e + 127)
        codes += q
        values += [e4m3(c) * 2.0 ** e for c in q]
    n = cols // 32
    shape, order = tiled(rows, n, lambda r, k: scales[r * n + k], 127)
    return {".weight": ("F8_E4M3", [rows, cols], bytes(codes)), ".weight_scale": ("U8", shape, order)}, values


H4 = [[1, 1, 1, -1], [1, 1, -1, 1], [1, -1, 1, 1], [-1, 1, 1, 1]]


def rotate(x):
    """Times the Hadamard matrix of 16, which is its own inverse."""
    return [sum(H4[i // 4][j // 4] * H4[i % 4][j % 4] * x[j] for j in range(16)) / 4 for i in range(16)]


def int8(v, rows, cols, rotated):
    import math
    codes, scales, values = [], [], []
    for r in range(rows):
        row = v[r * cols:(r + 1) * cols]
        if rotated:
            row = sum((rotate(row[i:i + 16]) for i in range(0, cols, 16)), [])
        s = 2.0 ** math.ceil(math.log2(max(map(abs, row)) / 127 or 2.0 ** -20))
        q = [max(-127, min(127, round(x / s))) for x in row]
        scales.append(s)
        codes += q
        back = [float(c) for c in q]
        if rotated:
            back = sum((rotate(back[i:i + 16]) for i in range(0, cols, 16)), [])
        values += [x * s for x in back]
    return {".weight": ("I8", [rows, cols], struct.pack("%db" % len(codes), *codes)),
            ".weight_scale": ("F32", [rows, 1], f32(scales))}, values


def packed(codes):
    return bytes(codes[i] | codes[i + 1] << 4 for i in range(0, len(codes), 2))


def power_of_two(x):
    import math
    return 2.0 ** math.ceil(math.log2(x or 2.0 ** -20))


def rotate_rows(v, cols):
    return sum((rotate(v[i:i + 16]) for i in range(0, cols, 16)), [])


def int4_convrot(v, rows, cols):
    codes, scales, values = [], [], []
    for r in range(rows):
        row = rotate_rows(v[r * cols:(r + 1) * cols], cols)
        s = power_of_two(max(map(abs, row)) / 7)
        q = [max(-8, min(7, round(x / s))) for x in row]
        scales.append(s)
        codes += [c & 15 for c in q]
        values += [x * s for x in rotate_rows([float(c) for c in q], cols)]
    return {".weight": ("I8", [rows, cols // 2], packed(codes)), ".weight_scale": ("F32", [rows], f32(scales))}, values


LEVELS = [(2 * i - 15) / 16 for i in range(16)]


def int4_w4a8(v, rows, cols):
    """A level times the scale of its group, rounded to int8, times the scale of the row."""
    codes, groups, scales, values = [], [], [], []
    for r in range(rows):
        row = rotate_rows(v[r * cols:(r + 1) * cols], cols)
        s = power_of_two(max(map(abs, row)) / 120)
        back = []
        for i in range(0, cols, 16):
            part = [x / s for x in row[i:i + 16]]
            code = to_e4m3(max(map(abs, part)) * 16 / 15)
            steps = [round(level * e4m3(code)) for level in LEVELS]
            q = [min(range(16), key=lambda k: abs(steps[k] - x)) for x in part]
            groups.append(code)
            codes += q
            back += [float(steps[k]) for k in q]
        scales.append(s)
        values += [x * s for x in rotate_rows(back, cols)]
    return {".weight": ("I8", [rows, cols // 2], packed(codes)), ".weight_s_rel": ("U8", [rows, cols // 16], bytes(groups)),
            ".weight_s_channel": ("F32", [rows], f32(scales)), ".weight_codebook": ("F32", [16], f32(LEVELS))}, values


def int4_awq(v, rows, cols):
    groups = cols // 16
    codes, values = [], []
    scales, zeros = [0.0] * (groups * rows), [0.0] * (groups * rows)
    for r in range(rows):
        for g in range(groups):
            part = v[r * cols + 16 * g:r * cols + 16 * g + 16]
            s = power_of_two((max(part) - min(part)) / 15)
            z = round((max(part) + min(part)) / 2 / s) * s
            q = [max(0, min(15, round((x - z) / s) + 8)) for x in part]
            scales[g * rows + r], zeros[g * rows + r] = s, z
            codes += q
            values += [(c - 8) * s + z for c in q]
    return {".weight": ("I8", [rows, cols // 2], packed(codes)), ".weight_scale": ("F32", [groups, rows], f32(scales)),
            ".weight_zeros": ("F32", [groups, rows], f32(zeros))}, values


FORMS = {
    "nvfp4": (16, lambda *a: nvfp4(*a, True), {"format": "nvfp4"}),
    "nvfp4-modelopt": (16, lambda *a: nvfp4(*a, False), None),
    "mxfp8": (32, mxfp8, {"format": "mxfp8"}),
    "int8": (1, lambda *a: int8(*a, False), {"format": "int8_tensorwise"}),
    "int8-modelopt": (1, lambda *a: int8(*a, False), None),
    "int8-convrot": (16, lambda *a: int8(*a, True),
                     {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 16}),
    "int4-convrot": (16, int4_convrot, {"format": "convrot_w4a4", "convrot_groupsize": 16}),
    "int4-w4a8": (16, int4_w4a8, {"format": "asym_w4a8_int8", "group_size": 16, "convrot_groupsize": 16}),
    "int4-awq": (16, int4_awq, {"format": "awq_w4a16", "group_size": 16}),
}


def quantised(form, source, to, values_to):
    block, make, mark = FORMS[form]
    out, plain = {}, {}
    for name, (dtype, shape, b) in read(source).items():
        out[name] = plain[name] = (dtype, shape, b)
        linear = name.endswith(".weight") and len(shape) == 2 and "embed_tokens" not in name and "lm_head" not in name
        if not linear or shape[1] % block:
            continue
        del out[name]
        module = name[:-len(".weight")]
        parts, values = make(floats(dtype, b), *shape)
        out.update({module + k: v for k, v in parts.items()})
        if mark:
            text = json.dumps(mark).encode()
            out[module + ".comfy_quant"] = ("U8", [len(text)], text)
        plain[name] = ("F32", shape, f32(values))
    write(to, out)
    write(values_to, plain)


def scaled(source, to):
    out = {}
    for name, (dtype, shape, b) in read(source).items():
        out[name] = (dtype, shape, b)
        if name.endswith("_proj.weight"):
            v = floats(dtype, b)
            s = max(map(abs, v)) / 448
            out[name] = ("F8_E4M3", shape, bytes(to_e4m3(x / s) for x in v))
            out[name + "_scale"] = ("F32", [], f32([s]))
    write(to, out)


def one_file(folder, to, encoder="text_encoders.qwen3_4b.transformer."):
    out = {}
    for part, name, prefix in (("transformer", "diffusion_pytorch_model", "model.diffusion_model."),
                               ("text_encoder", "model", encoder), ("vae", "diffusion_pytorch_model", "vae.")):
        out.update({prefix + k: v for k, v in read(f"{folder}/{part}/{name}.safetensors").items()})
    write(to, out)


if __name__ == "__main__":
    random.seed(1)
    {"quantised": quantised, "one-file": one_file, "scaled": scaled}[sys.argv[1]](*sys.argv[2:])
