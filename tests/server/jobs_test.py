"""Jobs: from request to result, in order, with events, cancelled, waited for, kept."""

import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time

from support import EDIT, ROOT, SCENE, Server, form, png, read, run_all

STAR = {"prompt": "a red star on a white background", "seed": 1}


def test_result_is_that_of_the_command_line(program):
    with Server(program) as s:
        out = os.path.join(s.dir, "star.png")
        subprocess.run([program, "generate", "-m", "micro-klein", "-p", STAR["prompt"], "--seed", "1", "--device",
                        "cpu", "--threads", "1", "-q", "-o", out], check=True, env=s.env, timeout=120)
        r = s.post("/v1/generate?wait=true", STAR).json()
        picture = s.get("/v1/assets/" + r["images"][0]["asset"])
        assert picture.body == read(out)
        assert r["images"][0]["seed"] == 1 and r["warnings"] == [] and r["doubtful"] is False


def test_form_and_json_are_the_same(program):
    with Server(program) as s:
        a = s.post("/v1/generate?wait=true", STAR).json()
        body, headers = form(*[(k, str(v)) for k, v in STAR.items()])
        b = s.post("/v1/generate?wait=true", body, headers=headers).json()
        assert a["images"][0]["asset"] == b["images"][0]["asset"]


def test_life_of_a_job(program):
    with Server(program) as s:
        a = s.post("/v1/generate", dict(STAR, count=2))
        job = a.json()
        assert a.status == 202 and a.headers["Location"] == "/v1/jobs/" + job["id"], a
        assert job["state"] in ("queued", "running") and job["model"] == "micro-klein"
        done = s.wait_for(job["id"])
        assert done["state"] == "done", done
        assert [i["seed"] for i in done["result"]["images"]] == [1, 2]
        assert done["request"]["prompt"] == STAR["prompt"]
        assert s.get("/v1/jobs?state=done").json()["jobs"][0]["id"] == job["id"]
        assert s.get("/v1/jobs?state=queued").json()["jobs"] == []
        assert s.request("DELETE", "/v1/jobs/" + job["id"]).status == 409
        assert s.request("DELETE", "/v1/jobs/" + job["id"] + "?forget=true").status == 200
        assert s.get("/v1/jobs/" + job["id"]).status == 404


def test_events_tell_everything(program):
    with Server(program) as s:
        job = s.post("/v1/generate", dict(STAR, steps=4)).json()["id"]
        seen = list(s.events(f"/v1/jobs/{job}/events"))
        names = [n for n, _ in seen]
        assert names[-1] == "done" and "preview" in names and "step" in names, names
        steps = [d["step"] for n, d in seen if n == "step" and d["stage"] == "steps"]
        assert steps == [1, 2, 3, 4], steps
        preview = next(d for n, d in seen if n == "preview")
        assert preview["type"] == "image/jpeg" and preview["width"] == 16
        assert seen[-1][1]["result"]["images"]
        again = list(s.events(f"/v1/jobs/{job}/events"))
        assert [n for n, _ in again] == ["done"]
        assert again[0][1]["result"] == seen[-1][1]["result"]


def test_a_list_of_large_jobs_comes_in_more_pages(program):
    with Server(program) as s:
        stop = s.post("/v1/generate", dict(STAR, steps=1000)).json()["id"]
        big = "a red star " * 80000
        jobs = [s.post("/v1/generate", dict(STAR, prompt=big, seed=n)) for n in range(12)]
        if jobs[0].status != 202:
            jobs = [s.post("/v1/generate", dict(STAR, prompt="a red star", seed=n)) for n in range(12)]
        ids = [j.json()["id"] for j in jobs]
        seen, before, pages = [], "", 0
        while before is not None:
            r = s.get("/v1/jobs?limit=1000" + before)
            assert r.status == 200, r
            seen += [j["id"] for j in r.json()["jobs"]]
            pages += 1
            before = f"&before={r.json()['next']}" if r.json()["next"] else None
        assert seen == [*reversed(ids), stop]
        assert pages > 1, pages
        for j in (*ids, stop):
            s.request("DELETE", "/v1/jobs/" + j)


def test_positions_in_the_queue(program):
    with Server(program) as s:
        jobs = [s.post("/v1/generate", dict(STAR, steps=30)).json()["id"] for _ in range(4)]
        first = next(s.events(f"/v1/jobs/{jobs[3]}/events"))
        assert first[0] == "queued" and first[1]["position"] >= 2, first
        assert s.request("DELETE", "/v1/jobs/" + jobs[2]).json()["state"] == "cancelled"
        for j in (jobs[0], jobs[1], jobs[3]):
            assert s.wait_for(j)["state"] == "done"


