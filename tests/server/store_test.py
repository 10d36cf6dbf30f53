"""What goes: images on request, jobs and images by the store's limits, and what `store gc` takes beside a server."""

import glob
import json
import os
import sqlite3
import subprocess
import threading
import time

from support import Server, png, run_all

QUICK = {"prompt": "a red star", "steps": 1, "width": 64, "height": 64}
DAY_MS = 24 * 3600 * 1000


def put(s, n, side=16):
    r = s.post("/v1/assets", png(side, side, rows=bytes([n]) * (side * side * 3)), headers={"Content-Type": "image/png"})
    assert r.status in (200, 201), r
    return r.json()["id"]


def age(s, days, what="all"):
    """Makes the store's jobs, or its pictures, older."""
    db = sqlite3.connect(os.path.join(s.store, "veetance.db"), timeout=30)
    with db:
        if what in ("all", "jobs"):
            db.execute("UPDATE jobs SET finished_ms = finished_ms - ?", (days * DAY_MS,))
        if what in ("all", "assets"):
            db.execute("UPDATE assets SET touched_ms = touched_ms - ?", (days * DAY_MS,))
    db.close()


def files(s, folder):
    return [f for f in glob.glob(f"{s.store}/{folder}/*/*") if os.path.isfile(f)]


def command(program, s, *args):
    return subprocess.run([program, "store", *args, "--store", s.store, "--json"], capture_output=True, check=False,
                          env=s.env, timeout=120)


def test_delete_a_picture(program):
    with Server(program) as s:
        a = put(s, 1)
        assert s.get(f"/v1/assets/{a}?w=64").status == 200
        assert len(files(s, "assets")) == 1 and len(files(s, "thumbs")) == 1
        r = s.request("DELETE", "/v1/assets/" + a)
        assert r.status == 200 and r.json()["id"] == a, r
        assert files(s, "assets") == files(s, "thumbs") == []
        for path in ("", "/info", "?w=64"):
            assert s.get(f"/v1/assets/{a}{path}").status == 404
        assert s.request("DELETE", "/v1/assets/" + a).status == 404
        assert s.request("DELETE", "/v1/assets/..%2F..%2Fetc").status == 404


def test_a_picture_that_is_used_stays(program):
    with Server(program) as s:
        made = s.post("/v1/generate?wait=true", QUICK).json()["images"][0]["asset"]
        of_project = put(s, 2)
        p = s.post("/v1/projects", {"width": 16, "height": 16, "layers": [{"asset": of_project}]})
        assert p.status == 201, p
        for a, user in ((made, "job"), (of_project, "project")):
            r = s.request("DELETE", "/v1/assets/" + a)
            assert r.status == 409 and user in r.json()["detail"], r
            assert s.get("/v1/assets/" + a).status == 200
        job = s.get("/v1/jobs").json()["jobs"][0]["id"]
        assert s.request("DELETE", f"/v1/jobs/{job}?forget=true").status == 200
        assert s.request("DELETE", "/v1/assets/" + made).status == 200


def test_limits_are_settings_and_apply(program):
    with Server(program) as s:
        loose = put(s, 1)
        jobs = [s.post("/v1/generate?wait=true", dict(QUICK, seed=n)).json() for n in range(3)]
        pictures = [j["images"][0]["asset"] for j in jobs]
        kept = put(s, 3)
        project = s.post("/v1/projects", {"width": 16, "height": 16, "layers": [{"asset": kept}]}).json()["id"]
        before = s.get("/v1/store").json()
        assert before["assets"] == 5 and before["jobs"] == 3 and before["tidied"] is None, before
        assert s.post("/v1/store/tidy").json() == {"jobs": 0, "assets": 0, "strays": 0, "bytes": 0}

        r = s.request("PATCH", "/v1/store/limits", {"job_days": 10, "asset_days": 20, "jobs": 2})
        assert r.status == 200 and r.json()["job_days"] == 10 and r.json()["bytes"] == 0, r
        assert s.request("PATCH", "/v1/store/limits", {"job_days": -1}).status == 422
        assert s.request("PATCH", "/v1/store/limits", {"days": 1}).status in (400, 422)
        assert s.post("/v1/store/tidy").json()["jobs"] == 1
        age(s, 15)
        t = s.post("/v1/store/tidy").json()
        assert t["jobs"] == 2 and t["assets"] == 0, t
        age(s, 15)
        t = s.post("/v1/store/tidy").json()
        assert t["assets"] == 4 and t["bytes"] > 0, t
        for a in [loose, *pictures]:
            assert s.get("/v1/assets/" + a).status == 404
        assert s.get("/v1/assets/" + kept).status == 200
        assert s.get("/v1/projects/" + project).status == 200
        s.stop()
        s.start()
        after = s.get("/v1/store").json()
        assert after["limits"] == {"job_days": 10, "jobs": 2, "asset_days": 20, "bytes": 0}, after


