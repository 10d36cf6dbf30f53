"""images.py - PNGs pixel by pixel, written and read; standard library only."""

import base64
import struct
import zlib

from support import b64


def encode(width, height, channels, pixel):
    """A PNG of pixel(x, y): a tuple of 1 (grey), 3 or 4 samples."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    rows = b"".join(b"\0" + b"".join(bytes(pixel(x, y)) for x in range(width)) for y in range(height))
    kind = {1: 0, 3: 2, 4: 6}[channels]
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class Image:
    """The pixels of a PNG of 8 bits."""

    def __init__(self, data):
        data = base64.b64decode(data) if isinstance(data, str) else data
        at, packed, self.texts = 8, b"", {}
        while at < len(data):
            n, name = struct.unpack(">I4s", data[at:at + 8])
            body = data[at + 8:at + 8 + n]
            at += 12 + n
            if name == b"IHDR":
                self.w, self.h, _, kind = struct.unpack(">IIBB", body[:10])
            if name == b"IDAT":
                packed += body
            if name == b"tEXt":
                key, text = body.split(b"\0", 1)
                self.texts[key.decode()] = text.decode("latin-1")
        self.c = {0: 1, 2: 3, 4: 2, 6: 4}[kind]
        raw, stride, prior, self.rows = zlib.decompress(packed), self.w * self.c, bytes(self.w * self.c), []
        for y in range(self.h):
            f, row = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
            for i in range(stride):
                a = row[i - self.c] if i >= self.c else 0
                b, c = prior[i], prior[i - self.c] if i >= self.c else 0
                if f == 1:
                    row[i] = (row[i] + a) & 255
                elif f == 2:
                    row[i] = (row[i] + b) & 255
                elif f == 3:
                    row[i] = (row[i] + (a + b) // 2) & 255
                elif f == 4:
                    p = a + b - c
                    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
                    row[i] = (row[i] + (a if pa <= pb and pa <= pc else b if pb <= pc else c)) & 255
            self.rows.append(bytes(row))
            prior = row

    def at(self, x, y):
        return tuple(self.rows[y][x * self.c:(x + 1) * self.c])


def same(a, b, pick):
    """Shares of the picked pixels that are equal."""
    all_of = [(x, y) for y in range(a.h) for x in range(a.w) if pick(x, y)]
    return sum(a.at(x, y) == b.at(x, y) for x, y in all_of) / len(all_of)


def box(x0, y0, x1, y1):
    return lambda x, y: x0 <= x < x1 and y0 <= y < y1


def mask_of(inside, w=128, h=128):
    return b64(encode(w, h, 1, lambda x, y: (255 if inside(x, y) else 0,)))


DISC = encode(128, 128, 3, lambda x, y: (220, 30, 30) if (x - 64) ** 2 + (y - 64) ** 2 < 500 else (255, 255, 255))
# An image in which no two neighbours are alike: what is resampled shows.
NOISE = encode(128, 128, 3, lambda x, y: ((x * 37 + y * 91) & 255, (x * y * 7) & 255, (x * 13 ^ y * 29) & 255))


# ---- Automatic1111's img2img -------------------------------------------------------------------------------

def edit(s, picture, **more):
    asked = {"prompt": "make it green", "seed": 3, "steps": 2, "denoising_strength": 1, "init_images": [b64(picture)]}
    return s.post("/sdapi/v1/img2img", {**asked, **more})


def image(a):
    assert a.status == 200, a
    return Image(a.json()["images"][0])


def refused(a, name):
    """422 as FastAPI has it: detail is a list of what is wrong and where."""
    p = a.json()
    assert a.status == 422 and isinstance(p["detail"], list), (name, a)
    loc = p["detail"][0]["loc"]
    assert loc[0] == "body" and name in loc and p["detail"][0]["msg"], (name, p)
