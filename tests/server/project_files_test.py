"""project_files_test.py - files become projects, and projects files: what is opened, what export can be asked for."""

import io
import os
import struct
import zipfile

from groups_test import grouped
from images import Image, encode
from projects_test import change, new_project, put
from support import ROOT, Server, form, png, run_all

BYTES = {"Content-Type": "application/octet-stream"}
KEPT = ("id", "name", "x", "y", "opacity", "blend_mode", "visible")


def opened(r):
    assert r.status == 201, r
    return r.json()


def test_layers_come_back_from_every_format(program):
    with Server(program) as s:
        p = new_project(s)
        at = "/v1/projects/" + p["id"]
        change(s, "PATCH", f"{at}/layers/{p['layers'][1]['id']}",
               {"name": "dot \u00e4", "opacity": 0.3, "blend_mode": "multiply", "visible": False})
        want = s.get(at).json()
        seen = s.get(at + "/export").body
        for name, kind in (("psd", "image/vnd.adobe.photoshop"), ("ora", "image/openraster"), ("zip", "application/zip")):
            data = s.get(f"{at}/export?format={name}").body
            r = s.post("/v1/projects/open?name=back", data, headers={"Content-Type": kind})
            q = opened(r)
            assert r.headers["Location"] == "/v1/projects/" + q["id"] and q["notes"] == [], r
            assert (q["width"], q["height"], q["name"]) == (40, 30, "back"), q
            assert [[l[k] for k in KEPT] for l in q["layers"]] == [[l[k] for k in KEPT] for l in want["layers"]], q
            assert Image(s.get(f"/v1/projects/{q['id']}/export").body).rows == Image(seen).rows
            assert s.get(f"/v1/projects/{q['id']}").json() == {k: v for k, v in q.items() if k != "notes"}


def test_groups_come_back_from_every_format(program):
    with Server(program) as s:
        at = grouped(s)
        change(s, "PATCH", at + "/layers/g", {"opacity": 0.3, "blend_mode": "screen"})
        change(s, "POST", at + "/layers", {"id": "h", "kind": "group", "visible": False, "index": 0})
        change(s, "PATCH", at + "/layers/top", {"parent": "h"})
        change(s, "POST", at + "/layers", {"id": "inner", "kind": "group", "parent": "g", "name": "within"})
        change(s, "PATCH", at + "/layers/b", {"parent": "inner"})
        want, keys = s.get(at).json()["layers"], ("kind", "parent", *KEPT)
        seen = s.get(at + "/export").body
        for name in ("psd", "ora", "zip"):
            q = opened(s.post("/v1/projects/open", s.get(f"{at}/export?format={name}").body, headers=BYTES))
            assert [[l[k] for k in keys] for l in q["layers"]] == [[l[k] for k in keys] for l in want], (name, q)
            assert q["notes"] == [] and Image(s.get(f"/v1/projects/{q['id']}/export").body).rows == Image(seen).rows
        change(s, "POST", at + "/layers", {"id": "empty", "kind": "group"})  # nothing in it: it is not in the file
        q = opened(s.post("/v1/projects/open", s.get(f"{at}/export?format=psd").body, headers=BYTES))
        assert len(q["layers"]) == len(want)


def test_images_are_opened_as_one_layer(program):
    with Server(program) as s:
        data = png(12, 9)
        q = opened(s.post("/v1/projects/open", data, headers={"Content-Type": "image/png", "X-File-Name": "a/b cat.png"}))
        assert q["name"] == "b cat" and (q["width"], q["height"]) == (12, 9) and len(q["layers"]) == 1
        assert s.get("/v1/assets/" + q["layers"][0]["asset"]).body == data  # the file itself
        q = opened(s.post("/v1/projects/open?name=bird", data, headers={"Content-Type": "image/png"}))
        assert (q["name"], q["layers"][0]["name"]) == ("bird", "bird")
        body, headers = form(("file", "dog.png", data))
        assert opened(s.post("/v1/projects/open", body, headers=headers))["name"] == "dog"
        bmp = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54 + 8, 0, 0, 54, 40, 2, 1, 1, 24, 0, 8, 0, 0, 0, 0) + b"\1\2\3\4\5\6\0\0"
        q = opened(s.post("/v1/projects/open", bmp, headers=BYTES))
        im = Image(s.get("/v1/assets/" + q["layers"][0]["asset"]).body)
        assert (im.w, im.h) == (2, 1) and im.at(0, 0)[:3] == (3, 2, 1), im.rows


def test_heic_is_opened_whatever_its_library_is(program):
    with Server(program) as s:
        for name in ("plain.heic", "plain.avif"):
            with open(os.path.join(ROOT, "fuzz", "corpus", "heif", name), "rb") as f:
                r = s.post("/v1/projects/open", f.read(), headers=BYTES)
            assert len(opened(r)["layers"]) == 1


