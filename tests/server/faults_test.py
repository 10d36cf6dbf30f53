"""What may go wrong under a server: it is killed, the disk is full, the store is broken or not writable."""

import glob
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import threading
import time

from support import Server, png, run_all

QUICK = {"prompt": "a red star", "steps": 2, "width": 64, "height": 64}


class Load:
    """Uploads and jobs from two threads until the server goes; remembers every promise that was made."""

    def __init__(self, server, rng):
        self.s, self.rng = server, rng
        self.assets, self.jobs, self.done = set(), set(), {}
        self.stop = False

    def uploads(self):
        while not self.stop:
            data = png(16, 16, rows=os.urandom(768))
            try:
                a = self.s.post("/v1/assets", data, headers={"Content-Type": "image/png"}, timeout=5)
                if a.status == 201:
                    self.assets.add(a.json()["id"])
            except (OSError, ValueError):
                time.sleep(0.01)

    def tasks(self):
        while not self.stop:
            try:
                if len(self.jobs) < 60:
                    self.jobs.add(self.s.post("/v1/generate", dict(QUICK, seed=len(self.jobs)), timeout=5).json()["id"])
                for j in self.s.get("/v1/jobs?state=done&limit=5", timeout=5).json()["jobs"]:
                    self.done[j["id"]] = j["result"]["images"][0]["asset"]
                time.sleep(0.03)
            except (OSError, ValueError, KeyError):
                time.sleep(0.01)

    def run(self):
        self.threads = [threading.Thread(target=f) for f in (self.uploads, self.tasks)]
        for t in self.threads:
            t.start()

    def join(self):
        self.stop = True
        for t in self.threads:
            t.join()


def check_kept(s, load, everything):
    for asset in load.assets if everything else list(load.assets)[-20:]:
        body = s.get("/v1/assets/" + asset).body
        assert hashlib.sha256(body).hexdigest() == asset, "an upload is not whole"
    for job, asset in load.done.items() if everything else list(load.done.items())[-20:]:
        j = s.get("/v1/jobs/" + job).json()
        assert j["state"] == "done" and j["result"]["images"][0]["asset"] == asset, j
        assert hashlib.sha256(s.get("/v1/assets/" + asset).body).hexdigest() == asset
    known = {j["id"]: j["state"] for j in s.get("/v1/jobs?limit=1000").json()["jobs"]}
    lost = load.jobs - known.keys()
    assert not lost, f"jobs are gone: {lost}"


def test_fifty_kills(program):
    rng = random.Random(2)
    with Server(program) as s:
        load = Load(s, rng)
        load.run()
        for n in range(50):
            time.sleep(rng.uniform(0.02, 0.25))
            s.kill()
            s.start()
            if n % 10 == 9:
                check_kept(s, load, False)
        load.join()
        for j in s.get("/v1/jobs?state=interrupted&limit=1000").json()["jobs"]:
            assert s.post(f"/v1/jobs/{j['id']}/again").status == 202
        for j in load.jobs:
            assert s.wait_for(j, seconds=120)["state"] == "done", j
        check_kept(s, load, True)
        print(f"      {len(load.jobs)} jobs, {len(load.assets)} uploads")
        store = s.store
        s.stop()
        r = subprocess.run([program, "store", "check", "--deep", "--store", store], capture_output=True, check=False)
        assert r.returncode == 0, r
        old = [f for f in glob.glob(store + "/tmp/*") if os.path.getmtime(f) < time.time() - 3600]
        assert not old, old
        s.start()


class Fault:
    """The store's database refuses a change of jobs to a state until the block ends."""

    def __init__(self, s, state, job=None):
        self.path = os.path.join(s.store, "veetance.db")
        which = f"AND new.id = '{job}'" if job else ""
        self.sql = (f"CREATE TRIGGER fault BEFORE UPDATE OF state ON jobs WHEN new.state = '{state}' {which} "
                    "BEGIN SELECT RAISE(ABORT, 'a fault'); END")

    def change(self, sql):
        db = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        db.execute(sql)
        db.close()

    def __enter__(self):
        self.change(self.sql)
        return self

    def __exit__(self, *_):
        self.change("DROP TRIGGER fault")


