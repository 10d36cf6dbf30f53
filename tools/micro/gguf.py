"""Writes a transformer as GGUF with Q5_0 matrices, named as in diffusers: the form the large layered model is passed around in."""

import struct

import numpy as np

F32, Q5_0 = 0, 6
ALIGNMENT = 32
_STRING, _UINT32 = 8, 4


def quantise_q5_0(rows):
    """float32 [..., 32 n] -> bytes: each 32 values share a half-precision scale; a value is 5 bits, 16 meaning zero.

    A block is the scale, 32 high bits, then 16 bytes of low bits: value i in the low half of byte i, value i + 16 in the high half."""
    blocks = np.ascontiguousarray(rows, np.float32).reshape(-1, 32)
    extreme = np.take_along_axis(blocks, np.abs(blocks).argmax(1)[:, None], 1)
    scale = (extreme / -16).astype(np.float16)
    with np.errstate(divide="ignore"):
        inverse = np.where(scale == 0, 0, 1 / scale.astype(np.float32))
    q = np.clip(np.floor(blocks * inverse + 16.5), 0, 31).astype(np.uint8)
    low = (q[:, :16] & 15) | ((q[:, 16:] & 15) << 4)
    high = np.packbits(q >> 4, axis=1, bitorder="little")
    return np.concatenate([scale.view(np.uint8), high, low], 1).tobytes()


def dequantise_q5_0(data, shape):
    b = np.frombuffer(data, np.uint8).reshape(-1, 22)
    scale = b[:, :2].copy().view(np.float16).astype(np.float32)
    high = np.unpackbits(b[:, 2:6], axis=1, bitorder="little") << 4
    low = np.concatenate([b[:, 6:] & 15, b[:, 6:] >> 4], 1)
    return (((low | high).astype(np.float32) - 16) * scale).reshape(shape)


def _string(s):
    return struct.pack("<Q", len(s)) + s.encode()


def _padding(n):
    return b"\0" * (-n % ALIGNMENT)


def quantised(name, a):
    """Matrices of the blocks are quantised; what goes in and out of the model, biases and norms stay float32."""
    return a.ndim == 2 and a.shape[1] % 32 == 0 and (name.startswith("transformer_blocks.") or name == "norm_out.linear.weight")


def write(path, architecture, tensors):
    """tensors: {name: float32 array}"""
    kinds, payload = [], []
    for name, a in tensors.items():
        a = np.ascontiguousarray(a, np.float32)
        data = quantise_q5_0(a) if quantised(name, a) else a.tobytes()
        kinds.append((name, a.shape, Q5_0 if quantised(name, a) else F32, len(data)))
        payload.append(data)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 3)
    head += _string("general.architecture") + struct.pack("<I", _STRING) + _string(architecture)
    for key, value in (("general.quantization_version", 2), ("general.file_type", 8)):
        head += _string(key) + struct.pack("<II", _UINT32, value)
    offset = 0
    for name, shape, kind, size in kinds:
        head += _string(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape))
        head += struct.pack("<IQ", kind, offset)
        offset += size + len(_padding(size))
    with open(path, "wb") as f:
        f.write(head + _padding(len(head)))
        for data in payload:
            f.write(data + _padding(len(data)))


class _Cursor:
    def __init__(self, data):
        self.data, self.at = data, 4

    def number(self, form):
        value = struct.unpack_from("<" + form, self.data, self.at)[0]
        self.at += struct.calcsize("<" + form)
        return value

    def string(self):
        n = self.number("Q")
        self.at += n
        return self.data[self.at - n : self.at].decode()


def read(path):
    """-> {name: float32 array} of a file that write made"""
    with open(path, "rb") as f:
        c = _Cursor(f.read())
    c.number("I")
    count, keys = c.number("Q"), c.number("Q")
    for _ in range(keys):
        c.string()
        c.string() if c.number("I") == _STRING else c.number("I")
    entries = []
    for _ in range(count):
        name = c.string()
        shape = [c.number("Q") for _ in range(c.number("I"))][::-1]
        entries.append((name, shape, c.number("I"), c.number("Q")))
    base, out = c.at + len(_padding(c.at)), {}
    for name, shape, kind, offset in entries:
        n = int(np.prod(shape))
        size = n // 32 * 22 if kind == Q5_0 else 4 * n
        data = c.data[base + offset : base + offset + size]
        out[name] = dequantise_q5_0(data, shape) if kind == Q5_0 else np.frombuffer(data, np.float32).reshape(shape)
    return out
