"""projects_test.py - pictures and projects over HTTP: uploads, ranges, revisions, undo, import, export."""

import hashlib
import io
import json
import os
import socket
import subprocess
import threading
import time
import zipfile

from support import SCENE, Server, form, png, read, run_all

JSON = {"Content-Type": "application/json"}
NOTHING = "0" * 64


def put(s, data):
    return s.post("/v1/assets", data, headers={"Content-Type": "image/png"}).json()["id"]


def new_project(s, **more):
    a = put(s, png(40, 30, (255, 0, 0)))
    b = put(s, png(10, 10, (0, 255, 0)))
    r = s.post("/v1/projects", {"width": 40, "height": 30, "name": "two", "layers": [
        {"asset": a}, {"asset": b, "x": 5, "y": 6}], **more})
    assert r.status == 201, r
    return r.json()


def change(s, method, path, body=None, revision=None):
    headers = dict(JSON)
    if revision is not None:
        headers["If-Match"] = f'"{revision}"'
    return s.request(method, path, json.dumps(body).encode() if body is not None else None, headers)


def test_an_empty_change_makes_no_revision(program):
    with Server(program) as s:
        p = new_project(s)
        at, layer = "/v1/projects/" + p["id"], p["layers"][1]
        for path in ("", "/layers/" + layer["id"]):
            for revision in (p["revision"], None):
                r = change(s, "PATCH", at + path, {}, revision)
                assert r.status == 200 and r.json() == p, r
        assert len(s.get(at + "/history").json()["points"]) == 1
        assert change(s, "PATCH", at, {}, 9).status == 412
        assert change(s, "PATCH", at, {"name": "three"}).json()["revision"] == p["revision"] + 1


def test_ids_stay_and_long_names_are_refused(program):
    with Server(program) as s:
        p = new_project(s)
        at = "/v1/projects/" + p["id"]
        r = change(s, "PATCH", f"{at}/layers/{p['layers'][0]['id']}", {"id": "other"})
        assert r.status == 422 and r.json()["field"] == "id", r
        assert [x["id"] for x in s.get(at).json()["layers"]] == [x["id"] for x in p["layers"]]
        for name in ("n" * 256, "\u00e4" * 128):
            assert change(s, "PATCH", at, {"name": name}).status == 422
            assert change(s, "PATCH", f"{at}/layers/{p['layers'][0]['id']}", {"name": name}).status == 422
            assert s.post("/v1/projects", {"width": 4, "height": 4, "name": name}).status == 422
        assert change(s, "PATCH", at, {"name": "n" * 255}).json()["name"] == "n" * 255


def test_names_of_files_and_undo_points_are_kept_whole_or_refused(program):
    with Server(program) as s:
        picture, whole = png(8, 8), "n" * 251 + ".png"
        head = {"Content-Type": "image/png", "X-File-Name": "some/folder/" + whole}
        made = s.post("/v1/assets", picture, headers=head).json()
        assert s.get("/v1/assets").json()["assets"][0]["name"] == whole, made
        head["X-File-Name"] = "n" + whole
        body, form_head = form(("file", "n" + whole, picture))
        for r in (s.post("/v1/assets", picture, headers=head), s.post("/v1/assets", body, headers=form_head)):
            assert r.status == 422 and "256 bytes; at most 255" in r.json()["detail"], r
        p = new_project(s)
        layer = f"/v1/projects/{p['id']}/layers/{p['layers'][1]['id']}"
        label = "%C3%A4" * 31
        change(s, "PATCH", f"{layer}?label={label}", {"x": 1})
        r = s.request("PATCH", f"{layer}?label={label}%C3%A4", {"x": 2}, headers={"X-Veetance": "1"})
        assert r.status in (400, 422) and r.json()["field"] == "label" and "63" in r.json()["detail"], r
        points = s.get(f"/v1/projects/{p['id']}/history").json()["points"]
        assert points[-1]["label"] == "\u00e4" * 31, points


def test_projects_come_in_pages(program):
    with Server(program) as s:
        made = [s.post("/v1/projects", {"width": 4, "height": 4, "name": str(n)}).json()["id"] for n in range(5)]
        assert change(s, "PATCH", "/v1/projects/" + made[1], {"name": "changed"}).status == 200
        seen, before = [], ""
        while before is not None:
            page = s.get("/v1/projects?limit=2" + before).json()
            seen += [p["id"] for p in page["projects"]]
            before = f"&before={page['next']}" if page["next"] else None
        assert seen == [made[1], made[4], made[3], made[2], made[0]], seen