def test_success_is_kept_when_the_store_fails_for_a_while(program):
    with Server(program) as s:
        with Fault(s, "done"):
            job = s.post("/v1/generate", dict(QUICK, seed=1)).json()["id"]
            end = time.time() + 60
            while "cannot be kept now" not in s.said() and time.time() < end:
                time.sleep(0.05)
            assert s.get("/v1/jobs/" + job).json()["state"] == "running"
            events = s.events(f"/v1/jobs/{job}/events")
            assert next(events)
        assert [n for n, _ in events][-1] == "done"
        j = s.wait_for(job)
        assert j["state"] == "done", j
        assert s.get("/v1/assets/" + j["result"]["images"][0]["asset"]).status == 200


def test_stop_is_possible_while_the_store_fails(program):
    with Server(program) as s:
        with Fault(s, "done"):
            job = s.post("/v1/generate", dict(QUICK, seed=1)).json()["id"]
            while "cannot be kept now" not in s.said():
                time.sleep(0.05)
            s.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            s.process.send_signal(signal.SIGTERM)
            assert s.process.wait(timeout=30) == 0
        s.start()
        assert s.get("/v1/jobs/" + job).json()["state"] == "interrupted"


def test_cancel_that_fails_leaves_the_job_in_its_place(program):
    with Server(program) as s:
        long = s.post("/v1/generate", dict(QUICK, steps=1000)).json()["id"]
        s.wait_for(long, ("running",))
        waiting = [s.post("/v1/generate", dict(QUICK, seed=n)).json()["id"] for n in range(3)]
        with Fault(s, "cancelled", waiting[0]):
            assert s.request("DELETE", "/v1/jobs/" + waiting[0]).status >= 500
        assert [s.get("/v1/jobs/" + j).json()["position"] for j in waiting] == [1, 2, 3]
        assert s.request("DELETE", "/v1/jobs/" + waiting[1]).json()["state"] == "cancelled"
        assert s.request("DELETE", "/v1/jobs/" + long).status < 300
        done = [s.wait_for(j) for j in waiting]
        assert [j["state"] for j in done] == ["done", "cancelled", "done"]
        assert done[0]["started_ms"] <= done[2]["started_ms"]


def test_a_model_that_could_not_be_opened_is_not_open(program):
    with Server(program, "--device", "cuda7") as s:
        j = s.wait_for(s.post("/v1/generate", QUICK).json()["id"])
        assert j["state"] == "failed", j
        assert not any(m["open"] for m in s.get("/v1/models").json()["data"])
    with Server(program) as s:
        assert s.post("/v1/models/micro-layered/load").status == 200
        assert [m["id"] for m in s.get("/v1/models").json()["data"] if m["open"]] == ["micro-layered"]
        assert s.post("/v1/models/unload").status == 200
        assert not any(m["open"] for m in s.get("/v1/models").json()["data"])


def small_disk(folder):
    os.makedirs(folder)
    r = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", folder], capture_output=True, check=False)
    return r.returncode == 0


def test_full_disk(program):
    with Server(program) as keep:
        disk = os.path.join(keep.dir, "disk")
        if not small_disk(disk):
            print("      skipped: no small file system can be mounted here")
            return
        try:
            with Server(program, store=os.path.join(disk, "store")) as s:
                first = s.post("/v1/generate?wait=true", dict(QUICK, seed=1)).json()["images"][0]["asset"]
                seen = set()
                for _ in range(60):
                    a = s.post("/v1/assets", png(128, 128, rows=os.urandom(49152)), headers={"Content-Type": "image/png"})
                    seen.add(a.status)
                    if a.status != 201:
                        break
                assert seen == {201, 507}, seen
                assert a.headers["Content-Type"] == "application/problem+json"
                assert s.get("/healthz").status == 200
                assert s.get("/v1/assets/" + first).status == 200
                for seed in range(40):
                    a = s.post("/v1/generate?wait=true", dict(QUICK, seed=seed + 2, width=512, height=512))
                    assert a.status in (200, 507), a
                    if a.status == 507:
                        break
                assert s.get("/healthz").status == 200
        finally:
            subprocess.run(["umount", "-l", disk], check=False)


