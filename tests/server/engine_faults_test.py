"""The engine's process is killed, crashes, is stopped or vanishes while the server works: nothing else notices.

VEETANCE_FAULTS=50 tries that many moments of every kind of job instead of a few; VEETANCE_FAULTS_SEED=N other ones."""

import glob
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time

from support import EDIT, ROOT, SCENE, Server, Worker, engines_of, png, run_all, until

MOMENTS = int(os.environ.get("VEETANCE_FAULTS", "3"))
SEED = int(os.environ.get("VEETANCE_FAULTS_SEED", "1"))
STAR = {"prompt": "a red star", "steps": 8, "width": 64, "height": 64, "seed": 3}
SIGNALS = [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGSTOP]


def engines(s):
    return engines_of(s.process.pid)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def descriptors(s):
    out = []
    for path in glob.glob(f"/proc/{s.process.pid}/fd/*"):
        try:
            out.append(os.readlink(path))
        except OSError:
            pass
    return out


class Watch:
    """Asks /healthz all the time, and uploads images; nothing may fail."""

    def __init__(self, server):
        self.s, self.stop, self.wrong, self.assets, self.slowest = server, False, [], {}, 0
        self.threads = [threading.Thread(target=f) for f in (self.health, self.uploads)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        for t in self.threads:
            t.join()

    def health(self):
        while not self.stop:
            start = time.time()
            try:
                a = self.s.get("/healthz", timeout=20)
                if a.status != 200:
                    self.wrong.append(a)
            except OSError as e:
                self.wrong.append(e)
            self.slowest = max(self.slowest, time.time() - start)
            time.sleep(0.02)

    def uploads(self):
        while not self.stop:
            data = png(16, 16, rows=os.urandom(768))
            try:
                a = self.s.post("/v1/assets", data, headers={"Content-Type": "image/png"}, timeout=20)
                self.assets[a.json()["id"]] = hashlib.sha256(data).hexdigest()
            except (OSError, KeyError) as e:
                self.wrong.append(e)
            time.sleep(0.05)

    def check(self):
        assert not self.wrong, self.wrong[:3]
        for asset, digest in self.assets.items():
            assert hashlib.sha256(self.s.get("/v1/assets/" + asset).body).hexdigest() == digest


def submit(s, job):
    a = s.post(f"/v1/{job[0]}", job[1])
    assert a.status == 202, a
    return a.json()["id"]


def outcome(s, job):
    """What a job made, as hashes and words."""
    j = s.wait_for(submit(s, job))
    assert j["state"] == "done", j
    r = j["result"]
    ids = [i["asset"] for i in r.get("images", []) + r.get("layers", [])]
    return [hashlib.sha256(s.get("/v1/assets/" + i).body).hexdigest() for i in ids] + [r.get("caption")]


def kinds(s):
    edit, scene = s.upload(EDIT), s.upload(SCENE)
    return [("generate", dict(STAR, count=2)),
            ("edit", dict(STAR, images=[edit], prompt="make it blue")),
            ("layers", {"image": scene, "layers": 2, "steps": 2, "seed": 4}),
            ("caption", {"image": scene, "max_new_tokens": 4})]


def vary(job, i):
    """The same work as another request: one that ends the engine twice is not tried again."""
    other = dict(job[1])
    if job[0] == "caption":
        other["max_new_tokens"] += i
    else:
        other["seed"] += i
    return job[0], other


def test_deaths_at_any_moment(program):
    rng = random.Random(SEED)
    with Server(program, "--patience", "2") as s:
        jobs = kinds(s)
        project = s.post("/v1/projects", {"name": "kept", "width": 64, "height": 64}).json()
        before = [outcome(s, j) for j in jobs]
        open_before = len(descriptors(s))
        codes = set()
        with Watch(s) as watch:
            for k, job in enumerate(jobs):
                start = time.time()
                assert outcome(s, job) == before[k]
                whole = time.time() - start
                for i in range(MOMENTS):
                    what = rng.choice(SIGNALS) if i else SIGNALS[k]
                    one = submit(s, vary(job, i + 1))
                    time.sleep(rng.random() * whole)
                    for pid in engines(s):
                        os.kill(pid, what)
                    j = s.wait_for(one)
                    if j["state"] != "done": # it had ended before
                        assert j["state"] == "failed", j
                        if j["error"]["code"] != "numeric": # of a caption of the micro model
                            codes.add(j["error"]["code"])
                    assert outcome(s, job) == before[k], (job[0], what)
        watch.check()
        assert codes <= {"engine_crashed", "engine_stuck"} and "engine_crashed" in codes, codes
        assert s.get("/v1/projects/" + project["id"]).json()["name"] == "kept"
        kept = s.get("/v1/jobs?state=done&limit=100").json()["jobs"]
        for j in kept:
            for image in (j["result"] or {}).get("images", []):
                assert s.get("/v1/assets/" + image["asset"]).status == 200
        assert os.listdir(os.path.join(s.store, "tmp")) == []
        assert not [d for d in descriptors(s) if "memfd:" in d]
        until(lambda: len(descriptors(s)) <= open_before + 2)
        assert len(engines(s)) <= 2, engines(s)


def test_a_death_says_what_and_why(program):
    with Server(program, "--patience", "2") as s:
        for what, code, words in ((signal.SIGSEGV, "engine_crashed", "SIGSEGV"),
                                  (signal.SIGABRT, "engine_crashed", "SIGABRT"),
                                  (signal.SIGKILL, "engine_crashed", "killed from outside"),
                                  (signal.SIGSTOP, "engine_stuck", "no sign of life")):
            job = submit(s, ("generate", dict(STAR, steps=900, seed=int(what))))
            until(lambda: s.get("/v1/jobs/" + job).json().get("stage") == "steps")
            for pid in engines(s):
                os.kill(pid, what)
            j = s.wait_for(job)
            assert j["state"] == "failed" and j["error"]["code"] == code, j
            assert words in j["error"]["detail"], j["error"]
            assert s.get("/v1/telemetry").json()["model"] is None or what == signal.SIGSTOP
        # Who waits for an answer hears the same.
        t = threading.Timer(1.0, lambda: [os.kill(p, signal.SIGSEGV) for p in engines(s)])
        t.start()
        a = s.post("/v1/generate?wait=true", dict(STAR, steps=900, seed=77))
        t.join()
        assert a.status == 500 and a.json()["code"] == "engine_crashed", a


def test_what_ends_it_twice_is_refused(program):
    with Server(program) as s:
        deadly = ("generate", dict(STAR, steps=900))
        for refused in (None, True): # the second says already that there is no third
            job = submit(s, deadly)
            until(lambda: s.get("/v1/jobs/" + job).json().get("stage") == "steps")
            for pid in engines(s):
                os.kill(pid, signal.SIGABRT)
            error = s.wait_for(job)["error"]
            assert error["code"] == "engine_crashed" and error.get("refused") is refused, error
        j = s.wait_for(submit(s, deadly))
        assert j["state"] == "failed" and "twice" in j["error"]["detail"], j
        assert j["error"]["code"] == "engine_crashed" and j["error"]["refused"] is True, j
        assert outcome(s, ("generate", STAR))
        # The next server tries it again.
        s.stop()
        s.start()
        job = submit(s, deadly)
        until(lambda: s.get("/v1/jobs/" + job).json().get("stage") == "steps")
        s.request("DELETE", "/v1/jobs/" + job)
        s.wait_for(job)


def test_a_stopped_engine_can_be_cancelled(program):
    with Server(program, "--patience", "2") as s:
        job = submit(s, ("generate", dict(STAR, steps=900)))
        until(lambda: s.get("/v1/jobs/" + job).json().get("stage") == "steps")
        for pid in engines(s):
            os.kill(pid, signal.SIGSTOP)
        assert s.request("DELETE", "/v1/jobs/" + job).status in (200, 202)
        assert s.wait_for(job)["state"] in ("cancelled", "failed")
        assert outcome(s, ("generate", STAR))


def test_an_idle_engine_ends(program):
    with Server(program, "--idle", "1s") as s:
        first = outcome(s, ("generate", STAR))
        assert s.get("/v1/telemetry").json()["model"] == "micro-klein"
        assert len(engines(s)) == 1
        until(lambda: not engines(s))
        until(lambda: s.get("/v1/telemetry").json()["model"] is None)
        assert outcome(s, ("generate", STAR)) == first
    with Server(program, "--idle", "0") as s:
        outcome(s, ("generate", STAR))
        time.sleep(1.5)
        assert len(engines(s)) == 1


def test_what_an_engine_measured_is_kept_for_the_next(program):
    if any(os.path.exists(p) for p in ("/dev/nvidiactl", "/dev/dri", "/dev/kfd", "/dev/dxg")):
        return  # engines may be on a card, and do not measure the processor ahead of time
    with Server(program, "--idle", "1s") as s:
        path = os.path.join(s.dir, "home", "cpu.json")
        first = outcome(s, ("generate", STAR))
        with open(path, "rb") as f:
            measured = f.read()
        until(lambda: not engines(s))
        assert outcome(s, ("generate", STAR)) == first
        with open(path, "rb") as f:
            assert f.read() == measured
        assert "measuring the processor" not in s.said(), s.said()


def test_no_engine_outlives_its_server(program):
    with Server(program) as s:
        job = submit(s, ("generate", dict(STAR, steps=900)))
        until(lambda: s.get("/v1/jobs/" + job).json().get("stage") == "steps")
        pids = engines(s)
        assert pids
        s.kill()
        until(lambda: not any(alive(p) for p in pids))
        s.start()
        s.stop()


def test_a_question_survives_its_engine(program):
    with Server(program) as s:
        asked = {"task": "generate", "request": STAR}
        plan = s.post("/v1/plan", asked)
        assert plan.status == 200, plan
        for pid in engines(s):
            os.kill(pid, signal.SIGKILL)
        again = s.post("/v1/plan", asked)
        if again.status != 200: # it died while it was asked
            assert again.json()["code"] == "engine_crashed", again
            again = s.post("/v1/plan", asked)
        assert again.json()["peak_bytes"] == plan.json()["peak_bytes"]


def test_the_engine_has_less(program):
    env = {"HF_TOKEN": "not-for-engines", "AWS_SECRET_ACCESS_KEY": "not-for-engines"}
    with Server(program, env=env) as s:
        outcome(s, ("generate", STAR))
        pid = engines(s)[0]
        with open(f"/proc/{pid}/environ", "rb") as f:
            assert b"not-for-engines" not in f.read()
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            status = f.read()
        assert "Seccomp:\t2" in status and "NoNewPrivs:\t1" in status
        links = {os.readlink(p) for p in glob.glob(f"/proc/{pid}/fd/*")}
        assert not [x for x in links if s.store in x or ".db" in x], links
        assert len([x for x in links if x.startswith("socket:")]) == 1, links


def test_a_model_elsewhere_is_reached(program):
    """A model that lies outside of what the engine was started for, through links and a veetance.json."""
    with Server(program) as s:
        here = outcome(s, ("generate", STAR))
        pid = engines(s)[0]
        blobs, linked = os.path.join(s.dir, "blobs"), os.path.join(s.dir, "linked")
        shutil.copytree(os.path.join(ROOT, "models", "micro-klein"), blobs)
        for folder, _, files in os.walk(blobs):
            to = os.path.join(linked, os.path.relpath(folder, blobs))
            os.makedirs(to, exist_ok=True)
            for f in files:
                os.symlink(os.path.join(folder, f), os.path.join(to, f))
        s.stop()
        done = subprocess.run([program, "models", "add", linked], env=s.env, capture_output=True, text=True)
        assert done.returncode == 0, done
        s.start()
        names = [m["id"] for m in s.get("/v1/models").json()["data"]]
        name = next(n for n in names if "linked" in n)
        outcome(s, ("generate", STAR))
        assert outcome(s, ("generate", dict(STAR, model=name)))
        assert pid not in engines(s) and here


def rss(s):
    with open(f"/proc/{s.process.pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+) kB", f.read())[1])


