"""Many clients that send whatever comes to mind, legal or not, some of which go before their answer; then the server is
killed under them. Whatever was promised is there afterwards.

VEETANCE_STRESS="CLIENTS SECONDS KILLS" (8 6 4) makes it longer."""

import hashlib
import json
import os
import random
import socket
import subprocess
import threading
import time

from support import Server, b64, form, png, run_all, until

CLIENTS, SECONDS, KILLS = (int(x) for x in os.environ.get("VEETANCE_STRESS", "8 6 4").split())
SMALL = {"steps": 1, "width": 64, "height": 64}
PNG = {"Content-Type": "image/png"}
JSON = {"Content-Type": "application/json"}
NOBODY = "0" * 64


class Book:
    """What the server has promised to all clients together."""

    def __init__(self):
        self.lock = threading.Lock()
        self.assets, self.jobs, self.done, self.projects = set(), set(), {}, {}
        self.wrong, self.answers = [], {}

    def job(self, j):
        with self.lock:
            self.jobs.add(j["id"])
            if j["state"] == "done":
                self.done[j["id"]] = j["result"]

    def any(self, kind, rng, default):
        with self.lock:
            there = list(getattr(self, kind))
        return rng.choice(there) if there else default


class Client(threading.Thread):
    def __init__(self, server, book, seed, end):
        super().__init__()
        self.s, self.book, self.rng, self.end = server, book, random.Random(seed), end
        names = [n for n in dir(Client) if n.startswith("do_")]
        self.actions = [getattr(self, n) for n in names]

    def run(self):
        while not self.end.is_set():
            action = self.rng.choice(self.actions)
            try:
                action()
            except (OSError, ConnectionError) as e:  # the server was killed, or closed on garbage
                if self.s.process.poll() is None and not self.end.is_set() and isinstance(e, TimeoutError):
                    self.book.wrong.append((action.__name__, repr(e)))
                time.sleep(0.01)
            except Exception as e:  # pylint: disable=broad-except
                if self.s.process.poll() is None and type(e).__module__ != "http.client":
                    self.book.wrong.append((action.__name__, repr(e)))

    def ask(self, method, path, body=None, allowed=(), **more):
        a = self.s.request(method, path, body, **more)
        with self.book.lock:
            self.book.answers[a.status] = self.book.answers.get(a.status, 0) + 1
        if a.status >= 400:
            kind = a.headers["Content-Type"]
            if kind != "application/problem+json" or a.json()["status"] != a.status:
                self.book.wrong.append((method, path, a.status, kind, a.body[:200]))
            if a.status >= 500 and a.status not in (501, 503, 507):
                self.book.wrong.append((method, path, body, a))
        if allowed and a.status not in allowed:
            self.book.wrong.append((method, path, body, a))
        return a

    # ---- legal ----

    def do_upload(self):
        data = png(16, 16, rows=self.rng.randbytes(768))
        if self.rng.random() < 0.5:
            body, headers = form(("file", "a.png", data))
            a = self.ask("POST", "/v1/assets", body, headers=headers, allowed=(201, 503))
        else:
            a = self.ask("POST", "/v1/assets", data, headers=PNG, allowed=(201, 503))
        if a.status == 201:
            with self.book.lock:
                self.book.assets.add(a.json()["id"])

    def do_upload_and_delete(self):
        a = self.ask("POST", "/v1/assets", png(9, 9, rows=self.rng.randbytes(243)), headers=PNG)
        if a.status == 201:
            self.ask("DELETE", "/v1/assets/" + a.json()["id"], allowed=(200, 503))

    def task(self):
        kind = self.rng.choice(["generate", "generate", "edit", "caption", "layers"])
        image = self.book.any("assets", self.rng, None)
        seed = self.rng.randrange(1 << 30)
        if kind == "generate" or not image:
            return "generate", {"prompt": "a star", "seed": seed, "count": self.rng.choice([1, 1, 3]), **SMALL}
        if kind == "edit":
            return kind, {"prompt": "x", "images": [image], "seed": seed, **SMALL}
        if kind == "caption":
            return kind, {"image": image, "max_new_tokens": 4}
        return kind, {"image": image, "prompt": "x", "layers": 1, "steps": 1, "resolution": 64, "seed": seed}

    def do_job(self):
        kind, body = self.task()
        headers = {"Idempotency-Key": str(self.rng.randrange(1 << 40))} if self.rng.random() < 0.3 else {}
        a = self.ask("POST", "/v1/" + kind, body, headers={**JSON, **headers}, allowed=(202, 422, 429, 503))
        if a.status == 202:
            self.book.job(a.json())
            if headers:
                b = self.ask("POST", "/v1/" + kind, body, headers={**JSON, **headers}, allowed=(202, 503))
                if b.status == 202 and b.json()["id"] != a.json()["id"]:
                    self.book.wrong.append(("the same key is another job", a, b))

    def do_wait(self):
        kind, body = self.task()
        a = self.ask("POST", f"/v1/{kind}?wait=true", body)
        if a.status == 200:
            j = self.ask("GET", "/v1/jobs/" + a.json()["job"])
            if j.status == 200:
                self.book.job(j.json())

    def do_leave(self):
        kind, body = self.task()
        path = self.rng.choice([f"/v1/{kind}?wait=true", "/v1/images/generations", "/sdapi/v1/txt2img"])
        data = json.dumps(dict(body, steps=50) if path[4] == kind[0] else {"prompt": "x", "steps": 20}).encode()
        c = self.s.raw(f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.s.port}\r\nContent-Type: application/json\r\n"
                       f"Content-Length: {len(data)}\r\n\r\n".encode() + data, close=False)
        time.sleep(self.rng.uniform(0, 0.05))
        if self.rng.random() < 0.3:
            c.shutdown(socket.SHUT_WR)
            time.sleep(self.rng.uniform(0, 0.02))
        c.close()

    def do_jobs(self):
        for j in self.ask("GET", "/v1/jobs?limit=20").json().get("jobs", []):
            self.book.job(j)

    def do_cancel_or_again(self):
        job = self.book.any("jobs", self.rng, "j" + "0" * 20)
        if self.rng.random() < 0.5:
            self.ask("DELETE", "/v1/jobs/" + job, allowed=(200, 204, 404, 409, 503))
        else:
            self.ask("POST", f"/v1/jobs/{job}/again", allowed=(202, 404, 409, 422, 429, 503))

    def do_events(self):
        path = self.rng.choice(["/v1/events", "/v1/telemetry/events",
                                f"/v1/jobs/{self.book.any('jobs', self.rng, 'x')}/events"])
        c = self.s.raw(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.s.port}\r\n\r\n".encode(), close=False)
        c.settimeout(self.rng.uniform(0.01, 0.2))
        try:
            for _ in range(5):
                c.recv(4096)
        except TimeoutError:
            pass
        c.close()

    def do_project(self):
        layers = [{"asset": self.book.any("assets", self.rng, NOBODY), "opacity": self.rng.random()} for _ in range(2)]
        a = self.ask("POST", "/v1/projects", {"name": "p", "width": 32, "height": 32, "layers": layers})
        if a.status != 201:
            return
        p = a.json()
        for _ in range(self.rng.randrange(4)):
            a = self.ask("PATCH", "/v1/projects/" + p["id"], {"name": str(self.rng.random())}, allowed=(200, 503))
            p = a.json() if a.status == 200 else p
        with self.book.lock:
            self.book.projects[p["id"]] = (p["revision"], p["name"])
        kind = self.rng.choice(["png", "psd", "ora", "zip"])
        self.ask("GET", f"/v1/projects/{p['id']}/export?format={kind}", allowed=(200, 404, 503, 507))

    def do_look(self):
        self.ask("GET", self.rng.choice(["/healthz", "/metrics", "/v1/telemetry", "/v1/models", "/v1/budget", "/openapi.json",
                                         "/v1/assets?limit=3", "/v1/projects", "/v1/store", "/sdapi/v1/progress",
                                         "/sdapi/v1/options", "/docs"]), allowed=(200,))

    def do_thumb(self):
        asset = self.book.any("assets", self.rng, NOBODY)
        self.ask("GET", f"/v1/assets/{asset}/thumb?size={self.rng.choice([64, 128])}", allowed=(200, 404, 503))

    def do_engine(self):
        what = self.rng.randrange(5)
        if what == 0:
            self.ask("POST", "/v1/models/micro-klein/load", allowed=(200, 202, 503))
        elif what == 1:
            self.ask("POST", "/v1/models/unload", allowed=(200, 202, 503))
        elif what == 2:
            self.ask("PUT", "/v1/budget", {"budget": self.rng.choice(["2G", "4G", None])}, allowed=(200, 503))
        else:
            self.ask("POST", "/v1/plan", {"task": "generate", "request": SMALL}, allowed=(200, 503))

    def do_faces(self):
        what = self.rng.randrange(4)
        if what == 0:
            self.ask("POST", "/v1/images/generations", {"prompt": "x", "size": "64x64", "steps": 1, "n": 2})
        elif what == 1:
            self.ask("POST", "/sdapi/v1/txt2img", {"prompt": "x", "n_iter": 2, **SMALL})
        elif what == 2:
            self.ask("POST", "/sdapi/v1/interrupt", allowed=(200, 503))
        else:
            self.ask("POST", "/sdapi/v1/extra-single-image", {"image": b64(png(8, 8)), "upscaler_1": "Lanczos"})

    # ---- not legal ----

    def do_wrong_value(self):
        body = self.rng.choice([{"steps": 0}, {"prompt": 5}, {"no": 1}, {"width": -1}, [], {"seed": "x"},
                                {"prompt": "x", "model": "../x"}])
        self.ask("POST", "/v1/" + self.rng.choice(["generate", "edit", "layers", "caption", "plan", "projects"]), body,
                 allowed=(400, 422, 503))

    def do_wrong_text(self):
        self.ask("POST", "/v1/generate", self.rng.choice([b"{", b"\xff", b"[" * 5000, b"", self.rng.randbytes(50)]),
                 headers=self.rng.choice([JSON, {"Content-Type": "text/plain"}, {"Content-Type": "image/png"}]))

    def do_wrong_picture(self):
        good = png(16, 16, rows=self.rng.randbytes(768))
        at = self.rng.randrange(len(good))
        bad = self.rng.choice([good[:at], good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1:], self.rng.randbytes(100)])
        a = self.ask("POST", "/v1/assets", bad, headers=PNG, allowed=(201, 400, 413, 422, 503))
        if a.status == 201:
            with self.book.lock:
                self.book.assets.add(a.json()["id"])

    def do_wrong_path(self):
        self.ask(self.rng.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "BREW"]),
                 self.rng.choice(["/nothing", "/v1/jobs/x", "/v1/assets/..%2f..", "/v1/models/x/load", "/%00", "/v1/jobs?limit=x",
                                  "/sdapi/v1/x", "/v1/images/x"]))

    def do_wrong_frame(self):
        host = f"Host: 127.0.0.1:{self.s.port}\r\n"
        self.s.raw(self.rng.choice([
            f"GET /healthz HTTP/1.1\r\n{host}{host}\r\n", f"GET /{'a' * 40000} HTTP/1.1\r\n{host}\r\n",
            f"GET /healthz HTTP/1.1\r\n{host}X: {'b' * 40000}\r\n\r\n", "GET\r\n\r\n", "\0\0\0\0\r\n\r\n",
            f"POST /v1/generate HTTP/1.1\r\n{host}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            f"POST /v1/generate HTTP/1.1\r\n{host}Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
            f"POST /v1/assets HTTP/1.1\r\n{host}Content-Type: image/png\r\nContent-Length: 99999999999\r\n\r\nx",
            f"POST /v1/assets HTTP/1.1\r\n{host}Content-Type: image/png\r\nContent-Length: 1000\r\n\r\nhalf",
        ]).encode(), seconds=0.3)

    def do_garbage(self):
        self.s.raw(self.rng.randbytes(self.rng.randrange(2000)), seconds=0.2)


