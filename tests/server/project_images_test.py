"""project_images_test.py - projects as images: parts rendered, layers merged, trimmed and cleaned, small versions, and
the events that tell of changes."""

import json
import http.client
import threading

from groups_test import grouped, order
from images import Image, encode
from projects_test import NOTHING, change, put
from support import Server, png, run_all, until

RED, GREEN, CLEAR = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 0, 0)


def render(s, at, **body):
    r = s.post(at + "/render", body)
    assert r.status == 201, r
    made = r.json()
    im = Image(s.get("/v1/assets/" + made["asset"]).body)
    assert (im.w, im.h) == (made["width"], made["height"]), made
    return im, made


def layer(r, name):
    assert r.status == 200, r
    return next(l for l in r.json()["layers"] if l["id"] == name)


def test_what_is_named_is_drawn(program):
    with Server(program) as s:
        at = grouped(s)
        im, made = render(s, at)
        assert (made["x"], made["y"], made["width"], made["height"]) == (0, 0, 40, 30)
        assert im.at(1, 1) == GREEN and im.at(15, 15) == RED
        assert s.get(f"/v1/assets/{made['asset']}/info").json()["origin"] == "render"
        im, _ = render(s, at, layers=["g"])
        assert im.at(1, 1) == GREEN and im.at(21, 1) == GREEN and im.at(15, 15) == CLEAR
        change(s, "PATCH", at + "/layers/g", {"visible": False, "opacity": 0.5})
        change(s, "PATCH", at + "/layers/b", {"visible": False})
        im, _ = render(s, at, layers=["g"])
        assert im.at(1, 1) == (0, 255, 0, 128) and im.at(21, 1) == CLEAR, im.at(1, 1)
        im, _ = render(s, at, layers=["b", "top"])
        assert im.at(1, 1) == CLEAR and im.at(21, 1) == (0, 255, 0, 128) and im.at(1, 21) == GREEN
        im, _ = render(s, at)
        assert im.at(1, 1) == RED
        im, _ = render(s, at, hidden=True)
        assert im.at(21, 1)[1] in (127, 128)
        im, made = render(s, at, layers=["a"], region=[-5, 2, 10, 100], background="#0000ff")
        assert [made[k] for k in ("x", "y", "width", "height")] == [0, 2, 5, 28], made
        assert im.c == 3 and im.at(1, 20) == (0, 0, 255) and im.at(1, 1)[1] in (127, 128)


def test_what_cannot_be_rendered_says_why(program):
    with Server(program) as s:
        at = grouped(s)
        for body, field in (({"layers": ["nobody"]}, "layers"), ({"layers": []}, "layers"), ({"region": [1, 2, 3]}, "region"),
                            ({"region": [50, 0, 10, 10]}, "region"), ({"background": "#12"}, "background")):
            for path in ("/render", "/merge"):
                if path == "/merge" and field != "layers":
                    continue
                r = s.post(at + path, body)
                assert r.status in (400, 422) and r.json()["field"] == field, (body, r)
        assert s.post("/v1/projects/p" + "0" * 20 + "/render", {}).status == 404


def test_layers_become_one(program):
    with Server(program) as s:
        at = grouped(s)
        change(s, "PATCH", at + "/layers/a", {"x": 25, "blend_mode": "multiply"})
        change(s, "PATCH", at + "/layers/top", {"asset": put(s, png(10, 10, (0, 0, 255))), "x": 25, "y": -5})
        before = Image(s.get(at + "/export").body)
        r = change(s, "POST", at + "/merge", {"layers": ["top", "g"], "name": "one"})
        assert order(r) == "ground top", r
        one = layer(r, "top")
        assert (one["kind"], one["name"], one["x"], one["y"], one["opacity"], one["blend_mode"]) == \
            ("image", "one", 20, -5, 1, "normal"), one
        assert Image(s.get(at + "/export").body).rows == before.rows
        points = s.get(at + "/history").json()["points"]
        assert points[-1]["label"] == "merge" and len(points) == 4, points
        assert order(change(s, "POST", at + "/undo")) == "ground a<g b<g g top"


def test_a_group_stays_around_what_is_merged_in_it(program):
    with Server(program) as s:
        at = grouped(s)
        change(s, "PATCH", at + "/layers/g", {"opacity": 0.5})
        before = Image(s.get(at + "/export").body)
        r = change(s, "POST", at + "/merge", {"layers": ["b", "a"]})
        assert order(r) == "ground b<g g top", r
        assert Image(s.get(at + "/export").body).rows == before.rows
        r = change(s, "POST", at + "/merge", {"layers": ["g"]})
        assert order(r) == "ground g top" and layer(r, "g")["kind"] == "image"
        same = Image(s.get(at + "/export").body)
        assert max(abs(x - y) for p, q in zip(same.rows, before.rows) for x, y in zip(p, q)) <= 1


