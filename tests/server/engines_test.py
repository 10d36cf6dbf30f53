"""Several engines over one queue: jobs really run at once, each can be stopped alone, and what holds for one engine holds
for all. The engines are the CPU several times, with a thread each."""

import os
import signal
import subprocess
import time

from events_test import Stream
from support import SCENE, Server, Worker, engines_of, run_all, until

QUICK = {"prompt": "a red star", "steps": 1, "width": 64, "height": 64}
LONG = dict(QUICK, steps=1000)
TWO = ("--device", "cpu,cpu")
THREE = ("--device", "cpu,cpu,cpu")


def add(s, n=1, **more):
    return [s.post("/v1/generate", {**QUICK, "seed": seed, **more}).json()["id"] for seed in range(n)]


def long(s):
    job = s.post("/v1/generate", LONG).json()["id"]
    s.wait_for(job, ("running",))
    return job


def queue(s):
    return s.get("/v1/queue").json()


def engines(s):
    return s.get("/v1/telemetry").json()["engines"]


def cancel(s, *jobs):
    for j in jobs:
        assert s.request("DELETE", "/v1/jobs/" + j).status in (200, 202), j
    for j in jobs:
        assert s.wait_for(j)["state"] == "cancelled"


def test_as_many_jobs_run_as_there_are_engines(program):
    with Server(program, *TWO) as s:
        assert [g["running"] for g in engines(s)] == [None, None]
        first, second = long(s), long(s)
        waits = add(s, 2)
        assert queue(s) == {"paused": False, "running": first, "running_jobs": [first, second], "queued": waits}
        assert sorted(g["running"]["id"] for g in engines(s)) == sorted([first, second])
        assert [s.get("/v1/jobs/" + j).json()["position"] for j in (first, second, *waits)] == [0, 0, 1, 2]
        for line in ("veetance_jobs_running 2", 'veetance_engine_running{engine="0",device="cpu"} 1',
                     'veetance_engine_running{engine="1",device="cpu"} 1'):
            until(lambda: line in s.get("/metrics").body.decode()) # the device is known when the engine is open
        # One of two is cancelled: the other goes on, and those that wait run beside it.
        cancel(s, first)
        assert [s.wait_for(j)["state"] for j in waits] == ["done", "done"]
        assert queue(s)["running_jobs"] == [second]
        assert queue(s)["running"] == second
        cancel(s, second)


def test_results_do_not_depend_on_the_engine(program):
    with Server(program) as s:
        one = [s.wait_for(j)["result"]["images"][0]["asset"] for j in add(s, 6)]
        same = [s.get(f"/v1/assets/{a}").body for a in one]
    with Server(program, *THREE) as s:
        jobs = [s.wait_for(j) for j in add(s, 6)]
        assert [s.get("/v1/assets/" + j["result"]["images"][0]["asset"]).body for j in jobs] == same


def test_each_engine_keeps_its_model(program):
    with Server(program, *TWO) as s:
        stream = Stream(s, "/v1/events?telemetry=false")
        scene = s.upload(SCENE)
        apart = {"image": scene, "layers": 2, "steps": 2}
        both = [add(s)[0], s.post("/v1/layers", apart).json()["id"]]
        ended = [s.wait_for(j) for j in both]
        assert [j["state"] for j in ended] == ["done", "done"], ended
        seen = [b["data"] for b in stream.until("models", open_models=["micro-klein", "micro-layered"])]
        assert seen[-1]["open"] == "micro-klein", seen
        stream.close()
        assert [g["model"] for g in engines(s)] == ["micro-klein", "micro-layered"]
        assert [m["id"] for m in s.get("/v1/models").json()["data"] if m["open"]] == ["micro-klein", "micro-layered"]
        # Jobs go to the engine that has their model, while both are free.
        for _ in range(2):
            s.wait_for(s.post("/v1/layers", apart).json()["id"])
            s.wait_for(add(s)[0])
        assert [g["model"] for g in engines(s)] == ["micro-klein", "micro-layered"]
        # All are closed; a model is opened by one.
        opened = lambda: sorted(g["model"] or "" for g in engines(s))
        assert s.post("/v1/models/unload").status == 200 and opened() == ["", ""]
        assert s.post("/v1/models/micro-layered/load").status == 200
        assert opened() == ["", "micro-layered"]
        job = s.post("/v1/generate", LONG).json()["id"]
        until(lambda: opened() == ["micro-klein", "micro-layered"])
        assert s.post("/v1/models/micro-klein/load").json() == {"model": "micro-klein"}
        # While a job runs, the other engine closes its own at once.
        assert s.post("/v1/models/unload").status == 202
        until(lambda: opened() == ["", "micro-klein"])
        cancel(s, job)
        until(lambda: opened() == ["", ""])