def start(server, book, seed):
    end = threading.Event()
    clients = [Client(server, book, seed + i, end) for i in range(CLIENTS)]
    for c in clients:
        c.start()
    return end, clients


def stop(end, clients):
    end.set()
    for c in clients:
        c.join(120)
        assert not c.is_alive(), "a client still waits for its answer"


def check_kept(s, book):
    for asset in book.assets:
        a = s.get("/v1/assets/" + asset)
        assert a.status == 200 and hashlib.sha256(a.body).hexdigest() == asset, (asset, a)
    for job in book.jobs:
        assert s.get("/v1/jobs/" + job).status == 200, job
    for job, result in book.done.items():
        j = s.get("/v1/jobs/" + job).json()
        assert j["state"] == "done" and j["result"] == result, (j, result)
        for image in result.get("images", []):
            assert hashlib.sha256(s.get("/v1/assets/" + image["asset"]).body).hexdigest() == image["asset"], job
    for project, (revision, name) in book.projects.items():
        p = s.get("/v1/projects/" + project).json()
        assert p["revision"] >= revision and p["name"] == name, (p, revision, name)


def calm(s):
    """Nothing runs any more, and nobody is forgotten in a sleep."""
    def waiting():
        jobs = [j for state in ("queued", "running") for j in s.get("/v1/jobs?limit=1000&state=" + state).json()["jobs"]]
        for j in jobs:
            s.request("DELETE", "/v1/jobs/" + j["id"])
        return len(jobs)
    until(lambda: waiting() == 0, 120)
    until(lambda: "veetance_http_requests 1\n" in s.get("/metrics").body.decode(), 60)
    until(lambda: "veetance_work_running 0\n" in s.get("/metrics").body.decode(), 60)