def test_transparent_edges_are_cut_off(program):
    def pixel(x, y):
        return (10, 200, 30, 255) if 4 <= x < 8 and 2 <= y < 8 else (0, 0, 0, 0)
    with Server(program) as s:
        dot = put(s, encode(12, 10, 4, pixel))
        half = put(s, encode(24, 20, 1, lambda x, y: (255 if x >= 12 else 0,)))
        for more in ({}, {"rotation": 90, "scale_x": -1}, {"rotation": 90, "scale_x": -2, "scale_y": 3}, {"mask": half}):
            p = s.post("/v1/projects", {"width": 60, "height": 60, "layers": [
                {"id": "l", "asset": dot, "x": 30, "y": 20, **more}]}).json()
            at = "/v1/projects/" + p["id"]
            before = Image(s.get(at + "/export").body)
            r = change(s, "POST", at + "/layers/l/trim")
            info = s.get(f"/v1/assets/{layer(r, 'l')['asset']}/info").json()
            assert (info["width"], info["height"]) == ((3, 6) if more.get("mask") else (4, 6)), info
            after = Image(s.get(at + "/export").body)
            # what is enlarged has another edge where the image ends
            off = 0 if "scale_y" not in more else 128
            far = [(x, y) for y in range(60) for x in range(60) if abs(after.at(x, y)[3] - before.at(x, y)[3]) > off]
            assert not far, (more, far)
            assert r.json()["revision"] == 2
            r = change(s, "POST", at + "/layers/l/trim")
            assert r.status == 200 and r.json()["revision"] == 2, r
        assert change(s, "POST", at + "/layers/nobody/trim").status == 404
        at = grouped(s)
        assert change(s, "POST", at + "/layers/g/trim").status == 422


def test_edges_are_cleaned(program):
    def pixel(x, y):
        return (10, 200, 30, 255) if x < 4 else (255, 255, 255, 128) if x == 4 else (255, 255, 255, 9)
    with Server(program) as s:
        p = s.post("/v1/projects", {"width": 10, "height": 4, "layers": [
            {"id": "l", "asset": put(s, encode(10, 4, 4, pixel))}]}).json()
        at = "/v1/projects/" + p["id"]
        r = change(s, "POST", at + "/layers/l/clean")
        im = Image(s.get("/v1/assets/" + layer(r, "l")["asset"]).body)
        assert im.at(4, 1) == (10, 200, 30, 128) and im.at(8, 1)[3] == 0 and im.at(1, 1) == (10, 200, 30, 255)
        assert s.get(at + "/history").json()["points"][-1]["label"] == "clean edges"


def test_small_versions_follow_the_revision(program):
    with Server(program) as s:
        at = grouped(s)
        r = s.get(at + "/thumbnail?size=16")
        assert r.status == 200 and r.headers["Content-Type"] == "image/webp" and r.body[8:12] == b"WEBP", r
        assert s.get(at + "/thumbnail?size=16").body == r.body
        tag = r.headers["ETag"]
        assert s.get(at + "/thumbnail?size=16", headers={"If-None-Match": tag}).status == 304
        assert s.get(at + "/thumbnail", headers={"If-None-Match": tag}).status == 200
        change(s, "PATCH", at + "/layers/top", {"visible": False})
        r = s.get(at + "/thumbnail?size=16", headers={"If-None-Match": tag})
        assert r.status == 200 and r.headers["ETag"] != tag
        for size in (15, 1025):
            assert s.get(f"{at}/thumbnail?size={size}").status == 400


def test_changes_are_told(program):
    with Server(program) as s:
        seen = []

        def listen():
            try:
                for name, data in s.events("/v1/events?telemetry=false"):
                    if name == "project":
                        seen.append((data["id"], data["revision"], data.get("deleted")))
            except (OSError, http.client.HTTPException, json.JSONDecodeError):
                pass  # the server ends
        thread = threading.Thread(target=listen)
        thread.start()
        until(lambda: b"event_streams 1" in s.get("/metrics").body)
        at = grouped(s)
        name = at.rsplit("/", 1)[1]
        change(s, "PATCH", at, {"name": "x"})
        change(s, "PATCH", at, {})
        change(s, "POST", at + "/merge", {"layers": ["a", "b"]})
        change(s, "POST", at + "/undo")
        assert change(s, "DELETE", at).status == 204
        until(lambda: len(seen) == 5)
        assert seen == [(name, n, None) for n in (1, 2, 3, 4)] + [(name, 4, True)], seen
        s.stop()
        thread.join()
        s.start()


def test_too_much_is_refused_before_it_is_made(program):
    with Server(program, "--work-memory", "64M") as s:
        a = put(s, png(8, 8))
        p = s.post("/v1/projects", {"width": 5000, "height": 5000, "layers": [
            {"id": "l", "asset": a, "scale_x": 500, "scale_y": 500}]}).json()
        at = "/v1/projects/" + p["id"]
        assert s.post(at + "/render", {}).status == 507
        assert s.post(at + "/merge", {"layers": ["l"]}).status == 507
        assert s.get(at + "/thumbnail").status == 507
        assert s.post(at + "/render", {"region": [0, 0, 10, 10]}).status == 201
        assert s.post(at + "/render", {"layers": [NOTHING[:60]]}).status == 422


if __name__ == "__main__":
    run_all(globals())