def test_pictures_go_in_and_come_out(program):
    with Server(program) as s:
        data = png(30, 20)
        digest = hashlib.sha256(data).hexdigest()
        r = s.post("/v1/assets", data, headers={"Content-Type": "image/png"})
        assert r.status == 201 and r.json()["id"] == digest, r
        assert r.headers["Location"] == f"/v1/assets/{digest}"
        body, headers = form(("one", "a.png", data), ("two", "../../b\"c.png", png(8, 8)))
        r = s.post("/v1/assets", body, headers=headers)
        assert r.status == 201 and len(r.json()["assets"]) == 2, r
        assert r.json()["assets"][0]["name"] == "a.png", r
        assert "/" not in r.json()["assets"][1]["name"], r
        assert s.post("/v1/assets", data, headers={"Content-Type": "image/png"}).status == 200
        r = s.get(f"/v1/assets/{digest}")
        assert r.body == data and "immutable" in r.headers["Cache-Control"]
        assert r.headers["ETag"] == f'"{digest}"' and r.headers["Content-Type"] == "image/png"
        r = s.get(f"/v1/assets/{digest}", headers={"If-None-Match": f'"{digest}"'})
        assert r.status == 304 and not r.body
        for spec, want in (("bytes=0-7", data[:8]), ("bytes=-5", data[-5:]), ("bytes=10-", data[10:])):
            r = s.get(f"/v1/assets/{digest}", headers={"Range": spec})
            assert r.status == 206 and r.body == want, (spec, r)
        assert s.get(f"/v1/assets/{digest}", headers={"Range": f"bytes={len(data)}-"}).status == 416
        r = s.request("HEAD", f"/v1/assets/{digest}")
        assert r.status == 200 and not r.body and int(r.headers["Content-Length"]) == len(data)
        r = s.get(f"/v1/assets/{digest}?w=20")
        assert r.status == 200 and r.body[8:12] == b"WEBP", r
        r = s.get(f"/v1/assets/{digest}?download=true")
        assert "attachment" in r.headers["Content-Disposition"]
        assert s.get("/v1/assets?limit=1").json()["next"] > 0
        assert len(s.get("/v1/assets").json()["assets"]) == 2
        assert s.get(f"/v1/assets/{digest}/info").json()["width"] == 30


