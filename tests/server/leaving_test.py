"""Clients that go before their answer: what they alone waited for ends; what is sent again is no second job."""

import json
import socket
import threading

from support import SCENE, Server, b64, form, read, run_all, until

LONG = {"prompt": "a red star", "seed": 3, "steps": 1000}
QUICK = {"prompt": "a red star", "seed": 3, "steps": 2, "width": 64, "height": 64}
JSON = {"Content-Type": "application/json"}


def ask(s, path, body, headers=None):
    """A request whose answer nobody reads yet."""
    if isinstance(body, dict):
        body, headers = json.dumps(body).encode(), {**JSON, **(headers or {})}
    lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    c = socket.create_connection((s.host, s.port))
    c.sendall(f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{s.port}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode())
    c.sendall(body)
    return c


def newest(s, n=1):
    """The n newest jobs, when that many are there."""
    while True:
        jobs = s.get("/v1/jobs").json()["jobs"]
        if len(jobs) >= n:
            return jobs


def ways(s):
    """Every way to ask for a result and wait for it."""
    edit = form(("prompt", "x"), ("image", "a.png", read(SCENE)), ("steps", "1000"))
    return [("/v1/generate?wait=true", LONG, None),
            ("/v1/edit?wait=true", {**LONG, "images": [s.upload(SCENE)]}, None),
            ("/v1/layers?wait=true", {"image": s.upload(SCENE), "steps": 1000}, None),
            ("/v1/images/generations", LONG, None),
            ("/v1/images/generations", {**LONG, "stream": True, "partial_images": 1}, None),
            ("/v1/images/edits", *edit),
            ("/sdapi/v1/txt2img", LONG, None),
            ("/sdapi/v1/img2img", {**LONG, "init_images": [b64(read(SCENE))]}, None)]


def test_what_runs_for_nobody_ends(program):
    with Server(program) as s:
        for n, (path, body, headers) in enumerate(ways(s), 1):
            c = ask(s, path, body, headers)
            job = newest(s, n)[0]["id"]
            s.wait_for(job, ("running",))
            c.close()
            j = s.wait_for(job)
            assert j["state"] == "cancelled" and j["error"]["code"] == "client_gone", (path, j)


def test_what_waits_for_nobody_ends(program):
    with Server(program) as s:
        blocker = s.post("/v1/generate", LONG).json()["id"]
        for n, (path, body, headers) in enumerate(ways(s), 2):
            c = ask(s, path, body, headers)
            job = newest(s, n)[0]["id"]
            assert job != blocker
            c.close()
            assert s.wait_for(job)["state"] == "cancelled", path
        assert s.get("/v1/jobs/" + blocker).json()["state"] == "running"
        s.request("DELETE", "/v1/jobs/" + blocker)


def test_who_only_looks_may_go(program):
    with Server(program) as s:
        job = s.post("/v1/generate", {**LONG, "steps": 60}).json()["id"]
        for path in (f"/v1/jobs/{job}/events", f"/v1/jobs/{job}"):
            s.raw(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{s.port}\r\n\r\n".encode(), close=False).close()
        assert s.wait_for(job)["state"] == "done"


def test_same_key_is_the_same_job(program):
    with Server(program) as s:
        key = {"Idempotency-Key": "order 66"}
        a = s.post("/v1/generate", QUICK, headers=key)
        b = s.post("/v1/generate", QUICK, headers=key)
        assert a.status == b.status == 202 and a.json()["id"] == b.json()["id"], b
        r = s.post("/v1/generate?wait=true", QUICK, headers=key)
        assert r.status == 200 and r.json()["job"] == a.json()["id"], r
        r = s.post("/v1/generate", {**QUICK, "seed": 4}, headers=key)
        assert r.status == 422 and r.json()["field"] == "Idempotency-Key", r
        r = s.post("/v1/edit", {**QUICK, "images": [s.upload(SCENE)]}, headers=key)
        assert r.status == 422, r
        for wrong in ("", "x" * 256):
            assert s.post("/v1/generate", QUICK, headers={"Idempotency-Key": wrong}).status == 400
        assert len(s.get("/v1/jobs").json()["jobs"]) == 1
        s.kill()
        s.start()
        assert s.post("/v1/generate", QUICK, headers=key).json()["id"] == a.json()["id"]
        assert len(s.get("/v1/jobs").json()["jobs"]) == 1


def test_same_key_at_once_is_one_job(program):
    with Server(program) as s:
        seen = []
        def send():
            seen.append(s.post("/v1/images/generations", {"prompt": "x", "seed": 1, "response_format": "url"},
                               headers={"Idempotency-Key": "k"}))
        threads = [threading.Thread(target=send) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert {a.status for a in seen} == {200} and len({a.json()["data"][0]["url"] for a in seen}) == 1, seen
        assert len(s.get("/v1/jobs").json()["jobs"]) == 1


def test_what_was_left_can_be_asked_for_again(program):
    with Server(program) as s:
        key = {"Idempotency-Key": "k"}
        body = {**QUICK, "steps": 200}
        c = ask(s, "/v1/generate?wait=true", body, key)
        job = newest(s)[0]["id"]
        c.close()
        assert s.wait_for(job)["state"] == "cancelled"
        r = s.post("/v1/generate?wait=true", body, headers=key)
        assert r.status == 200 and r.json()["job"] == job, r


def test_one_of_two_may_go(program):
    with Server(program) as s:
        key = {"Idempotency-Key": "k"}
        body = {**QUICK, "steps": 120}
        c = ask(s, "/v1/generate?wait=true", body, key)
        job = newest(s)[0]["id"]
        answers = []
        t = threading.Thread(target=lambda: answers.append(s.post("/v1/generate?wait=true", body, headers=key)))
        t.start()
        s.wait_for(job, ("running",))
        until(lambda: s.get("/metrics").body.decode().split("veetance_http_requests ")[-1].split()[0] == "3")
        c.close()
        t.join()
        assert answers[0].status == 200 and answers[0].json()["job"] == job, answers


def test_again_respects_the_limit(program):
    with Server(program, "--queue", "2") as s:
        first = s.post("/v1/generate", LONG).json()["id"]
        s.wait_for(first, ("running",))
        waiting = [s.post("/v1/generate", LONG).json()["id"] for _ in range(2)]
        s.request("DELETE", "/v1/jobs/" + waiting[0])
        waiting.append(s.post("/v1/generate", LONG).json()["id"])
        a = s.post(f"/v1/jobs/{waiting[0]}/again")
        assert a.status == 429 and a.headers["Retry-After"], a
        for j in [first] + waiting[1:]:
            s.request("DELETE", "/v1/jobs/" + j)


if __name__ == "__main__":
    run_all(globals())
