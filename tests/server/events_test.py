"""Event streams: ids, coming back, an end that is one, one stream for everything."""

import base64
import http.client
import json
import struct
import threading

from support import SCENE, Server, run_all, until

QUICK = {"prompt": "a red star", "seed": 3, "steps": 2, "width": 64, "height": 64}
LONG = {**QUICK, "steps": 1000}


class Stream:
    """A stream as an EventSource reads it: blocks of id, event, data, retry."""

    def __init__(self, s, path, last=None):
        self.c = http.client.HTTPConnection(s.host, s.port, timeout=60)
        self.c.request("GET", path, headers={"Last-Event-ID": last} if last else {})
        self.r = self.c.getresponse()
        self.status, self.retry = self.r.status, None

    def __iter__(self):
        block = {}
        for line in self.r:
            line = line.decode().rstrip("\n")
            if line.startswith("retry: "):
                self.retry = int(line[7:])
            elif line and not line.startswith(":"):
                k, v = line.split(": ", 1)
                block[k] = v
            elif block:
                block["data"] = json.loads(block["data"])
                yield block
                block = {}

    def until(self, name, **members):
        seen = []
        for b in self:
            seen.append(b)
            if b["event"] == name and all(b["data"].get(k) == v for k, v in members.items()):
                return seen
        raise AssertionError(f"the stream ended without {name}: {seen}")

    def close(self):
        self.r.close()
        self.c.close()


def test_ids_and_an_end_that_stays(program):
    with Server(program) as s:
        job = s.post("/v1/generate", QUICK).json()["id"]
        path = f"/v1/jobs/{job}/events"
        stream = Stream(s, path)
        seen = list(stream)
        ids = [b["id"] for b in seen]
        assert stream.retry and len(set(ids)) == len(ids) and seen[-1]["event"] == "done", seen
        again = list(Stream(s, path))
        assert [b["event"] for b in again] == ["done"] and again[0]["id"] == ids[-1], again
        assert [b["event"] for b in Stream(s, path, last=ids[0])] == ["done"]
        assert Stream(s, path, last=ids[-1]).status == 204
        # What runs again has events again.
        job = s.post("/v1/generate", LONG).json()["id"]
        path = f"/v1/jobs/{job}/events"
        stream = Stream(s, path)
        stream.until("stage", state="running")
        s.request("DELETE", "/v1/jobs/" + job)
        end = list(stream)[-1]
        assert end["event"] == "cancelled" and Stream(s, path, last=end["id"]).status == 204, end
        s.post(f"/v1/jobs/{job}/again")
        stream = Stream(s, path, last=end["id"])
        assert stream.status == 200
        stream.until("stage", state="running")
        s.request("DELETE", "/v1/jobs/" + job)
        assert list(stream)[-1]["event"] == "cancelled"


def test_one_stream_for_everything(program):
    with Server(program) as s:
        stream = Stream(s, "/v1/events")
        start = stream.until("models")
        assert [b["event"] for b in start] == ["queue", "models"] and start[1]["data"] == {"open": None, "open_models": []}, start
        job = s.post("/v1/generate", {**QUICK, "steps": 4}).json()["id"]
        seen = stream.until("job.done", id=job)
        names = {b["event"] for b in seen}
        assert {"job.queued", "job.stage", "job.step", "job.preview", "queue", "models"} <= names, names
        assert seen[-1]["data"]["result"]["images"]
        assert {"open": "micro-klein", "open_models": ["micro-klein"]} in [b["data"] for b in seen if b["event"] == "models"]
        stream.until("queue", paused=False, queued=[], running=None)
        stream.until("telemetry")
        s.post("/v1/models/unload")
        stream.until("models", open=None)
        stream.close()


def test_a_changed_job_is_told(program):
    with Server(program) as s:
        project = s.post("/v1/projects", {"width": 64, "height": 64}).json()["id"]
        job = s.post(f"/v1/generate?wait=true&project={project}", QUICK).json()["job"]
        stream = Stream(s, "/v1/events")
        stream.until("models")
        s.request("PATCH", "/v1/jobs/" + job, {"candidate": "discarded"})
        told = stream.until("job.changed")[-1]["data"]
        assert told["id"] == job and told["candidate"] == "discarded" and told["result"]["images"], told
        stream.close()