def test_cancel_within_a_step(program):
    with Server(program) as s:
        job = s.post("/v1/generate", dict(STAR, steps=1000)).json()["id"]
        for n, d in s.events(f"/v1/jobs/{job}/events"):
            if n == "step" and d["stage"] == "steps":
                break
        start = time.time()
        s.request("DELETE", "/v1/jobs/" + job)
        assert s.wait_for(job)["state"] == "cancelled"
        assert time.time() - start < 3
        a = s.post(f"/v1/jobs/{job}/again")
        assert a.status == 202, a
        s.request("DELETE", "/v1/jobs/" + job)
        assert s.wait_for(job)["state"] == "cancelled"
        assert s.post("/v1/generate?wait=true", STAR).status == 200


def test_layers_captions_and_edits(program):
    with Server(program) as s:
        scene = s.upload(SCENE)
        r = s.post("/v1/layers?wait=true", {"image": scene, "layers": 2, "seed": 1, "cfg": 0.5}).json()
        assert r["guidance"] == 0.5, r
        assert 1 <= len(r["layers"]) <= 2 and r["composite"] and "psnr_db" in r["recomposed"]["source"], r
        for layer in r["layers"]:
            assert s.get("/v1/assets/" + layer["asset"]).headers["Content-Type"] == "image/png"
        r = s.post("/v1/caption?wait=true", {"image": scene, "max_new_tokens": 4}).json()
        assert r["tokens"] == 4 and r["complete"] is False, r
        body, headers = form(("prompt", "make the circle green"), ("images", "a.png", read(EDIT)), ("seed", "1"))
        a = s.post("/v1/edit?wait=true", body, headers=headers)
        assert a.status == 200 and len(a.json()["images"]) == 1, a
        made = a.json()["images"][0]  # no size was asked for: it is the image's
        assert (a.json()["width"], a.json()["height"]) == (made["width"], made["height"]) and made["width"] > 0, a
        p = s.post("/v1/projects", {"name": "x", "width": 128, "height": 128}).json()
        assert p["id"]


def test_doubtful_layers_are_said(program):
    with Server(program) as s:
        # Nothing that the model knows is in noise.
        noise = s.post("/v1/assets", png(128, 128, rows=os.urandom(3 * 128 * 128)),
                       headers={"Content-Type": "image/png"}).json()["id"]
        r = s.post("/v1/layers?wait=true", {"image": noise, "layers": 3, "seed": 5, "steps": 3}).json()
        assert r["doubtful"] is True and r["warnings"], r
        assert "far_from_source" in [w["code"] for w in r["warnings"]], r["warnings"]


def test_wrong_requests_name_the_field(program):
    with Server(program) as s:
        for path, body, field in [
                ("/v1/generate", {"width": "wide"}, "width"), ("/v1/generate", {"width": 63}, "width"),
                ("/v1/generate", {"steps": 0}, "steps"), ("/v1/generate", {"steps": 1.5}, "steps"),
                ("/v1/generate", {"nonsense": 1}, "nonsense"), ("/v1/generate", {"seed": -1}, "seed"),
                ("/v1/generate", {"model": "none"}, "model"), ("/v1/generate", {"model": "micro-layered"}, "model"),
                ("/v1/edit", {"prompt": "x"}, "images"), ("/v1/edit", {"images": []}, "images"),
                ("/v1/edit", {"images": ["x"]}, "images[0]"), ("/v1/edit", {"images": ["0" * 64]}, None),
                ("/v1/edit", {"images": ["0" * 64], "extend": [1, 2]}, "extend"),
                ("/v1/layers", {"image": "0" * 64, "resolution": 33}, "resolution"),
                ("/v1/caption", {"image": 3}, "image"),
                ("/v1/plan", {"task": "generate", "request": {"width": 1}}, "request.width"),
                ("/v1/plan", {"task": "x", "request": {}}, "task")]:
            a = s.post(path, body)
            assert a.status == 422, (path, body, a)
            assert a.headers["Content-Type"] == "application/problem+json"
            assert a.json().get("field") == field or field is None, (body, a)
        assert s.post("/v1/generate", b"{", headers={"Content-Type": "application/json"}).status == 400
        assert s.post("/v1/generate", b"[]", headers={"Content-Type": "application/json"}).status == 400
        assert s.post("/v1/generate", b'{"seed":1,"seed":2}',
                      headers={"Content-Type": "application/json"}).status == 422
        assert s.post("/v1/generate?nope=1", {}).status == 400
        assert s.post("/v1/generate?wait=maybe", {}).status == 400