def test_memory_of_the_server_is_flat(program):
    quick = dict(STAR, steps=1)
    with Server(program) as s:
        sizes = {}
        for i in range(60):
            s.wait_for(submit(s, ("generate", dict(quick, seed=i))))
            sizes[i] = rss(s)
        assert sizes[59] - sizes[19] < 4096, sizes


def test_a_lost_worker_is_told(program):
    with Worker(program) as worker:
        if not worker.there:
            print("note: no worker can be started here; not tried")
            return
        with Server(program, "--rpc", worker.address) as s:
            outcome(s, ("generate", STAR))
            job = submit(s, ("generate", dict(STAR, steps=900)))
            until(lambda: s.get("/v1/jobs/" + job).json().get("stage") == "steps")
            worker.kill()
            j = s.wait_for(job)
            assert j["state"] == "failed" and j["error"]["code"] == "engine_lost_worker", j
            assert s.get("/healthz").status == 200


def test_a_full_memory_group_is_told(program):
    group = f"/sys/fs/cgroup/veetance-test-{os.getpid()}"
    try:
        os.mkdir(group)
        if not os.path.exists(group + "/memory.max"):
            raise OSError("no memory controller")
    except OSError as e:
        if os.path.isdir(group):
            os.rmdir(group)
        print(f"note: control groups of memory cannot be made here ({e}); not tried")
        return
    with Server(program) as s:
        try:
            outcome(s, ("generate", STAR))
            pid = engines(s)[0]
            with open(group + "/cgroup.procs", "w", encoding="ascii") as f:
                f.write(str(pid))
            job = submit(s, ("generate", dict(STAR, steps=900, width=512, height=512)))
            with open(group + "/memory.max", "w", encoding="ascii") as f:
                f.write("4M")
            j = s.wait_for(job)
            assert j["state"] == "failed" and j["error"]["code"] == "engine_out_of_memory", j
            assert outcome(s, ("generate", STAR))
        finally:
            for p in engines(s):
                os.kill(p, signal.SIGKILL)
            until(lambda: not open(group + "/cgroup.procs", encoding="ascii").read())
            os.rmdir(group)


if __name__ == "__main__":
    run_all(globals())