def jpeg_size(data):
    """Width and height, from the frame header."""
    at = 2
    while data[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + struct.unpack(">H", data[at + 2:at + 4])[0]
    height, width = struct.unpack(">HH", data[at + 5:at + 9])
    return width, height


def test_layers_grow_side_by_side(program):
    """One sheet after each step: a tile a layer, an eighth of the working size."""
    with Server(program) as s:
        image = s.upload(SCENE)
        job = s.post("/v1/layers", {"image": image, "layers": 3, "steps": 4, "resolution": 128, "prompt": "shapes",
                                    "seed": 1}).json()["id"]
        seen = list(Stream(s, f"/v1/jobs/{job}/events"))
        assert seen[-1]["event"] == "done", seen[-1]
        previews = [b["data"] for b in seen if b["event"] == "preview"]
        assert [p["step"] for p in previews] == [1, 2, 3, 4], previews
        for p in previews:
            assert (p["tiles"], p["width"], p["height"], p["type"]) == (3, 48, 16, "image/jpeg"), p
            assert jpeg_size(base64.b64decode(p["data"])) == (48, 16)
        # Those of an image are one tile.
        job = s.post("/v1/generate", QUICK).json()["id"]
        tiles = [b["data"]["tiles"] for b in Stream(s, f"/v1/jobs/{job}/events") if b["event"] == "preview"]
        assert tiles == [1, 1], tiles


def test_progress_goes_on_within_every_stage(program):
    with Server(program) as s:
        image = s.upload(SCENE)
        for path, body in (("/v1/layers", {"image": image, "layers": 2, "steps": 3, "prompt": "shapes"}),
                           ("/v1/edit", {**QUICK, "images": [image, image]})):
            job = s.post(path, body).json()["id"]
            told = [b["data"] for b in Stream(s, f"/v1/jobs/{job}/events") if b["event"] in ("stage", "step")]
            told = [d for d in told if "stage" in d]
            for a, b in zip(told, told[1:]):
                assert a["stage"] != b["stage"] or a["done"] <= b["done"] <= 1, (a, b)
            decoding = [d["done"] for d in told if d["stage"] == "decode"]
            assert len(decoding) > 10 and decoding[0] == 0 and decoding[-1] == 1, decoding
        assert s.wait_for(job)["state"] == "done"


def test_parts_can_be_left_out(program):
    with Server(program) as s:
        stream = Stream(s, "/v1/events?previews=false&telemetry=false")
        stream.until("models")
        ids = [s.post("/v1/generate", {**QUICK, "steps": 30}).json()["id"] for _ in range(2)]
        names = {b["event"] for b in stream.until("job.done", id=ids[1])}
        assert "job.step" in names and not names & {"job.preview", "telemetry"}, names
        assert s.get("/v1/events?previews=maybe").status == 400


def test_who_comes_back_has_missed_nothing(program):
    with Server(program) as s:
        stream = Stream(s, "/v1/events?telemetry=false")
        last = stream.until("models")[-1]["id"]
        stream.close()
        jobs = [s.post("/v1/generate", QUICK).json()["id"] for _ in range(3)]
        for j in jobs:
            s.wait_for(j)
        seen = Stream(s, "/v1/events?telemetry=false", last=last).until("job.done", id=jobs[2])
        assert [b["data"]["id"] for b in seen if b["event"] == "job.done"] == jobs, seen
        assert [b["data"]["id"] for b in seen if b["event"] == "job.queued"] == jobs, seen
        numbers = [int(b["id"].split("-")[1]) for b in seen]
        assert numbers == sorted(numbers) and numbers[0] > int(last.split("-")[1])
        # What is not known any more is said, and followed by how all stands.
        for unknown in ("nonsense", "1-1", last.split("-")[0] + "-999999999"):
            start = Stream(s, "/v1/events", last=unknown).until("models")
            assert [b["event"] for b in start] == ["reset", "queue", "models"], (unknown, start)
        s.kill()
        s.start()
        assert Stream(s, "/v1/events", last=last).until("models")[0]["event"] == "reset"


def test_many_tabs_one_slow(program):
    """A reader that does not read holds up nobody."""
    with Server(program) as s:
        slow = s.raw(f"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{s.port}\r\n\r\n".encode(), close=False)
        done = []

        def follow():
            stream = Stream(s, "/v1/events")
            done.append(stream.until("job.done")[-1]["data"]["id"])
            stream.close()
        threads = [threading.Thread(target=follow) for _ in range(8)]
        for t in threads:
            t.start()
        until(lambda: "veetance_event_streams 9\n" in s.get("/metrics").body.decode())
        job = s.post("/v1/layers", {"image": s.upload(SCENE), "layers": 2, "steps": 4}).json()["id"]
        for t in threads:
            t.join()
        assert done == [job] * 8, done
        slow.close()


if __name__ == "__main__":
    run_all(globals())
