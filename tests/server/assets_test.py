"""Images as an editor lists them: stars and the trash, search, how they were made, and what /v1/events says of them."""

import os
import sqlite3
import struct
import zlib

from events_test import Stream
from support import SCENE, Server, png, read, run_all

QUICK = {"prompt": "A red Star, über Bäume", "steps": 1, "width": 64, "height": 64, "seed": 7}
PNG = {"Content-Type": "image/png"}


def with_text(image, key, text):
    """The PNG with a tEXt chunk behind its header."""
    data = b"tEXt" + key.encode() + b"\0" + text.encode("latin-1")
    chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    return image[:33] + chunk + image[33:]


def put(s, image, name=None):
    r = s.post("/v1/assets", image, headers=PNG)
    assert r.status in (200, 201), r
    return r.json()["assets"][0]


def listed(s, query=""):
    r = s.get("/v1/assets" + query)
    assert r.status == 200, r
    return [a["id"] for a in r.json()["assets"]]


def test_results_say_how_they_were_made(program):
    with Server(program) as s:
        upload = put(s, png(16, 16))
        assert [upload[k] for k in ("job", "task", "model", "prompt", "seed")] == [None] * 5, upload
        assert upload["starred"] is upload["trashed"] is False and upload["origin"] == "upload"
        r = s.post("/v1/generate?wait=true", dict(QUICK, count=2)).json()
        for n, image in enumerate(r["images"]):
            a = s.get(f"/v1/assets/{image['asset']}/info").json()
            assert [a[k] for k in ("job", "task", "model", "prompt", "seed", "origin")] == \
                [r["job"], "generate", "micro-klein", QUICK["prompt"], 7 + n, "result"], a
            assert a["recipe"]["task"] == "generate" and a["recipe"]["seed"] == 7 + n, a
            assert a["recipe"]["prompt"] == QUICK["prompt"] and a["recipe"]["steps"] == 1, a
            assert a["digital_source_type"] == "trainedAlgorithmicMedia", a
        scene = put(s, read(SCENE))["id"]
        r = s.post("/v1/layers?wait=true", {"image": scene, "layers": 2, "seed": 3}).json()
        a = s.get(f"/v1/assets/{r['composite']}/info").json()
        assert (a["job"], a["task"], a["seed"]) == (r["job"], "layers", 3), a
        assert a["digital_source_type"] == "compositeWithTrainedAlgorithmicMedia" and a["recipe"]["task"] == "layers", a
        assert set(listed(s, "?origin=upload")) == {upload["id"], scene}


def source(s, asset):
    info = s.get(f"/v1/assets/{asset}/info").json()
    return info["digital_source_type"], info["recipe"] is not None


def exported(s, project, query):
    """The source and whether there is a recipe of an export, brought back as an upload or, of layers, as a project."""
    data = s.get(f"/v1/projects/{project}/export?{query}").body
    layers = s.post("/v1/projects/open", data, headers={"Content-Type": "application/octet-stream"}).json()["layers"]
    assert len({source(s, l["asset"]) for l in layers}) == 1, layers
    return source(s, layers[0]["asset"])


def test_where_an_image_came_from_stays_with_it(program):
    edited = "compositeWithTrainedAlgorithmicMedia"
    with Server(program) as s:
        made = s.post("/v1/generate?wait=true", QUICK).json()["images"][0]["asset"]
        mute = s.post("/v1/generate?wait=true", dict(QUICK, no_metadata=True)).json()["images"][0]["asset"]
        photo = put(s, png(64, 64))["id"]
        assert source(s, mute) == (None, False) and source(s, photo) == (None, False)
        assert mute != made and s.get("/v1/assets/" + mute + "/info").json()["prompt"] == QUICK["prompt"]
        apart = {"image": photo, "layers": 2, "seed": 3, "steps": 2, "resolution": 64, "keep_empty": True, "prompt": "x"}
        silent = s.post("/v1/layers?wait=true", dict(apart, no_metadata=True)).json()
        assert source(s, silent["composite"]) == source(s, silent["layers"][0]["asset"]) == (None, False)
        parts = [l["asset"] for l in s.post("/v1/layers?wait=true", apart).json()["layers"]]

        def project(*assets):
            p = s.post("/v1/projects", {"name": "p", "width": 64, "height": 64,
                                        "layers": [{"asset": a} for a in assets]})
            assert p.status == 201, p
            return p.json()
        for assets, want in (((made,), ("trainedAlgorithmicMedia", True)), (parts, (edited, True)),
                             ((photo, made), ("compositeSynthetic", False)), ((photo, mute), (None, False))):
            p = project(*assets)
            for query in ("format=png", "format=jpeg", "format=webp", "format=webp&quality=50", "format=psd", "format=ora",
                          "format=zip"):
                assert exported(s, p["id"], query) == want, (query, want)
                assert exported(s, p["id"], query + "&no_metadata=true") == (None, False), query
        r = s.post(f"/v1/projects/{project(photo, made)['id']}/render", {})
        assert source(s, r.json()["asset"]) == ("compositeSynthetic", False), r
        r = s.post(f"/v1/projects/{project(made)['id']}/render", {})
        assert source(s, r.json()["asset"]) == ("trainedAlgorithmicMedia", True), r