def test_a_job_for_a_project(program):
    with Server(program) as s:
        project = s.post("/v1/projects", {"width": 64, "height": 64}).json()["id"]
        quick = dict(STAR, steps=1, width=64, height=64)
        plain = s.post("/v1/generate", quick).json()
        assert plain["project"] is plain["layer"] is plain["candidate"] is None, plain
        key = {"Idempotency-Key": "one"}
        job = s.post(f"/v1/generate?project={project}&layer=sky", quick, headers=key).json()
        assert (job["project"], job["layer"], job["candidate"]) == (project, "sky", "open"), job
        assert s.post(f"/v1/generate?project={project}&layer=sky", quick, headers=key).json()["id"] == job["id"]
        assert s.post("/v1/generate", quick, headers=key).status == 422

        for path, field in (("/v1/generate?project=p" + "0" * 20, "project"), ("/v1/generate?layer=sky", "layer")):
            r = s.post(path, quick)
            assert r.status == 422 and r.json()["field"] == field, r
        assert s.post("/v1/generate?layer=" + "x" * 64, quick).status == 400

        s.wait_for(job["id"])
        s.wait_for(plain["id"])

        def listed(query):
            return [j["id"] for j in s.get("/v1/jobs?" + query).json()["jobs"]]
        assert listed("") == [job["id"], plain["id"]]
        assert listed(f"project={project}") == listed("candidate=open") == [job["id"]]
        assert listed(f"project={project}&state=queued,running") == []
        assert listed("state=failed,done") == [job["id"], plain["id"]]
        for query, field in (("state=done,", "state"), ("state=asleep", "state"), ("candidate=maybe", "candidate")):
            r = s.get("/v1/jobs?" + query)
            assert r.status == 400 and r.json()["field"] == field, r

        path = "/v1/jobs/" + job["id"]
        r = s.request("PATCH", path, {"candidate": "accepted"})
        assert r.status == 200 and r.json()["candidate"] == "accepted" and r.json()["result"]["images"], r
        assert listed("candidate=open") == [] and listed("candidate=accepted") == [job["id"]]
        assert s.request("PATCH", path, {"candidate": "perhaps"}).status == 422
        assert s.request("PATCH", "/v1/jobs/" + plain["id"], {"candidate": "open"}).status == 409
        assert s.request("PATCH", "/v1/jobs/j" + "0" * 20, {"candidate": "open"}).status == 404
        s.stop()
        s.start()
        assert s.get(path).json()["candidate"] == "accepted"


def test_again_waits_for_room_too(program):
    with Server(program, "--queue", "1") as s:
        stop = s.post("/v1/generate", dict(STAR, steps=1000)).json()["id"]
        s.wait_for(stop, ("running",))
        gone = s.post("/v1/generate", STAR).json()["id"]
        assert s.request("DELETE", "/v1/jobs/" + gone).json()["state"] == "cancelled"
        waits = s.post("/v1/generate", STAR).json()["id"]
        r = s.post(f"/v1/jobs/{gone}/again")
        assert r.status == 429 and r.headers["Retry-After"], r
        assert s.get("/v1/jobs/" + gone).json()["state"] == "cancelled"
        assert s.request("DELETE", "/v1/jobs/" + waits).status == 200
        assert s.post(f"/v1/jobs/{gone}/again").status == 202
        s.request("DELETE", "/v1/jobs/" + gone)
        s.request("DELETE", "/v1/jobs/" + stop)


def test_full_queue_answers_429(program):
    with Server(program, "--queue", "3") as s:
        last = None
        for _ in range(8):
            last = s.post("/v1/generate", dict(STAR, steps=200))
            if last.status != 202:
                break
        assert last.status == 429 and int(last.headers["Retry-After"]) >= 1, last
        for j in s.get("/v1/jobs").json()["jobs"]:
            s.request("DELETE", "/v1/jobs/" + j["id"])


def test_five_hundred_wait(program):
    with Server(program) as s:
        jobs = [s.post("/v1/generate", dict(STAR, steps=1000)).json()["id"] for _ in range(500)]
        assert s.get("/healthz").status == 200
        assert s.get("/v1/telemetry").json()["queue"]["waiting"] >= 490
        s.kill()
        s.start()
        assert s.get("/v1/telemetry").json()["queue"]["waiting"] >= 490
        assert s.get("/v1/jobs/" + jobs[499]).json()["position"] > 400
        for j in jobs:
            if s.get("/v1/jobs/" + j).json()["state"] in ("queued", "running"):
                s.request("DELETE", "/v1/jobs/" + j)