def test_the_size_is_kept(program):
    with Server(program) as s:
        pictures = [put(s, n, 200) for n in range(6)]
        age(s, 1)
        newest = put(s, 9, 200)
        size = s.get("/v1/store").json()["asset_bytes"]
        assert s.request("PATCH", "/v1/store/limits", {"bytes": size - 1}).status == 200
        assert s.post("/v1/store/tidy").json()["assets"] >= 1
        assert s.get("/v1/assets/" + newest).status == 200
        assert s.get("/v1/store").json()["asset_bytes"] < size
        assert s.get("/v1/assets/" + pictures[0]).status == 404


def test_it_goes_by_itself(program):
    with Server(program, "--tidy-every", "1") as s:
        a = put(s, 1)
        age(s, 8)
        end = time.time() + 60
        while s.get("/v1/assets/" + a).status == 200:
            assert time.time() < end, "nothing was tidied"
            time.sleep(0.1)
        while s.get("/v1/store").json()["tidied_ms"] is None:
            assert time.time() < end
            time.sleep(0.1)


def test_preferences_are_kept(program):
    with Server(program) as s:
        assert s.get("/v1/preferences").json() == {}
        mine = {"theme": "dark", "panels": {"left": [1, 2.5, None]}, "w\u00f6rter": "\u00fc"}
        r = s.request("PUT", "/v1/preferences", mine)
        assert r.status == 200 and r.json() == mine == s.get("/v1/preferences").json(), r
        assert s.request("PUT", "/v1/preferences", {"x": "y" * (64 << 10)}).status == 413
        for body, status in ((b"[]", 400), (b"3", 400), (b"{", 400)):
            r = s.request("PUT", "/v1/preferences", body, headers={"Content-Type": "application/json"})
            assert r.status == status, r
        events = s.events("/v1/events?telemetry=false")
        while next(events)[0] != "models":
            pass
        assert s.request("PUT", "/v1/preferences", {"theme": "light"}).status == 200
        assert next(events) == ("preferences", {})
        events.close()
        s.kill()
        s.start()
        assert s.get("/v1/preferences").json() == {"theme": "light"}


def test_store_gc_beside_a_running_server(program):
    with Server(program) as s:
        old = [put(s, n) for n in range(20)]
        stop, answers = threading.Event(), []

        def upload():
            n = 0
            while not stop.is_set():
                body = png(16, 16, rows=os.urandom(768))
                a = s.post("/v1/assets", body, headers={"Content-Type": "image/png"}).json()["id"]
                r = s.get("/v1/assets/" + a)
                answers.append((a, r.status, r.body == body))
                n += 1

        age(s, 8)
        threads = [threading.Thread(target=upload) for _ in range(3)]
        for t in threads:
            t.start()
        running = s.post("/v1/generate", dict(QUICK, steps=1000)).json()["id"]
        s.wait_for(running, ("running",))
        gone = 0
        for _ in range(5):
            r = command(program, s, "gc")
            assert r.returncode == 0, r
            gone += json.loads(r.stdout)["assets"]
        stop.set()
        for t in threads:
            t.join()
        assert gone == 20, gone
        assert all(s.get("/v1/assets/" + a).status == 404 for a in old)
        assert answers and all(status == 200 and same for _, status, same in answers)
        assert all(s.get("/v1/assets/" + a).status == 200 for a, _, _ in answers)
        assert s.get("/v1/jobs/" + running).json()["state"] == "running"
        assert s.request("DELETE", "/v1/jobs/" + running).status < 300
        r = command(program, s, "limits", "--job-days", "5", "--size", "1G")
        assert r.returncode == 0 and s.get("/v1/store").json()["limits"]["bytes"] == 1 << 30, r
        assert command(program, s, "tidy").returncode == 0
        r = command(program, s, "check", "--deep")
        assert r.returncode == 0, r


if __name__ == "__main__":
    run_all(globals())