def test_recipes_of_uploads(program):
    with Server(program) as s:
        made = s.post("/v1/generate?wait=true", QUICK).json()["images"][0]["asset"]
        copy = s.get("/v1/assets/" + made).body
    with Server(program) as s:
        a = put(s, copy)
        info = s.get(f"/v1/assets/{a['id']}/info").json()
        assert info["prompt"] is None and info["recipe"]["prompt"] == QUICK["prompt"], info
        assert info["recipe"]["model"] == "micro-klein" and info["recipe"]["width"] == 64, info
        text = "an owl\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x768, Model: sd"
        recipe = s.get(f"/v1/assets/{put(s, with_text(png(8, 8), 'parameters', text))['id']}/info").json()["recipe"]
        assert recipe == {"task": None, "prompt": "an owl", "negative_prompt": "blurry", "model": "sd", "seed": 5,
                          "steps": 20, "width": 512, "height": 768, "guidance": 7}, recipe
        for image in (png(8, 8), with_text(png(8, 8), "parameters", "no numbers"), with_text(png(8, 8), "other", text)):
            assert s.get(f"/v1/assets/{put(s, image)['id']}/info").json()["recipe"] is None
        assert s.get(f"/v1/assets/{'0' * 64}/info").status == 404


def test_stars_and_the_trash(program):
    with Server(program) as s:
        a, b = put(s, png(8, 8, (1, 2, 3)))["id"], put(s, png(8, 8, (4, 5, 6)))["id"]
        r = s.request("PATCH", "/v1/assets/" + a, {"starred": True})
        assert r.status == 200 and r.json()["starred"] is True and r.json()["trashed"] is False, r
        r = s.request("PATCH", "/v1/assets/" + b, {"trashed": True})
        assert r.status == 200 and r.json()["trashed"] is True, r
        assert listed(s) == listed(s, "?starred=true") == [a] and listed(s, "?trashed=true") == [b]
        assert listed(s, "?starred=false") == []
        assert s.get("/v1/assets/" + b).status == 200
        for body in ({"starred": 1}, {"stared": True}, {"starred": None}):
            assert s.request("PATCH", "/v1/assets/" + a, body).status == 422, body
        assert s.request("PATCH", "/v1/assets/" + "0" * 64, {"starred": True}).status == 404
        assert s.get("/v1/assets?starred=perhaps").status == 400
        s.kill()
        s.start()
        assert s.get(f"/v1/assets/{a}/info").json()["starred"] is True and listed(s, "?trashed=true") == [b]

        # Days later: what is in the trash goes, but not while a project shows it; what is starred stays.
        used = put(s, png(8, 8, (7, 8, 9)))["id"]
        project = s.post("/v1/projects", {"width": 8, "height": 8, "layers": [{"asset": used}]}).json()["id"]
        s.request("PATCH", "/v1/assets/" + used, {"trashed": True})
        db = sqlite3.connect(os.path.join(s.store, "veetance.db"), timeout=30)
        with db:
            db.execute("UPDATE assets SET touched_ms = touched_ms - 8 * 24 * 3600 * 1000")
        db.close()
        assert s.post("/v1/store/tidy").json()["assets"] == 1
        assert [s.get("/v1/assets/" + i).status for i in (a, b, used)] == [200, 404, 200]
        assert s.request("DELETE", f"/v1/projects/{project}").status == 204
        assert s.post("/v1/store/tidy").json()["assets"] == 1
        assert s.get("/v1/assets/" + used).status == 404 and s.get("/v1/assets/" + a).status == 200
        # Put in again, an image is out of the trash.
        b = put(s, png(8, 8, (4, 5, 6)))["id"]
        s.request("PATCH", "/v1/assets/" + b, {"trashed": True})
        assert put(s, png(8, 8, (4, 5, 6)))["trashed"] is False and listed(s)[0] == b


def test_search(program):
    with Server(program) as s:
        star = s.post("/v1/generate?wait=true", QUICK).json()["images"][0]["asset"]
        owl = s.post("/v1/generate?wait=true", dict(QUICK, prompt="an owl", seed=8)).json()["images"][0]["asset"]
        put(s, png(8, 8))
        for q, ids in (("RED%20star", [star]), ("%C3%9CBER", [star]), ("seed-8", [owl]), ("owl%20star", []), ("%25", []),
                       ("seed", [owl, star])):
            assert listed(s, "?q=" + q) == ids, q
        page = s.get("/v1/assets?q=seed&limit=1").json()
        assert [a["id"] for a in page["assets"]] == [owl]
        assert listed(s, f"?q=seed&limit=1&before={page['next']}") == [star]
        assert listed(s, "?q=star&origin=result&starred=false") == [star]


def test_events_tell_of_images(program):
    with Server(program) as s:
        stream = Stream(s, "/v1/events?telemetry=false")
        stream.until("models")

        def told(id, **members):
            seen = stream.until("asset", id=id)[-1]["data"]
            assert seen == {"id": id, **members}, seen
        a = put(s, png(8, 8))["id"]
        told(a)
        s.request("PATCH", "/v1/assets/" + a, {"starred": True})
        told(a)
        assert s.request("DELETE", "/v1/assets/" + a).status == 200
        told(a, deleted=True)
        told(s.post("/v1/generate?wait=true", QUICK).json()["images"][0]["asset"])
        stream.close()


if __name__ == "__main__":
    run_all(globals())