def test_clients_that_vanish(program):
    with Server(program) as s:
        body, headers = form(("file", "a.png", png(256, 256)))
        head = (f"POST /v1/assets HTTP/1.1\r\nHost: 127.0.0.1:{s.port}\r\nX-Veetance: 1\r\nContent-Type: "
                f"{headers['Content-Type']}\r\nContent-Length: {len(body) + 100000}\r\n\r\n").encode()
        for _ in range(10):
            s.raw(head + body, close=False).close()
        job = s.post("/v1/generate", dict(STAR, steps=50)).json()["id"]
        for path in (f"/v1/jobs/{job}/events", "/v1/telemetry/events"):
            for _ in range(5):
                s.raw(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{s.port}\r\n\r\n".encode(), close=False).close()
        wait = json.dumps(STAR).encode()
        s.raw(b"POST /v1/generate?wait=true HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
              b"Content-Length: %d\r\n\r\n%s" % (s.port, len(wait), wait), close=False).close()
        assert s.wait_for(job)["state"] == "done"
        assert s.post("/v1/generate?wait=true", STAR).status == 200


def test_models_budget_and_telemetry(program):
    with Server(program) as s:
        names = [m["id"] for m in s.get("/v1/models").json()["data"]]
        assert "micro-klein" in names and "micro-layered" in names
        assert s.get("/v1/models/micro-klein").json()["tasks"] == ["generate", "edit"]
        assert s.get("/v1/models/none").status == 404
        assert s.post("/v1/models/micro-klein/load").json() == {"model": "micro-klein"}
        assert s.request("PUT", "/v1/budget", {"budget": "1G"}).json()["budget_bytes"] == 1 << 30
        assert s.request("PUT", "/v1/budget", {"budget": "lots"}).status == 422
        assert s.request("PUT", "/v1/budget", {"budget": None}).json()["budget"] is None
        plan = s.post("/v1/plan", {"task": "generate", "request": STAR}).json()
        assert plan["verdict"] == "resident" and plan["peak_bytes"] > 0 and plan["stages"]
        s.request("PUT", "/v1/budget", {"budget": "1M"})
        assert s.post("/v1/plan", {"task": "generate", "request": STAR}).json()["verdict"] != "resident"
        s.request("PUT", "/v1/budget", {"budget": None})
        t = s.get("/v1/telemetry").json()
        assert t["device"]["name"] and t["host"]["total_bytes"] > 0
        seen = [d for _, (n, d) in zip(range(3), s.events("/v1/telemetry/events"))]
        assert len(seen) == 3 and seen[2]["uptime"] > seen[0]["uptime"]
        assert s.post("/v1/models/unload").json() == {"model": None}
        assert b"veetance_jobs_done_total" in s.get("/metrics").body


def test_a_plan_says_how_long(program):
    with Server(program) as s:
        def seconds(task="generate", **request):
            r = s.post("/v1/plan", {"task": task, "request": {"model": "micro-klein", **request}})
            assert r.status == 200, r
            return r.json()["seconds"]

        def took(kind, steps, total, load):
            db = sqlite3.connect(os.path.join(s.store, "veetance.db"), timeout=30)
            with db:
                db.execute("UPDATE jobs SET result = json_set(result, '$.seconds.total', ?, '$.seconds.load', ?)"
                           " WHERE kind = ? AND json_extract(result, '$.steps') = ?", (total, load, kind, steps))
            db.close()
        assert seconds() is None
        # What jobs took is what the store says: the line through them is known.
        s.post("/v1/generate?wait=true", dict(STAR, steps=2, width=64, height=64))
        first = seconds(steps=2, width=64, height=64)
        assert first > 0 and abs(seconds(steps=4, width=64, height=64) / first - 2) < 0.01, first
        s.post("/v1/generate?wait=true", dict(STAR, steps=10, width=64, height=64))
        took("generate", 2, 5, 1)
        took("generate", 10, 20, 0)
        # 4 s for 2 steps and 20 s for 10: 2 s a step.
        assert abs(seconds(steps=5, width=64, height=64) - 10) < 0.01
        assert abs(seconds(steps=5, width=128, height=64) - 20) < 0.01
        assert abs(seconds(steps=5, width=64, height=64, count=3) - 30) < 0.01
        # As the newest job, where nothing is said.
        assert abs(seconds() - 20) < 0.01
        # An edit that asks for no size has its image's.
        image = s.upload(SCENE)
        s.post("/v1/edit?wait=true", {"model": "micro-klein", "prompt": "a red star", "images": [image], "steps": 2})
        took("edit", 2, 4, 0)
        assert abs(seconds("edit", prompt="a red star", images=[image], steps=4) - 8) < 0.01
        s.post("/v1/models/unload")
        assert abs(seconds() - 21) < 0.01
        assert s.post("/v1/plan", {"task": "layers", "request": {"image": s.upload(SCENE)}}).json()["seconds"] is None


def test_requests_without_a_model_get_that_of_the_settings(program):
    own = os.path.join(ROOT, "models")
    home = tempfile.mkdtemp(prefix="veetance-settings-")
    env = {"VEETANCE_HOME": home, "VEETANCE_MODELS": os.path.join(ROOT, "models")}
    for name, path in (("mine", "micro-klein"), ("my-layers", "micro-layered")):
        subprocess.run([program, "models", "add", os.path.join(own, path), "--as", name, "--quick", "-q"], check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, **env})

    small = {**STAR, "steps": 1, "width": 64, "height": 64}

    def models_of(*options, **more):
        with Server(program, *options, env={**env, **more}) as s:
            upload = s.upload(SCENE)
            got = [s.post("/v1/generate", small).json()["model"],
                   s.post("/v1/layers", {"image": upload, "layers": 2, "steps": 2}).json()["model"],
                   s.post("/v1/generate", {**small, "model": "mine"}).json()["model"],
                   s.get("/sdapi/v1/options").json()["sd_model_checkpoint"]]
            plan = s.post("/v1/plan", {"task": "generate", "request": small})
            assert plan.status == 200, plan
            for job in s.get("/v1/jobs").json()["jobs"]:
                s.wait_for(job["id"])
            assert s.post("/sdapi/v1/reload-checkpoint").status == 200
            got.append([m["id"] for m in s.get("/v1/models").json()["data"] if m["open"]][0])
            return got, s.said()
    try:
        assert models_of()[0] == ["mine", "my-layers", "mine", "mine", "mine"]
        assert models_of(VEETANCE_MODEL="micro-klein", VEETANCE_LAYERS_MODEL="micro-layered")[0] == \
            ["micro-klein", "micro-layered", "mine", "micro-klein", "micro-klein"]
        assert models_of("-m", "micro-klein", VEETANCE_MODEL="mine")[0][0] == "micro-klein"
        with open(os.path.join(home, "settings.json"), "w", encoding="utf-8") as f:
            json.dump({"model": "micro-klein", "layers_model": "/some/folder"}, f)
        got, said = models_of()
        assert got == ["micro-klein", "my-layers", "mine", "micro-klein", "micro-klein"], got
        assert "note: the setting layers_model is not used here: '/some/folder' is none of" in said, said
        for options in (["-m", "nowhere"], ["-m", "micro-layered"], ["--layers-model", "micro-klein"]):
            r = subprocess.run([program, "serve", *options], capture_output=True, env={**os.environ, **env}, timeout=60)
            assert r.returncode in (1, 2) and b"--model: " in r.stderr or b"--layers-model: " in r.stderr, r
    finally:
        shutil.rmtree(home)


