"""The images API of OpenAI: what it asks for is what comes, in answers, addresses and streams."""

import base64
import struct
import zlib

from support import EDIT, Server, b64, form, png, read, run_all

STAR = {"prompt": "a red star on a white background", "seed": 1, "steps": 2, "size": "128x128"}
KINDS = {"png": b"\x89PNG", "jpeg": b"\xff\xd8\xff", "webp": b"RIFF"}


def data_url(data):
    return "data:image/png;base64," + b64(data)


def kind(data):
    if isinstance(data, str):
        data = base64.b64decode(data)
    return next((k for k, v in KINDS.items() if data.startswith(v)), None)


def refused(a, param):
    """400, with the error object that clients look for."""
    e = a.json()["error"]
    assert a.status == 400 and e["param"] == param and e["message"] and e["type"] == "invalid_request_error", (param, a)


def rgba(width, height, pixel):
    """An RGBA PNG of pixel(x, y)."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    rows = b"".join(b"\0" + b"".join(bytes(pixel(x, y)) for x in range(width)) for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def jpeg_size(data):
    """Width and height of a JPEG."""
    at = 2
    while at < len(data):
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2:at + 4])[0]
        if 0xc0 <= marker <= 0xc2:
            height, width = struct.unpack(">HH", data[at + 5:at + 9])
            return width, height
        at += 2 + length
    return None


def test_answers(program):
    with Server(program) as s:
        a = s.post("/v1/images/generations", dict(STAR, model="dall-e-3", n=2, response_format="url", quality="hd"))
        urls = [d["url"] for d in a.json()["data"]]
        assert len(urls) == 2 and s.get(urls[0].split(str(s.port), 1)[1]).status == 200
        ours = s.post("/v1/generate?wait=true", {"prompt": STAR["prompt"], "seed": 1, "steps": 2, "width": 128,
                                                 "height": 128}).json()
        assert urls[0].endswith(ours["images"][0]["asset"])
        sizes = {}
        for name in KINDS:
            for quality in (None,) if name == "png" else (20, 100):
                asked = dict(STAR, output_format=name)
                if quality:
                    asked["output_compression"] = quality
                a = s.post("/v1/images/generations", asked).json()
                assert a["output_format"] == name and a["size"] == "128x128", a
                data = base64.b64decode(a["data"][0]["b64_json"])
                assert kind(data) == name, (name, data[:8])
                sizes[name, quality] = len(data)
                url = s.post("/v1/images/generations", dict(asked, response_format="url")).json()["data"][0]["url"]
                got = s.get(url.split(str(s.port), 1)[1])
                assert got.headers["Content-Type"] == "image/" + name and got.body == data, name
        url = s.post("/v1/images/generations", dict(STAR, response_format="url"), headers={"X-Forwarded-Proto": "https"})
        assert url.json()["data"][0]["url"].startswith("https://127.0.0.1"), url
        assert sizes["jpeg", 20] < sizes["jpeg", 100] and sizes["webp", 20] < sizes["webp", 100], sizes


def test_refusals(program):
    """What cannot be honoured is refused with its name; never ignored."""
    with Server(program) as s:
        for member, value in (("background", "transparent"), ("size", "huge"), ("size", "100x100"), ("size", "32x32"),
                              ("size", "4096x4096"), ("n", 0), ("n", 11), ("n", "two"), ("style", "vivid"),
                              ("output_format", "gif"), ("output_compression", 101), ("output_compression", 50),
                              ("quality", "ultra"), ("partial_images", 4), ("partial_images", 1),
                              ("response_format", "file"), ("moderation", "off"), ("model", "no-such-model"),
                              ("prompt", ""), ("prompt", "a star <lora:x:1>"), ("negative_prompt", "x"), ("stream", "maybe")):
            refused(s.post("/v1/images/generations", dict(STAR, **{member: value})), member)
        refused(s.post("/v1/images/generations", {"n": 1}), "prompt")
        refused(s.post("/v1/images/generations", dict(STAR, stream=True, response_format="url")), "response_format")
        refused(s.post("/v1/images/edits", dict(STAR, images=[{"image_url": data_url(read(EDIT))}],
                                                input_fidelity="low")), "input_fidelity")
        # Values that ask for nothing else than what is done anyway.
        for member, value in (("background", "auto"), ("background", "opaque"), ("quality", "low"), ("style", None),
                              ("user", "u1"), ("moderation", "low"), ("size", "auto"), ("model", "gpt-image-1"),
                              ("output_compression", 100), ("background", None)):
            if value is None and member == "style":
                continue
            asked = dict(STAR, **{member: value})
            assert s.post("/v1/images/generations?api-version=2025-04-01", asked).status == 200, (member, value)
        for method, path in (("GET", "/v1/images/generations"), ("POST", "/v1/images/variations"),
                             ("GET", "/v1/models/no-such-model")):
            a = s.request(method, path)
            assert a.status in (404, 405) and a.json()["error"]["message"], a
        a = s.post("/v1/images/generations", b"{", headers={"Content-Type": "application/json"})
        assert a.status == 400 and a.json()["error"]["message"], a


def test_streams(program):
    with Server(program) as s:
        seen = list(s.events("/v1/images/generations", body=dict(STAR, steps=4, stream=True, partial_images=2)))
        assert [n for n, _ in seen] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
        assert [d["partial_image_index"] for _, d in seen[:2]] == [0, 1]
        whole = s.post("/v1/images/generations", dict(STAR, steps=4)).json()["data"][0]["b64_json"]
        assert seen[-1][1]["b64_json"] == whole
        for name in KINDS:
            asked = dict(STAR, stream=True, n=2, partial_images=1, output_format=name)
            if name != "png":
                asked["output_compression"] = 80
            seen = list(s.events("/v1/images/generations", body=asked))
            ends = [d for n, d in seen if n == "image_generation.completed"]
            partial = [d for n, d in seen if n == "image_generation.partial_image"]
            assert [d["index"] for d in ends] == [0, 1] and [d["seed"] for d in ends] == [1, 2], (name, seen)
            assert [(d["index"], d["partial_image_index"]) for d in partial] == [(0, 0), (1, 0)], partial
            assert all(kind(d["b64_json"]) == d["output_format"] == name for d in ends + partial), name
            assert all(d["size"] == "128x128" for d in ends + partial), partial
            if name == "jpeg":
                assert jpeg_size(base64.b64decode(partial[0]["b64_json"])) == (128, 128)
            del asked["stream"], asked["partial_images"]
            same = s.post("/v1/images/generations", asked).json()["data"]
            assert [d["b64_json"] for d in ends] == [d["b64_json"] for d in same], name
        edit = {"prompt": "make it green", "seed": 1, "steps": 2, "stream": True, "partial_images": 3,
                "images": [{"image_url": data_url(read(EDIT))}]}
        seen = list(s.events("/v1/images/edits", body=edit))
        # Two steps give two previews at most, numbered from 0.
        assert [n for n, _ in seen][-1] == "image_edit.completed", seen
        assert [d["partial_image_index"] for _, d in seen[:-1]] == list(range(len(seen) - 1)), seen
        assert s.post("/v1/images/generations", dict(STAR, stream=True, size="9x9")).status == 400


def test_edits(program):
    with Server(program) as s:
        source = read(EDIT)
        asked = {"prompt": "make the circle green", "seed": 3, "steps": 2}
        parts = [(k, v) for k, v in asked.items()]
        body, headers = form(*parts, ("image", "a.png", source))
        first = s.post("/v1/images/edits", body, headers=headers)
        assert first.status == 200, first
        first = first.json()["data"][0]["b64_json"]
        asset = s.upload(EDIT)
        for images in ([{"image_url": data_url(source)}], [{"image_url": asset}], [{"file_id": asset}],
                       [{"image_url": f"http://127.0.0.1:{s.port}/v1/assets/{asset}"}],
                       [{"image_url": f"/v1/assets/{asset}"}], [{"image_url": data_url(source), "file_id": None}]):
            a = s.post("/v1/images/edits", dict(asked, images=images))
            assert a.status == 200 and a.json()["data"][0]["b64_json"] == first, (images, a)
        assert s.post("/v1/images/edits", dict(asked, image=[asset])).json()["data"][0]["b64_json"] == first
        for i, url in enumerate(("http://example.com/a.png", "https://127.0.0.1/v1/assets/" + asset, "file:///etc/passwd",
                                 "/etc/passwd", "0" * 64, "", "data:image/png,abc", "data:image/png;base64,!!",
                                 data_url(b"GIF89a"), data_url(source[:-30]))):
            images = [{"image_url": asset}] * (i % 2) + [{"image_url": url}]
            refused(s.post("/v1/images/edits", dict(asked, images=images)), f"images[{i % 2}].image_url")
        refused(s.post("/v1/images/edits", dict(asked, images=[{}])), "images[0]")
        refused(s.post("/v1/images/edits", dict(asked, images=[{"file_id": asset, "image_url": asset}])), "images[0]")
        refused(s.post("/v1/images/edits", asked), "images")
        refused(s.post("/v1/images/edits", dict(asked, images=[{"image_url": asset, "detail": "high"}])),
                "images[0].detail")
        body, headers = form(*parts)
        refused(s.post("/v1/images/edits", body, headers=headers), "image")
        body, headers = form(*parts, ("image", "a.png", b"no image"))
        refused(s.post("/v1/images/edits", body, headers=headers), "image")


def test_masks(program):
    """Painted where the mask is transparent, as a form, as JSON, and in a stream alike."""
    with Server(program) as s:
        mask = rgba(128, 128, lambda x, y: (0, 0, 0, 0 if x < 64 else 255))
        asked = {"prompt": "x", "seed": 1, "steps": 2}
        body, headers = form(*asked.items(), ("image[]", "a.png", read(EDIT)), ("image[]", "b.png", png(64, 64)),
                             ("mask", "m.png", mask), ("output_format", "webp"))
        a = s.post("/v1/images/edits", body, headers=headers)
        assert a.status == 200 and kind(a.json()["data"][0]["b64_json"]) == "webp", a
        images = [{"image_url": data_url(read(EDIT))}, {"image_url": data_url(png(64, 64))}]
        asset = s.post("/v1/assets", mask, headers={"Content-Type": "image/png"}).json()["id"]
        for m in ({"image_url": data_url(mask)}, {"file_id": asset}, asset):
            b = s.post("/v1/images/edits", dict(asked, images=images, mask=m, output_format="webp"))
            assert b.status == 200 and b.json()["data"] == a.json()["data"], (m, b)
        refused(s.post("/v1/images/edits", dict(asked, images=images, mask={"image_url": "http://h/m.png"})),
                "mask.image_url")
        refused(s.post("/v1/images/edits", dict(asked, images=images, mask=7)), "mask")


if __name__ == "__main__":
    run_all(globals())