def check_store(program, s):
    s.stop()
    r = subprocess.run([program, "store", "check", "--deep", "--store", s.store], capture_output=True, check=False)
    assert r.returncode == 0, r
    s.start()


def test_random_clients(program):
    with Server(program, "--queue", "100", "--device", "cpu,cpu") as s:
        book = Book()
        end, clients = start(s, book, 1)
        time.sleep(SECONDS)
        assert s.process.poll() is None
        stop(end, clients)
        calm(s)
        assert not book.wrong, (len(book.wrong), book.wrong[:5])
        check_kept(s, book)
        print("     ", dict(sorted(book.answers.items())), len(book.done), "jobs done")
        check_store(program, s)


def test_killed_under_random_clients(program):
    rng = random.Random(5)
    with Server(program, "--queue", "100") as s:
        book = Book()
        for n in range(KILLS):
            end, clients = start(s, book, 1000 * (n + 1))
            time.sleep(rng.uniform(0.1, 1.2))
            s.kill()
            stop(end, clients)
            s.start()
            check_kept(s, book)
        calm(s)
        assert not book.wrong, (len(book.wrong), book.wrong[:5])
        print("     ", len(book.assets), "images,", len(book.jobs), "jobs,", len(book.done), "done,", len(book.projects),
              "projects")
        check_store(program, s)


if __name__ == "__main__":
    run_all(globals())