def test_questions_do_not_wait_behind_a_job(program):
    """All of them are answered while a job runs that would take minutes."""
    with Server(program) as s:
        job = s.post("/v1/generate", dict(STAR, steps=1000, width=512, height=512)).json()["id"]
        for n, d in s.events(f"/v1/jobs/{job}/events"):
            if n == "step" and d["stage"] == "steps":
                break
        plan = s.post("/v1/plan", {"task": "generate", "request": STAR})
        assert plan.status == 200 and plan.json()["verdict"] == "resident", plan
        plan = s.post("/v1/plan", {"task": "layers", "request": {"image": s.upload(SCENE)}})
        assert plan.status == 200 and plan.json()["peak_bytes"] > 0, plan
        a = s.request("PUT", "/v1/budget", {"budget": "1G"})
        assert a.status == 200 and a.json()["budget_bytes"] == 1 << 30, a
        assert s.get("/v1/budget").json() == a.json()
        assert s.request("PUT", "/v1/budget", {"budget": "lots"}).status == 422
        assert s.post("/v1/plan", {"task": "generate", "request": STAR}).json()["budget_bytes"] == 1 << 30
        assert s.post("/v1/models/micro-klein/load").json() == {"model": "micro-klein"}
        a = s.post("/v1/models/micro-layered/load")
        assert a.status == 202 and a.json() == {"model": "micro-layered", "open": False}, a
        a = s.post("/v1/models/unload")
        assert a.status == 202 and a.json() == {"model": None, "open": True}, a
        for path in ("/v1/models", "/v1/models/micro-klein", "/v1/telemetry", "/readyz", "/v1/store", "/sdapi/v1/progress",
                     "/sdapi/v1/memory", "/sdapi/v1/options", f"/v1/jobs/{job}"):
            assert s.get(path).status == 200, path
        assert s.post("/sdapi/v1/unload-checkpoint").status == 200
        assert s.post("/sdapi/v1/reload-checkpoint").status == 200
        assert s.post("/v1/models/micro-layered/load").status == 202
        assert s.get("/v1/jobs/" + job).json()["state"] == "running"
        s.request("DELETE", "/v1/jobs/" + job)
        while not s.get("/v1/models/micro-layered").json()["open"]:
            time.sleep(0.02)
        device = s.get("/v1/telemetry").json()["device"]
        assert device["budget_bytes"] == 1 << 30 < device["total_bytes"], device
        assert s.post("/v1/models/micro-klein/load").status == 200
        assert s.get("/v1/models/micro-klein").json()["open"] is True