def test_what_is_no_picture_is_refused(program):
    with Server(program) as s:
        image = {"Content-Type": "image/png"}
        for data in (b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\n", png(300, 300)[:-40], b""):
            r = s.post("/v1/assets", data, headers=image)
            assert r.status == (422 if data else 400), (data[:20], r)
            assert r.headers["Content-Type"] == "application/problem+json"
        r = s.post("/v1/assets", b"{}", headers=JSON)
        assert r.status == 415, r
        for path in ("..", "../../etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", NOTHING, "A" * 64,
                     "x" * 5000):
            assert s.get(f"/v1/assets/{path}").status in (400, 404), path
        assert s.get("/v1/assets").json() == {"assets": [], "next": None}


def test_revisions_guard_changes(program):
    with Server(program) as s:
        p = new_project(s)
        path = f"/v1/projects/{p['id']}"
        r = s.get(path)
        assert r.headers["ETag"] == '"1"' and r.json() == p, r
        assert s.get(path, headers={"If-None-Match": '"1"'}).status == 304
        layer = f"{path}/layers/{p['layers'][1]['id']}"
        r = change(s, "PATCH", layer, {"opacity": 0.5}, 1)
        assert r.status == 200 and r.headers["ETag"] == '"2"', r
        for r in (change(s, "PATCH", layer, {"opacity": 0.1}, 1), change(s, "PUT", path, p, 1),
                  change(s, "PATCH", path, {"name": "x"}, 1), change(s, "DELETE", path, None, 1),
                  change(s, "POST", f"{path}/undo", None, 1)):
            assert r.status == 412, r
        q = s.get(path).json()
        assert q["layers"][1]["opacity"] == 0.5 and q["revision"] == 2
        r = change(s, "PUT", path, q, 2)
        assert r.status == 200 and r.json()["layers"] == q["layers"], r
        assert change(s, "DELETE", path, None, 3).status == 204
        assert s.get(path).status == 404


def test_errors_name_the_field(program):
    with Server(program) as s:
        p = new_project(s)
        path = f"/v1/projects/{p['id']}"
        layer = f"{path}/layers/{p['layers'][0]['id']}"
        cases = [("POST", "/v1/projects", {"height": 3}, "width"),
                 ("POST", "/v1/projects", {"width": 0, "height": 3}, "width"),
                 ("POST", "/v1/projects", {"width": 30000, "height": 30000}, "width"),
                 ("POST", "/v1/projects", {"job": "j" + "0" * 20}, "job"),
                 ("POST", "/v1/projects", {"width": 3, "height": 3, "layers": [{"asset": NOTHING}]}, None),
                 ("PATCH", path, {"layers": [{"asset": p["layers"][0]["asset"], "opacity": 2}]},
                  "layers[0].opacity"),
                 ("PATCH", path, {"layers": [{"asset": "../x"}]}, "layers[0].asset"),
                 ("PATCH", path, {"nmae": "x"}, "nmae"),
                 ("PATCH", layer, {"scale_x": 0}, "scale_x"),
                 ("PATCH", layer, {"blend_mode": "burn"}, "blend_mode"),
                 ("PATCH", layer, {"id": p["layers"][1]["id"]}, "id"),
                 ("PATCH", layer, {"index": 2}, "index"),
                 ("POST", f"{path}/layers", {"asset": NOTHING}, "asset"),
                 ("POST", f"{path}/import", {"job": "j" + "0" * 20}, "job")]
        for method, where, body, field in cases:
            r = change(s, method, where, body)
            assert r.status in (400, 413, 422), (method, where, body, r)
            if field:
                assert r.json().get("field") == field, (body, r)
        assert s.get(path).json()["revision"] == 1


def test_undo_and_redo_walk_the_history(program):
    with Server(program) as s:
        p = new_project(s)
        path = f"/v1/projects/{p['id']}"
        layer = f"{path}/layers/{p['layers'][1]['id']}"
        for x in range(3):
            change(s, "PATCH", f"{layer}?amend=true&label=drag", {"x": x})
        change(s, "PATCH", layer, {"index": 0})
        points = s.get(f"{path}/history").json()["points"]
        assert [q["label"] for q in points] == ["new", "drag", "change layer"], points
        assert change(s, "POST", f"{path}/undo").json()["layers"][1]["x"] == 2
        assert change(s, "POST", f"{path}/undo").json()["layers"][1]["x"] == 5
        assert change(s, "POST", f"{path}/undo").status == 409
        assert change(s, "POST", f"{path}/redo").json()["layers"][1]["x"] == 2
        r = change(s, "DELETE", layer)
        assert len(r.json()["layers"]) == 1 and not r.json()["can_redo"], r
        assert change(s, "POST", f"{path}/redo").status == 409
        assert change(s, "DELETE", layer).status == 404


def test_parallel_changes_are_all_there(program):
    with Server(program) as s:
        p = new_project(s)
        path = f"/v1/projects/{p['id']}"
        answers = []

        def work(k):
            where = f"{path}/layers/{p['layers'][k % 2]['id']}"
            answers.append(change(s, "PATCH", where, {("x", "y", "rotation")[k // 2]: k}).status)
        threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert answers == [200] * 6, answers
        q = s.get(path).json()
        assert q["revision"] == 7
        assert [[l["x"], l["y"], l["rotation"]] for l in q["layers"]] == [[0, 2, 4], [1, 3, 5]], q


def test_exports_hold_the_layers(program):
    with Server(program) as s:
        p = new_project(s, name="post/er \"1\"")
        path = f"/v1/projects/{p['id']}"
        change(s, "PATCH", f"{path}/layers/{p['layers'][1]['id']}", {"rotation": 45, "name": "dot"})
        heads = {"png": b"\x89PNG", "webp": b"RIFF", "psd": b"8BPS", "ora": b"PK", "zip": b"PK"}
        for name, head in heads.items():
            r = s.get(f"{path}/export?format={name}")
            assert r.status == 200 and r.body.startswith(head), (name, r)
            assert "attachment" in r.headers["Content-Disposition"], r.headers
        names = zipfile.ZipFile(io.BytesIO(s.get(f"{path}/export?format=zip").body)).namelist()
        assert "layers.json" in names and "layer_1.png" in names, names
        assert s.get(f"{path}/export").headers["Content-Type"] == "image/png"
        assert s.get(f"{path}/export?format=gif").status == 400
        assert s.get(f"/v1/projects/p{'0' * 20}/export").status == 404


def test_a_layers_job_becomes_a_project_and_survives(program):
    with Server(program) as s:
        picture = s.upload(SCENE)
        r = s.post("/v1/layers?wait=true", {"model": "micro-layered", "image": picture, "layers": 2,
                                            "steps": 2})
        assert r.status == 200, r
        job = r.json()["job"]
        p = s.post("/v1/projects", {"job": job, "name": "taken apart"}).json()
        assert p["width"] == r.json()["width"] and len(p["layers"]) == len(r.json()["layers"]), p
        assert p["layers"][0]["id"] == r.json()["layers"][0]["id"]
        r = change(s, "POST", f"/v1/projects/{p['id']}/import",
                   {"job": job, "replace": p["layers"][0]["id"]}, 1)
        assert r.status == 200 and r.json()["revision"] == 2, r
        s.kill()
        look = subprocess.run([program, "store", "check", "--deep", "--store", s.store],
                              capture_output=True, text=True, check=False)
        assert look.returncode == 0, look
        s.start()
        q = s.get(f"/v1/projects/{p['id']}").json()
        assert q["layers"] == r.json()["layers"]
        assert s.get("/v1/projects").json()["projects"][0]["layer_count"] == len(q["layers"])


def test_an_upload_that_breaks_off_leaves_nothing(program):
    with Server(program) as s:
        data = png(300, 300)
        for cut in (0, 10, len(data) // 2, len(data) - 1):
            c = socket.create_connection((s.host, s.port), timeout=10)
            c.sendall(b"POST /v1/assets HTTP/1.1\r\nHost: %s:%d\r\nContent-Type: image/png\r\n"
                      b"X-Veetance: 1\r\nContent-Length: %d\r\n\r\n"
                      % (s.host.encode(), s.port, len(data)) + data[:cut])
            c.close()
        time.sleep(0.2)
        assert s.get("/v1/assets").json()["assets"] == []
        assert s.stop() == 0  # or after the time that a silent connection is given
        assert not os.listdir(os.path.join(s.store, "tmp"))
        s.start()
        assert s.get("/v1/assets").json()["assets"] == []


if __name__ == "__main__":
    run_all(globals())
