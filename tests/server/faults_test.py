"""faults_test.py - the server and its store when things go wrong: killed again and again, no room, no right, a
broken database. What was answered for must be there afterwards."""

import http.client
import os
import random
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
import zlib

from support import Server, png, run_all

KILLS = 50
GENERATE = {"model": "micro-klein", "prompt": "a red star", "width": 64, "height": 64, "steps": 1}


def check_store(program, store):
    look = subprocess.run([program, "store", "check", "--deep", "--store", store],
                          capture_output=True, text=True, check=False)
    assert look.returncode == 0, look


class Promises:
    """What the server has answered for, over all its lives."""

    def __init__(self):
        self.assets, self.jobs, self.done = set(), set(), {}
        self.lock = threading.Lock()
        self.stop = False


def upload_until_killed(s, p, seed):
    n = 0
    while not p.stop:
        n += 1
        try:
            r = s.post("/v1/assets", png(20 + n % 50, 20, (seed % 256, n % 256, seed // 256 % 256)),
                       headers={"Content-Type": "image/png"}, timeout=10)
        except (OSError, http.client.HTTPException):
            return
        assert r.status in (200, 201), r
        with p.lock:
            p.assets.add(r.json()["id"])


def submit_until_killed(s, p, seed):
    while not p.stop:
        try:
            r = s.post("/v1/generate", dict(GENERATE, seed=seed), timeout=10)
            if r.status == 202:
                with p.lock:
                    p.jobs.add(r.json()["id"])
            elif r.status != 429:
                raise AssertionError(r)
            time.sleep(0.06)
            for j in s.get("/v1/jobs?limit=10", timeout=10).json()["jobs"]:
                if j["state"] == "done":
                    with p.lock:
                        p.done[j["id"]] = j["result"]
        except (OSError, http.client.HTTPException):
            return


def let_it_live(s, p, seconds, seed):
    p.stop = False
    threads = [threading.Thread(target=f, args=(s, p, seed))
               for f in (upload_until_killed, submit_until_killed)]
    for t in threads:
        t.start()
    time.sleep(seconds)
    s.kill()
    p.stop = True
    for t in threads:
        t.join()


def states_of(s):
    states, before = {}, ""
    while True:
        page = s.get(f"/v1/jobs?limit=1000{before}").json()
        states.update((j["id"], j["state"]) for j in page["jobs"])
        if not page.get("next"):
            return states
        before = f"&before={page['next']}"


def test_fifty_kills_lose_nothing(program):
    seed = random.SystemRandom().randrange(1 << 16)
    rng = random.Random(seed)
    p = Promises()
    interrupted = 0
    with Server(program) as s:
        for k in range(KILLS):
            let_it_live(s, p, rng.uniform(0.02, 0.25), seed + k)
            assert not os.path.exists(os.path.join(s.store, "veetance.db.broken-1"))
            s.start()
            states = states_of(s)
            assert p.jobs <= set(states), (seed, p.jobs - set(states))
            for job in p.done:
                assert states[job] == "done", (seed, job, states[job])
            for job, state in states.items():
                if state == "interrupted":
                    interrupted += 1
                    r = s.post(f"/v1/jobs/{job}/again")
                    assert r.status in (200, 202), r
        for digest in p.assets:
            assert s.request("HEAD", f"/v1/assets/{digest}").status == 200, (seed, digest)
        end = time.time() + 120
        while time.time() < end:
            states = states_of(s)
            if not set(states.values()) & {"queued", "running"}:
                break
            time.sleep(0.1)
        assert set(states.values()) == {"done"}, (seed, states)
        for job in p.jobs:
            for image in s.get(f"/v1/jobs/{job}").json()["result"]["images"]:
                assert s.get(f"/v1/assets/{image['asset']}").body[:4] == b"\x89PNG", (seed, job)
        assert not os.listdir(os.path.join(s.store, "tmp"))
        s.kill()
        check_store(program, s.store)
        gone = subprocess.run([program, "store", "gc", "--store", s.store], capture_output=True,
                              text=True, check=True)
        s.start()
        print(f"      seed {seed}: {len(p.assets)} pictures, {len(p.jobs)} jobs, {interrupted} "
              f"interrupted; {gone.stdout.strip()}")


def small_disk(folder):
    os.mkdir(folder)
    return subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder],
                          capture_output=True, check=False).returncode == 0


