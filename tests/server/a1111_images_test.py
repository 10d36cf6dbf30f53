"""The API of Automatic1111: images as they come, masks, fills and sizes."""

import base64
import json

from images import DISC, NOISE, Image, box, edit, encode, image, mask_of, refused, same
from support import Server, b64, run_all


def test_base64_forms(program):
    with Server(program) as s:
        plain = b64(DISC)
        want = image(edit(s, DISC)).rows
        for text in ("data:image/png;base64," + plain, base64.encodebytes(DISC).decode(), plain.rstrip("="),
                     "\n " + plain + " \r\n", " data:image/png;base64, " + plain[:40] + " \t" + plain[40:],
                     base64.urlsafe_b64encode(DISC).decode()):
            a = s.post("/sdapi/v1/img2img", {"prompt": "make it green", "seed": 3, "steps": 2, "denoising_strength": 1,
                                             "init_images": [text]})
            assert image(a).rows == want, text[:40]
        for text in ("", "!", "data:image/png," + plain, plain[:-100], "http://127.0.0.1/a.png", b64(b"GIF89a"),
                     "/etc/passwd"):
            refused(s.post("/sdapi/v1/img2img", {"prompt": "x", "init_images": [text]}), "init_images")
            refused(edit(s, DISC, mask=text or "!"), "mask")
            refused(s.post("/sdapi/v1/png-info", {"image": text}), "image")
            refused(s.post("/sdapi/v1/extra-single-image", {"image": text}), "image")


def test_masks(program):
    inside = box(48, 48, 80, 80)
    with Server(program) as s:
        source = Image(NOISE)
        for full_res in (False, True):
            for invert in (0, 1):
                a = edit(s, NOISE, mask=mask_of(inside), mask_blur=0, inpainting_mask_invert=invert,
                         inpaint_full_res=full_res)
                out = image(a)
                painted = inside if not invert else lambda x, y: not inside(x, y)
                assert (out.w, out.h, out.c) == (128, 128, 3)
                assert same(source, out, lambda x, y: not painted(x, y)) == 1, (full_res, invert)
                assert same(source, out, painted) < 0.5, (full_res, invert)
        # A soft edge: outside of what it reaches nothing changes; within it both show.
        for more in ({"inpaint_full_res": False, "mask_blur": 4}, {"inpaint_full_res": True, "mask_blur": 4},
                     {"inpaint_full_res": 1}, {"inpaint_full_res": False, "mask_blur_x": 4, "mask_blur_y": 4}):
            out = image(edit(s, NOISE, mask=mask_of(inside), **more))
            far = box(48 - 11, 48 - 11, 80 + 11, 80 + 11)
            assert same(source, out, lambda x, y: not far(x, y)) == 1, more
            assert same(source, out, lambda x, y: far(x, y) and not inside(x, y)) < 0.9, more
        # A mask of strokes on a transparent layer counts by its alpha.
        layer = encode(128, 128, 4, lambda x, y: (255, 255, 255, 255 if inside(x, y) else 0))
        out = image(edit(s, NOISE, mask=b64(layer), mask_blur=0))
        assert same(source, out, lambda x, y: not inside(x, y)) == 1 and same(source, out, inside) < 0.5
        # A mask of half the size is resized; one of quite another shape is refused.
        half = image(edit(s, NOISE, mask=mask_of(box(24, 24, 40, 40), 64, 64), mask_blur=0))
        assert same(source, half, lambda x, y: not box(46, 46, 82, 82)(x, y)) == 1
        refused(edit(s, NOISE, mask=mask_of(inside, 128, 64)), "mask")
        refused(edit(s, NOISE, mask=mask_of(lambda x, y: False)), "mask")
        refused(edit(s, NOISE, mask=mask_of(lambda x, y: False), inpaint_full_res=False), "mask")
        # Transparent parts of the original stay as they are.
        glass = encode(128, 128, 4, lambda x, y: (x, y, 9, 0 if y < 40 else 255))
        out = image(edit(s, glass, mask=mask_of(inside), mask_blur=0))
        assert out.c == 4 and same(Image(glass), out, lambda x, y: not inside(x, y)) == 1
        assert out.at(64, 64)[3] == 255


def test_fills(program):
    """Each way to fill gives another result, and none touches what is kept."""
    inside = box(32, 32, 96, 96)
    with Server(program) as s:
        source, seen = Image(NOISE), []
        for fill in range(4):
            for full_res in (False, True):
                out = image(edit(s, NOISE, mask=mask_of(inside), mask_blur=0, inpainting_fill=fill,
                                 inpaint_full_res=full_res, denoising_strength=0.6))
                assert same(source, out, lambda x, y: not inside(x, y)) == 1, fill
                assert out.rows not in seen, fill
                seen.append(out.rows)
        refused(edit(s, NOISE, mask=mask_of(inside), inpainting_fill=4), "inpainting_fill")


def test_full_resolution(program):
    """The masked part of a large picture is worked on by itself and put back."""
    wide = encode(300, 180, 3, lambda x, y: ((x * 5) & 255, (y * 7) & 255, (x * y) & 255))
    inside = box(200, 100, 230, 120)
    with Server(program) as s:
        source = Image(wide)
        for padding in (0, 32):
            a = edit(s, wide, mask=mask_of(inside, 300, 180), mask_blur=0, inpaint_full_res=True,
                     inpaint_full_res_padding=padding, width=128, height=128)
            out = image(a)
            assert (out.w, out.h) == (300, 180)
            assert same(source, out, lambda x, y: not inside(x, y)) == 1
            assert same(source, out, inside) < 0.5
            text = json.loads(a.json()["info"])["infotexts"][0]
            assert f"Masked area padding: {padding}" in text and out.texts["parameters"] == text, text
        whole = image(edit(s, wide, mask=mask_of(inside, 300, 180), mask_blur=0, inpaint_full_res=False))
        assert (whole.w, whole.h) == (300, 180)
        assert same(source, whole, lambda x, y: not inside(x, y)) == 1


def test_sizes(program):
    wide = encode(192, 96, 3, lambda x, y: (255, 0, 0) if x < 96 else (0, 0, 255))
    with Server(program) as s:
        for mode in (0, 1, 2):
            out = image(edit(s, wide, width=128, height=128, resize_mode=mode, denoising_strength=0.5))
            assert (out.w, out.h) == (128, 128), mode
            # With everything but a spot kept, the fitted image shows.
            kept = image(edit(s, wide, width=128, height=128, resize_mode=mode, mask=mask_of(box(80, 40, 96, 56), 192, 96),
                              mask_blur=0, inpaint_full_res=False))
            assert (kept.w, kept.h) == (128, 128) and kept.at(120, 64) == (0, 0, 255), (mode, kept.at(120, 64))
        refused(edit(s, wide, width=128, height=128, resize_mode=3), "resize_mode")
        refused(edit(s, wide, width=32), "width")
        a = edit(s, wide, width=128, height=64)
        assert (json.loads(a.json()["info"])["width"], json.loads(a.json()["info"])["height"]) == (128, 64)


if __name__ == "__main__":
    run_all(globals())
