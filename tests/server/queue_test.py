"""The queue as clients see and change it: its order, places in it, pauses; and that all of it is kept."""

from events_test import Stream
from support import SCENE, Server, run_all

QUICK = {"prompt": "a red star", "steps": 1, "width": 64, "height": 64}


def pause(s, paused=True):
    r = s.request("PATCH", "/v1/queue", {"paused": paused})
    assert r.status == 200 and r.json()["paused"] is paused, r
    return r.json()


def add(s, n, **more):
    return [s.post("/v1/generate", {**QUICK, "seed": seed, **more}).json()["id"] for seed in range(n)]


def layers(s, scene):
    return s.post("/v1/layers", {"image": scene, "layers": 2, "steps": 1}).json()["id"]


def line(running, queued, paused=False):
    """What /v1/queue says when one engine at most runs."""
    return {"paused": paused, "running": running, "running_jobs": [running] if running else [], "queued": queued}


def queued(s):
    return s.get("/v1/queue").json()["queued"]


def order_of_starts(s, jobs):
    for j in jobs:
        s.wait_for(j)
    return sorted(jobs, key=lambda j: s.get("/v1/jobs/" + j).json()["started_ms"])


def test_a_paused_queue_starts_nothing(program):
    with Server(program) as s:
        assert s.get("/v1/queue").json() == line(None, [])
        long = s.post("/v1/generate", dict(QUICK, steps=1000)).json()["id"]
        s.wait_for(long, ("running",))
        assert pause(s)["running"] == long
        jobs = add(s, 2)
        assert s.get("/v1/queue").json() == line(long, jobs, True)
        s.request("DELETE", "/v1/jobs/" + long)
        s.wait_for(long)
        s.stop()
        s.start()
        assert s.get("/v1/queue").json() == line(None, jobs, True)
        for body in ({}, {"paused": "yes"}, {"paused": True, "more": 1}):
            assert s.request("PATCH", "/v1/queue", body).status == 422, body
        # Models are opened and closed meanwhile.
        assert s.post("/v1/models/micro-klein/load").status == 200
        assert queued(s) == jobs
        pause(s, False)
        assert [s.wait_for(j)["state"] for j in jobs] == ["done", "done"]


def test_jobs_are_moved(program):
    with Server(program) as s:
        pause(s)
        jobs = add(s, 4)
        path = "/v1/jobs/" + jobs[3]
        r = s.request("PATCH", path, {"position": 0})
        assert r.status == 200 and r.json()["position"] == 1, r
        assert queued(s) == [jobs[3], *jobs[:3]]
        assert s.request("PATCH", "/v1/jobs/" + jobs[0], {"position": 2}).status == 200
        assert queued(s) == [jobs[3], jobs[1], jobs[0], jobs[2]]
        s.request("PATCH", path, {"position": 1000})
        order = [jobs[1], jobs[0], jobs[2], jobs[3]]
        assert queued(s) == order
        for body, status in (({"position": -1}, 422), ({"position": 0.5}, 422), ({"position": "first"}, 422)):
            assert s.request("PATCH", path, body).status == status, body
        assert s.request("PATCH", "/v1/jobs/j" + "0" * 20, {"position": 0}).status == 404
        s.kill()
        s.start()
        assert queued(s) == order
        pause(s, False)
        assert order_of_starts(s, jobs) == order
        assert s.request("PATCH", path, {"position": 0}).status == 409


def test_jobs_of_a_model_follow_each_other(program):
    """The order that is told is the order in which they run, also where some pass others."""
    with Server(program) as s:
        scene = s.upload(SCENE)
        pause(s)
        first, second = add(s, 1)[0], layers(s, scene)
        more = add(s, 5)
        # Four pass the job of the other model, no more.
        order = [first, *more[:4], second, more[4]]
        assert queued(s) == order
        assert s.get("/v1/jobs/" + second).json()["position"] == 6
        # Once a job has been moved nobody passes those that waited.
        moved = [second, first, *more]
        assert s.request("PATCH", "/v1/jobs/" + second, {"position": 0}).status == 200
        late = layers(s, scene)
        assert queued(s) == [*moved, late]
        s.kill()
        s.start()
        assert queued(s) == [*moved, late]
        pause(s, False)
        assert order_of_starts(s, [*moved, late]) == [*moved, late]


def test_events_tell_of_the_queue(program):
    with Server(program) as s:
        project = s.post("/v1/projects", {"width": 64, "height": 64}).json()["id"]
        stream = Stream(s, "/v1/events?telemetry=false")
        assert stream.until("queue")[0]["data"] == line(None, [])
        pause(s)
        stream.until("queue", paused=True)
        job = s.post(f"/v1/generate?project={project}&layer=sky", QUICK).json()["id"]
        stream.until("job.queued", id=job, project=project, layer="sky", position=1)
        stream.until("queue", queued=[job])
        other = add(s, 1)[0]
        stream.until("job.queued", id=other, project=None, layer=None)
        s.request("PATCH", "/v1/jobs/" + other, {"position": 0})
        seen = stream.until("job.changed", id=other, position=1)
        assert [b["data"]["queued"] for b in seen if b["event"] == "queue"][-1] == [other, job], seen
        first = next(s.events(f"/v1/jobs/{job}/events"))
        assert first == ("queued", {"id": job, "project": project, "layer": "sky", "state": "queued", "position": 2}), first
        pause(s, False)
        for name in ("job.stage", "job.preview", "job.done"):
            stream.until(name, id=job, project=project, layer="sky")
        stream.close()


if __name__ == "__main__":
    run_all(globals())