def noise(seed):
    """A picture that packs badly, 80 kB."""
    rng = random.Random(seed)
    side = 164
    plain = png(side, side)
    rows = b"".join(b"\0" + rng.randbytes(3 * side) for _ in range(side))
    data = zlib.compress(rows, 0)
    start = plain[:33]  # signature and IHDR
    chunk = struct.pack(">I", len(data)) + b"IDAT" + data + struct.pack(">I", zlib.crc32(b"IDAT" + data))
    return start + chunk + plain[-12:]


def test_full_disk_is_said_and_survived(program):
    folder = tempfile.mkdtemp(prefix="veetance-full-")
    disk = os.path.join(folder, "disk")
    if not small_disk(disk):
        print("      skipped: cannot mount a tmpfs")
        shutil.rmtree(folder)
        return
    try:
        with Server(program, store=os.path.join(disk, "store")) as s:
            kept, r = [], None
            with open(os.path.join(disk, "ballast"), "wb") as f:
                f.write(b"x" * (600 << 10))
            for k in range(200):
                r = s.post("/v1/assets", noise(k), headers={"Content-Type": "image/png"})
                if r.status == 507:
                    break
                assert r.status == 201, r
                kept.append(r.json()["id"])
            assert r.status == 507 and len(kept) > 5, (r, len(kept))
            assert r.headers["Content-Type"] == "application/problem+json"
            for digest in kept:
                assert s.get(f"/v1/assets/{digest}").status == 200
            assert s.get("/healthz").status == 200
            r = s.post("/v1/projects", {"width": 8, "height": 8, "layers": [{"asset": kept[0]}]})
            assert r.status in (201, 507), r
            with open(os.path.join(disk, "filler"), "wb") as f:  # to the last byte
                try:
                    f.write(b"x" * (4 << 20))
                except OSError:
                    pass
            for _ in range(3):
                r = s.post("/v1/projects", {"width": 8, "height": 8})
                assert r.status in (201, 507), r
                r = s.post("/v1/generate", GENERATE)
                assert r.status in (202, 507), r
            os.unlink(os.path.join(disk, "ballast"))
            r = s.post("/v1/projects", {"width": 8, "height": 8})
            assert r.status == 201, r
            s.kill()
            check_store(program, s.store)
            s.start()
            assert s.get(f"/v1/projects/{r.json()['id']}").status == 200
    finally:
        subprocess.run(["umount", "-l", disk], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def test_broken_database_is_moved_aside(program):
    with Server(program) as s:
        picture = s.post("/v1/assets", png(9, 9), headers={"Content-Type": "image/png"}).json()["id"]
        s.kill()
        with open(os.path.join(s.store, "veetance.db"), "r+b") as f:
            f.write(b"no longer a database" * 50)
        for name in ("veetance.db-wal", "veetance.db-shm"):
            if os.path.exists(os.path.join(s.store, name)):
                os.unlink(os.path.join(s.store, name))
        s.start()
        assert os.path.exists(os.path.join(s.store, "veetance.db.broken-1"))
        assert "broken-1" in s.said(), s.said()
        assert s.get(f"/v1/assets/{picture}").status == 200


def test_a_store_without_rights_or_already_open_is_said(program):
    with Server(program) as s:
        second = subprocess.run([program, "serve", "--listen", "127.0.0.1:0", "--store", s.store],
                                capture_output=True, text=True, timeout=30, check=False)
        assert second.returncode == 1 and "in use by process" in second.stderr, second
    second = subprocess.run([program, "serve", "--listen", "127.0.0.1:0", "--store", "/proc/nothing"],
                            capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1 and "/proc/nothing" in second.stderr, second


def test_upload_that_breaks_off_leaves_nothing(program):
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