def test_broken_database(program):
    with Server(program) as s:
        asset = s.post("/v1/assets", png(8, 8), headers={"Content-Type": "image/png"}).json()["id"]
        s.stop()
        with open(os.path.join(s.store, "veetance.db"), "r+b") as f:
            f.write(b"this is no database" * 100)
        for f in glob.glob(s.store + "/veetance.db-*"):
            os.remove(f)
        s.start()
        assert glob.glob(s.store + "/veetance.db.broken-*")
        assert s.get("/v1/assets/" + asset).status == 200
        assert s.post("/v1/generate?wait=true", dict(QUICK, seed=1)).status == 200


def test_two_servers_one_store(program):
    with Server(program) as s:
        r = subprocess.run([program, "serve", "--listen", "127.0.0.1:0", "--store", s.store], capture_output=True,
                           timeout=60, check=False)
        assert r.returncode == 1 and b"in use" in r.stderr, r
        r = subprocess.run([program, "serve", "--listen", f"127.0.0.1:{s.port}", "--store", s.store + "2"],
                           capture_output=True, timeout=60, check=False)
        assert r.returncode == 1 and b"listen" in r.stderr, r


def test_store_not_writable(program):
    with Server(program) as s:
        r = subprocess.run([program, "serve", "--listen", "127.0.0.1:0", "--store", "/proc/veetance"],
                           capture_output=True, timeout=60, check=False)
        assert r.returncode == 1 and r.stderr, r
        blocker = os.path.join(s.dir, "file")
        with open(blocker, "w", encoding="ascii") as f:
            f.write("x")
        r = subprocess.run([program, "serve", "--listen", "127.0.0.1:0", "--store", blocker], capture_output=True,
                           timeout=60, check=False)
        assert r.returncode == 1 and r.stderr, r


def test_damaged_model_says_so(program):
    with Server(program) as keep:
        models = os.path.join(keep.dir, "models")
        shutil.copytree(os.path.join(keep.env["VEETANCE_MODELS"], "micro-klein"), os.path.join(models, "micro-klein"))
        weights = glob.glob(models + "/micro-klein/transformer/*.safetensors")[0]
        with open(weights, "r+b") as f:
            f.truncate(os.path.getsize(weights) // 2)
        with Server(program, env={"VEETANCE_MODELS": models}) as s:
            a = s.post("/v1/generate?wait=true", QUICK)
            assert a.status in (422, 500, 503) and "detail" in a.json(), a
            j = s.get("/v1/jobs?state=failed").json()["jobs"][0]
            assert j["error"]["detail"] and j["result"] is None, j


def test_nan_is_a_failure(program):
    with Server(program) as keep:
        models = os.path.join(keep.dir, "models")
        shutil.copytree(os.path.join(keep.env["VEETANCE_MODELS"], "micro-klein"), os.path.join(models, "micro-klein"))
        weights = glob.glob(models + "/micro-klein/transformer/*.safetensors")[0]
        with open(weights, "r+b") as f:
            n = int.from_bytes(f.read(8), "little")
            head = json.loads(f.read(n))
            name = next(k for k in head if k.startswith("proj_out"))
            begin, end = head[name]["data_offsets"]
            f.seek(8 + n + begin)
            f.write(b"\xff" * (end - begin))
        with Server(program, env={"VEETANCE_MODELS": models}) as s:
            a = s.post("/v1/generate?wait=true", QUICK)
            assert a.status == 500 and a.json()["code"] == "numeric", a
            j = s.get("/v1/jobs?state=failed").json()["jobs"][0]
            assert j["error"]["code"] == "numeric" and j["result"] is None, j


if __name__ == "__main__":
    run_all(globals())