def test_finished_images_of_a_cancelled_job_stay(program):
    with Server(program) as s:
        job = s.post("/v1/generate", dict(STAR, count=300)).json()["id"]
        for n, d in s.events(f"/v1/jobs/{job}/events"):
            if n in ("step", "stage") and d.get("image", 0) >= 2:
                s.request("DELETE", "/v1/jobs/" + job)
                break
        j = s.wait_for(job)
        images = j["result"]["images"]
        assert j["state"] == "cancelled" and 2 <= len(images) < 300, j
        assert [i["seed"] for i in images] == list(range(STAR["seed"], STAR["seed"] + len(images)))
        assert all(s.get("/v1/assets/" + i["asset"]).status == 200 for i in images)
        s.request("POST", "/v1/store/tidy")
        assert s.request("DELETE", "/v1/assets/" + images[0]["asset"]).status == 409
        # Made again, it begins anew.
        assert s.post(f"/v1/jobs/{job}/again").status == 202
        assert s.get("/v1/jobs/" + job).json()["result"] is None
        s.request("DELETE", "/v1/jobs/" + job)


def test_same_model_runs_together(program):
    with Server(program) as s:
        scene = s.upload(SCENE)
        first = s.post("/v1/generate", dict(STAR, steps=100)).json()["id"]
        other = s.post("/v1/layers", {"image": scene, "layers": 1, "steps": 2, "seed": 1}).json()["id"]
        many = [s.post("/v1/generate", dict(STAR, steps=1)).json()["id"] for _ in range(8)]
        order = sorted([s.wait_for(j) for j in [first, other] + many], key=lambda j: j["started_ms"])
        place = [j["id"] for j in order].index(other)
        assert 2 <= place <= 5, place


def test_graceful_end(program):
    with Server(program) as s:
        job = s.post("/v1/generate", dict(STAR, steps=30)).json()["id"]
        waits = s.post("/v1/generate", STAR).json()["id"]
        for n, _ in s.events(f"/v1/jobs/{job}/events"):
            if n == "step":
                break
        answers = []
        t = threading.Thread(target=lambda: answers.append(s.post("/v1/generate?wait=true", STAR)))
        t.start()
        time.sleep(0.2)
        assert s.stop() == 0
        t.join(10)
        assert answers and answers[0].status == 503, answers
        s.start()
        assert s.wait_for(job)["state"] == "done"
        assert s.wait_for(waits)["state"] == "done"


def test_second_signal_interrupts(program):
    with Server(program) as s:
        job = s.post("/v1/generate", dict(STAR, steps=1000)).json()["id"]
        for n, d in s.events(f"/v1/jobs/{job}/events"):
            if n == "step" and d["stage"] == "steps":
                break
        s.process.terminate()
        time.sleep(0.3)
        start = time.time()
        assert s.stop() == 0
        assert time.time() - start < 10
        s.start()
        assert s.get("/v1/jobs/" + job).json()["state"] == "interrupted"
        assert s.post(f"/v1/jobs/{job}/again").status == 202
        s.request("DELETE", "/v1/jobs/" + job)


if __name__ == "__main__":
    run_all(globals())