def test_each_engine_has_a_budget(program):
    with Server(program, *TWO, "--budget", "2G,1G") as s:
        jobs = [long(s), long(s)]
        gib = 1 << 30
        of = lambda: [(g["budget"], g["budget_bytes"]) for g in s.get("/v1/budget").json()["engines"]]
        until(lambda: of() == [("2G", 2 * gib), ("1G", gib)]) # known when the engines are open
        r = s.request("PUT", "/v1/budget", {"budget": "512M,3G"})
        assert r.status == 200 and r.json()["budget"] == "512M", r
        assert of() == [("512M", gib // 2), ("3G", 3 * gib)]
        r = s.request("PUT", "/v1/budget", {"budget": "1G"})
        assert r.status == 200 and of() == [("1G", gib), ("1G", gib)], r
        for wrong in ("1G,2G,3G", "1G,", "1G,much", ",", "1G,0"):
            r = s.request("PUT", "/v1/budget", {"budget": wrong})
            assert r.status == 422 and r.json()["field"] == "budget", (wrong, r)
        assert of() == [("1G", gib), ("1G", gib)], of()
        # A plan is for the engine that would run it.
        s.request("PUT", "/v1/budget", {"budget": "1G,2G"})
        cancel(s, jobs[1])
        plan = lambda: s.post("/v1/plan", {"task": "generate", "request": QUICK}).json()["budget_bytes"]
        assert plan() == 2 * gib
        cancel(s, jobs[0])
        assert [g["budget"] for g in s.get("/v1/budget").json()["engines"]] == ["1G", "2G"]


def test_pause_and_orders_of_clients(program):
    with Server(program, *TWO) as s:
        running = [long(s), long(s)]
        assert s.request("PATCH", "/v1/queue", {"paused": True}).json()["running_jobs"] == running
        jobs = add(s, 4)
        cancel(s, *running)
        assert queue(s) == {"paused": True, "running": None, "running_jobs": [], "queued": jobs}
        s.request("PATCH", "/v1/jobs/" + jobs[3], {"position": 0})
        order = [jobs[3], *jobs[:3]]
        assert queue(s)["queued"] == order
        s.request("PATCH", "/v1/queue", {"paused": False})
        for j in jobs:
            assert s.wait_for(j)["state"] == "done"
        assert sorted(jobs, key=lambda j: s.get("/v1/jobs/" + j).json()["started_ms"])[0] in order[:2]


def test_all_that_ran_is_interrupted(program):
    with Server(program, *TWO) as s:
        running, waits = [long(s), long(s)], add(s)
        s.kill()
        s.start()
        assert [s.get("/v1/jobs/" + j).json()["state"] for j in running] == ["interrupted", "interrupted"]
        assert s.wait_for(waits[0])["state"] == "done"
        # A second signal ends both at once; after one they end by themselves.
        running = [long(s), long(s)]
        waits = add(s)
        s.process.terminate()
        until(lambda: s.get("/readyz").status == 503)
        assert s.process.poll() is None
        assert s.stop() == 0
        s.start()
        assert [s.get("/v1/jobs/" + j).json()["state"] for j in running] == ["interrupted", "interrupted"]
        assert s.wait_for(waits[0])["state"] == "done"
        jobs = add(s, 2, steps=40)
        for j in jobs:
            s.wait_for(j, ("running", "done"))
        assert s.stop() == 0
        s.start()
        assert [s.get("/v1/jobs/" + j).json()["state"] for j in jobs] == ["done", "done"]


def test_streams_and_progress_are_of_their_own_job(program):
    with Server(program, *TWO) as s:
        stream = Stream(s, "/v1/events?telemetry=false")
        jobs = [s.post("/v1/generate", dict(QUICK, steps=30, seed=seed)).json()["id"] for seed in range(2)]
        for j in jobs:
            for name, data in s.events(f"/v1/jobs/{j}/events"):
                assert data["id"] == j, (name, data)
        stream.close()
        jobs = [long(s), long(s)]
        p = s.get("/sdapi/v1/progress").json()
        assert p["state"]["job"] == jobs[0] and p["state"]["job_count"] == 2, p
        late = Stream(s, "/v1/events?telemetry=false&previews=false")
        for j in jobs:
            late.until("job.stage", id=j)
        late.close()
        s.post("/sdapi/v1/interrupt")
        assert s.wait_for(jobs[0])["state"] == "cancelled"
        assert s.get("/v1/jobs/" + jobs[1]).json()["state"] == "running"
        cancel(s, jobs[1])


def processes(s):
    """Of its engines, those that compute the longest first."""
    def seconds(pid):
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
    return sorted(engines_of(s.process.pid), key=seconds, reverse=True)


def test_one_process_of_several_dies(program):
    with Server(program, *TWO) as s:
        jobs = [long(s), long(s)]
        waits = add(s, 2)
        for j in jobs:
            until(lambda: s.get("/v1/jobs/" + j).json().get("stage") == "steps")
        os.kill(processes(s)[0], signal.SIGKILL)
        until(lambda: any(s.get("/v1/jobs/" + j).json()["state"] == "failed" for j in jobs))
        states = {j: s.get("/v1/jobs/" + j).json() for j in jobs}
        dead, alive = sorted(jobs, key=lambda j: states[j]["state"])
        assert states[dead]["error"]["code"] == "engine_crashed", states
        assert states[alive]["state"] == "running", states
        assert [s.wait_for(j)["state"] for j in waits] == ["done", "done"]
        assert s.get("/v1/jobs/" + alive).json()["state"] == "running"
        cancel(s, alive)


def test_a_device_that_is_not_there_costs_no_job(program):
    with Server(program, "--device", "vulkan99,cpu") as s:
        jobs = add(s, 4)
        assert [s.wait_for(j)["state"] for j in jobs] == ["done"] * 4
        assert {s.get("/v1/jobs/" + j).json()["result"]["device"] for j in jobs} == {"cpu"}
        assert "vulkan99" in engines(s)[0]["failure"] and engines(s)[1]["failure"] is None, engines(s)
    # Where none works, jobs say why.
    with Server(program, "--device", "vulkan98,vulkan99") as s:
        jobs = [s.wait_for(j) for j in add(s, 2)]
        assert [j["state"] for j in jobs] == ["failed"] * 2
        assert all(j["error"]["code"] == "device" and "vulkan9" in j["error"]["detail"] for j in jobs), jobs


def test_a_worker_is_an_engine_and_may_vanish(program):
    with Worker(program) as worker:
        if not worker.there:
            print("      skipped: no worker can be started here")
            return
        with Server(program, "--engine", worker.address) as s:
            jobs = [long(s), long(s)]
            until(lambda: all(g["device"]["name"] for g in engines(s)))
            assert [g["device"]["name"] == "cpu" for g in engines(s)] == [True, False], engines(s)
            here, there = (g["running"]["id"] for g in engines(s))
            assert sorted((here, there)) == sorted(jobs)
            until(lambda: s.get("/v1/jobs/" + there).json().get("stage") == "steps")
            worker.kill()
            ended = s.wait_for(there)
            assert ended["state"] == "failed" and ended["error"]["code"] == "engine_lost_worker", ended
            assert s.get("/healthz").status == 200
            assert s.get("/v1/jobs/" + here).json()["state"] == "running"
            cancel(s, here)
            # While it is not there jobs go to the other, and none fails; a plan is answered.
            assert [s.wait_for(j)["state"] for j in add(s, 4)] == ["done"] * 4
            assert engines(s)[1]["failure"], engines(s)
            assert s.post("/v1/plan", {"task": "generate", "request": QUICK}).json()["verdict"] == "resident"
            # It comes back, and with it the engine.
            worker.start()
            end = time.monotonic() + 90
            while engines(s)[1]["failure"] and time.monotonic() < end:
                both = [s.post("/v1/generate", dict(QUICK, steps=100)).json()["id"] for _ in range(2)]
                assert [s.wait_for(j)["state"] for j in both] == ["done"] * 2
            assert not engines(s)[1]["failure"], engines(s)


def fake_cards(program, n):
    """The environment of a machine with so many NVIDIA cards; None: what plays their driver was not built."""
    driver = os.path.join(os.path.dirname(program), "tests", "libfake_cuda.so")
    return {"VEETANCE_CUDA_DRIVER": driver, "VEETANCE_FAKE_CUDA_CARDS": str(n)} if os.path.exists(driver) else None


def test_auto_all_is_every_card(program):
    env = fake_cards(program, 2)
    if env is None:
        print("      skipped: no driver to play cards")
        return
    with Server(program, "--device", "auto:all", "--budget", "2G,1G", env=env) as s:
        assert len(engines(s)) == 2, engines(s)
        jobs = [long(s), long(s)]
        of = lambda: [(g["device"]["name"], g["device"]["budget"]) for g in engines(s)]
        until(lambda: of() == [("cuda0", "2G"), ("cuda1", "1G")]) # known when the engines are open
        waits = add(s, 1)
        cancel(s, jobs[0])
        done = s.wait_for(waits[0])
        assert done["state"] == "done" and done["result"]["device"] in ("cuda0", "cuda1"), done
        cancel(s, jobs[1])
    # A worker of another machine is a further engine; the last --device counts.
    with Server(program, "--device", "auto:all", "--engine", "127.0.0.1:1", env=env) as s:
        assert len(engines(s)) == 3, engines(s)
    with Server(program, "--device", "auto:all", "--device", "cpu,cpu", env=env) as s:
        assert s.wait_for(add(s)[0])["result"]["device"] == "cpu"
        assert len(engines(s)) == 2, engines(s)
    r = subprocess.run([program, "serve", "--device", "auto:all", "--budget", "1G,2G,3G"], capture_output=True,
                       env={**os.environ, **env}, text=True, timeout=60, check=False)
    assert r.returncode == 2 and "3 budgets for 2 engines" in r.stderr, r


def test_auto_all_is_the_processor_without_a_card(program):
    env = fake_cards(program, 0)
    if env is None or os.path.exists("/dev/dri"):
        print("      skipped: no driver to play that there is none, or another maker's card")
        return
    with Server(program, "--device", "AUTO:ALL", env=env) as s:
        assert s.wait_for(add(s)[0])["result"]["device"] == "cpu"
        assert [g["device"]["name"] for g in engines(s)] == ["cpu"]


def test_options_that_make_no_sense_are_refused(program):
    def refused(*options):
        r = subprocess.run([program, "serve", *options], capture_output=True, text=True, timeout=60, check=False)
        assert r.returncode == 2, r
        return r.stderr
    assert "'cuda0' is named twice" in refused("--device", "cuda0,cuda0")
    for wrong in ("cpu,,cpu", "cpu,", ","):
        assert "is no list of devices" in refused("--device", wrong), wrong
    assert "there is no device 'gpu7'" in refused("--device", "cpu,gpu7")
    for alone in ("auto:all,cpu", "cpu,auto:all", "auto:all,auto:all", "none,cpu", "cpu,None"):
        assert "stands alone, not in a list" in refused("--device", alone), alone
    assert "did you mean 'auto'" in refused("--device", "auto:")
    assert "'auto' is named twice" in refused("--device", "auto,auto")
    assert "3 budgets for 2 engines" in refused("--device", "cpu,cpu", "--budget", "1G,2G,3G")
    assert "is no address" in refused("--engine", "a:b:c")
    assert "'rpc:there:50052' is named twice" in refused("--engine", "there", "--engine", "there:50052")
    assert "needs a worker elsewhere" in refused("--device", "none")
    assert "serves one engine at a time" in refused("--engine", "there", "--place", "text=rpc:here:1")
    assert "at most 16 engines" in refused("--device", ",".join(["cpu"] * 17))


if __name__ == "__main__":
    run_all(globals())
