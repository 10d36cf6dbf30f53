"""Work that takes long or much memory: it holds up nobody, keeps within its allowance, and is not done for nothing."""

import threading

from support import Server, form, png, run_all, until


def metric(s, name):
    return float(s.get("/metrics").body.decode().split("\nveetance_" + name + " ")[1].split()[0])


def project(s, side, n=1):
    """A square project of n layers, each as large as the canvas."""
    asset = s.post("/v1/assets", png(64, 64), headers={"Content-Type": "image/png"}).json()["id"]
    layers = [{"asset": asset, "scale_x": side / 64, "scale_y": side / 64} for _ in range(n)]
    return "/v1/projects/" + s.post("/v1/projects", {"width": side, "height": side, "layers": layers}).json()["id"]


def test_others_are_answered_meanwhile(program):
    """More exports than there are threads of HTTP; each is still at work when all else has been answered."""
    with Server(program, "--http-threads", "1") as s:
        path = project(s, 3000, 2)
        done, threads = [], []
        for fmt in ("png", "webp", "psd", "ora"):
            threads.append(threading.Thread(target=lambda f=fmt: done.append(s.get(f"{path}/export?format={f}").status)))
            threads[-1].start()
        until(lambda: metric(s, "work_running") + metric(s, "work_waiting") == 4)
        for p in ("/healthz", "/v1/models", "/v1/projects", "/v1/telemetry", path):
            assert s.get(p).status == 200
        job = s.post("/v1/generate", {"prompt": "x", "steps": 1}).json()["id"]
        assert len(done) < 4, done
        assert [n for n, _ in s.events(f"/v1/jobs/{job}/events")][-1] == "done"
        for t in threads:
            t.join()
        assert done == [200] * 4, done


def test_what_can_never_fit_is_507(program):
    with Server(program, "--work-memory", "64M") as s:
        path = project(s, 9999)
        a = s.get(path + "/export")
        assert a.status == 507 and "memory" in a.json()["detail"], a
        a = s.get(path + "/export?format=psd")
        assert a.status == 507, a
        a = s.post("/v1/assets", png(4000, 4000), headers={"Content-Type": "image/png"})
        assert a.status == 507, a
        body, headers = form(("image", "a.png", png(4000, 4000)), ("layers", "2"))
        assert s.post("/v1/layers", body, headers=headers).status == 507
        assert s.get(project(s, 500) + "/export").status == 200
        assert s.get(path).status == 200


def test_head_and_304_render_nothing(program):
    with Server(program, "--work-memory", "64M") as s:
        path = project(s, 9999) + "/export"
        before = metric(s, "work_total")
        a = s.request("HEAD", path)
        assert a.status == 200 and a.body == b"" and a.headers["ETag"] and a.headers["Content-Type"] == "image/png", a
        assert s.get(path, headers={"If-None-Match": a.headers["ETag"]}).status == 304
        assert metric(s, "work_total") == before
        asset = s.post("/v1/assets", png(300, 300), headers={"Content-Type": "image/png"}).json()["id"]
        before = metric(s, "work_total")
        small = f"/v1/assets/{asset}?w=64"
        etag = s.request("HEAD", small).headers["ETag"]
        assert s.get(small, headers={"If-None-Match": etag}).status == 304
        assert metric(s, "work_total") == before
        first = s.get(small)
        assert first.status == 200 and s.get(small).body == first.body
        assert metric(s, "work_total") == before + 1


def test_a_revision_is_rendered_once(program):
    with Server(program) as s:
        path = project(s, 300)
        before = metric(s, "work_total")
        first = s.get(path + "/export?format=psd")
        again = s.get(path + "/export?format=psd")
        assert first.status == 200 and first.body == again.body and metric(s, "work_total") == before + 1
        head = s.request("HEAD", path + "/export?format=psd")
        assert int(head.headers["Content-Length"]) == len(first.body), head.headers
        part = s.get(path + "/export?format=psd", headers={"Range": "bytes=0-3"})
        assert part.status == 206 and part.body == b"8BPS", part
        s.request("PATCH", path, {"name": "other", "width": 200})
        changed = s.get(path + "/export?format=psd")
        assert changed.body != first.body and changed.headers["ETag"] != first.headers["ETag"]
        assert metric(s, "work_total") == before + 2


def test_nothing_is_rendered_for_who_has_gone(program):
    """The first of three ends early, the last is not begun; the server ends at once and cleanly."""
    with Server(program) as s:
        path = project(s, 4000, 3)
        head = f"GET {path}/export?format=%s HTTP/1.1\r\nHost: 127.0.0.1:{s.port}\r\n\r\n"
        for _ in range(2):
            open_ones = [s.raw((head % f).encode(), close=False) for f in ("png", "psd", "ora", "zip")]
            until(lambda: metric(s, "work_running") >= 1)
            for c in open_ones:
                c.close()
            until(lambda: metric(s, "work_running") + metric(s, "work_waiting") == 0)
        assert s.request("HEAD", path + "/export").headers["Content-Length"] is None, "it was rendered to its end"
        stays = s.raw((head % "png").encode(), close=False)
        until(lambda: metric(s, "work_running") >= 1)
        assert s.stop(10) == 0
        stays.close()


if __name__ == "__main__":
    run_all(globals())