def test_what_cannot_be_opened_says_why(program):
    with Server(program) as s:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as z:
            z.writestr("readme.txt", "nothing")
        psd = s.get(f"/v1/projects/{new_project(s)['id']}/export?format=psd").body
        before = len(s.get("/v1/projects").json()["projects"])
        for data in (b"<svg/>", b"PK\x03\x04", archive.getvalue(), psd[:200], psd[:len(psd) // 2], b"8BPS", png(50, 50)[:-30]):
            r = s.post("/v1/projects/open", data, headers=BYTES)
            assert r.status == 422 and r.json()["detail"], (data[:20], r)
        assert s.post("/v1/projects/open", b"", headers=BYTES).status in (400, 422)
        assert s.post("/v1/projects/open", b"x", headers={"Content-Type": "text/plain"}).status == 415
        body, headers = form(("file", "a.png", png(4, 4)), ("file", "b.png", png(4, 4)))
        assert s.post("/v1/projects/open", body, headers=headers).status == 422
        huge = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 4, 30000, 17000, 8, 3) + bytes(12)
        assert s.post("/v1/projects/open", huge, headers=BYTES).status in (413, 422, 507)
        assert len(s.get("/v1/projects").json()["projects"]) == before


def exported(s, at, query):
    r = s.get(f"{at}/export?{query}")
    assert r.status == 200, (query, r)
    return r


def test_exports_are_what_is_asked_for(program):
    with Server(program) as s:
        at = grouped(s)
        assert Image(exported(s, at, "scale=0.5").body).w == 20
        assert Image(exported(s, at, "scale=2").body).h == 60
        im = Image(exported(s, at, "layers=g&trim=true").body)
        assert (im.w, im.h) == (30, 10) and im.at(0, 0) == (0, 255, 0, 255) and im.at(15, 0)[3] == 0
        im = Image(exported(s, at, "layers=top,b&trim=true&scale=0.5").body)
        assert (im.w, im.h) == (15, 15), (im.w, im.h)
        r = exported(s, at, "format=jpeg&layers=top&background=%2300ff00")
        assert r.body.startswith(b"\xff\xd8\xff") and r.headers["Content-Type"] == "image/jpeg"
        small, large = (len(exported(s, at, f"format=jpeg&quality={q}").body) for q in (5, 100))
        assert small < large
        lossy, lossless = (exported(s, at, "format=webp" + q).body for q in ("&quality=20", ""))
        assert b"VP8L" in lossless[:40] and b"VP8L" not in lossy[:40]
        pptx = zipfile.ZipFile(io.BytesIO(exported(s, at, "format=pptx").body))
        assert "ppt/media/image4.png" in pptx.namelist(), pptx.namelist()
        pptx = zipfile.ZipFile(io.BytesIO(exported(s, at, "format=pptx&layers=top").body))
        assert "ppt/media/image2.png" not in pptx.namelist(), pptx.namelist()
        tags = {exported(s, at, q).headers["ETag"] for q in ("scale=2", "scale=3", "trim=true", "layers=g", "")}
        assert len(tags) == 5, tags


def test_the_jpeg_has_its_background(program):
    with Server(program) as s:
        clear = put(s, encode(16, 16, 4, lambda x, y: (0, 0, 0, 0)))
        p = s.post("/v1/projects", {"width": 16, "height": 16, "layers": [{"asset": clear}]}).json()
        at = "/v1/projects/" + p["id"]
        for colour, want in (("", (255, 255, 255)), ("&background=%23204060", (32, 64, 96))):
            jpeg = exported(s, at, "format=jpeg&quality=100" + colour).body
            q = opened(s.post("/v1/projects/open", jpeg, headers=BYTES))
            got = Image(s.get(f"/v1/projects/{q['id']}/export").body).at(8, 8)
            assert all(abs(a - b) <= 2 for a, b in zip(got, want)), (got, want)


def test_wrong_wishes_name_the_parameter(program):
    with Server(program) as s:
        at = grouped(s)
        for query, field in (("layers=nobody", "layers"), ("scale=0", "scale"), ("scale=17", "scale"), ("scale=x", "scale"),
                             ("format=psd&scale=2", "scale"), ("format=ora&trim=true", "trim"), ("quality=50", "quality"),
                             ("format=jpeg&quality=0", "quality"), ("background=%23ffffff", "background"),
                             ("format=jpeg&background=nice", "background"), ("format=gif", "format")):
            r = s.get(f"{at}/export?{query}")
            assert r.status in (400, 422) and r.json()["field"] == field, (query, r)
        p = s.post("/v1/projects", {"width": 9000, "height": 9000}).json()
        r = s.get(f"/v1/projects/{p['id']}/export?scale=16")
        assert r.status in (413, 422) and r.json()["field"] == "scale", r
        assert exported(s, at, "format=psd&scale=1&trim=false").body[:4] == b"8BPS"


if __name__ == "__main__":
    run_all(globals())
