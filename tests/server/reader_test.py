"""What strangers made is read by a process of its own: every format, and every way in which that process may end."""

import glob
import os
import signal
import threading
import time
import zlib

from support import ROOT, SCENE, Server, b64, png, run_all, until

PNG = {"Content-Type": "image/png"}


def readers(s):
    """Processes that wait for a file, or read one."""
    found = []
    for path in glob.glob(f"/proc/{s.process.pid}/task/*/children"):
        try:
            with open(path, encoding="ascii") as f:
                pids = [int(pid) for pid in f.read().split()]
            for pid in pids:
                with open(f"/proc/{pid}/cmdline", encoding="ascii") as f:
                    if f.read().split("\0")[1:2] == ["reader"]:
                        found.append(pid)
        except OSError:
            pass
    return found


def waiting(s):
    until(lambda: len(readers(s)) == 2)
    return readers(s)


def send(pids, *signals):
    for pid in pids:
        for number in signals:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass


def upload(s, data, out):
    out.append(s.post("/v1/assets", data, headers=PNG))


def begin(s, data):
    out = []
    t = threading.Thread(target=upload, args=(s, data, out))
    t.start()
    return t, out


def test_every_format_comes_in(program):
    with Server(program) as s:
        for name in ("png/rgba16.png", "jpeg/cmyk.jpg", "webp/lossy.webp", "tiff/deep.tif", "gif/plain.gif",
                     "heif/plain.heic", "heif/plain.avif"):
            path = os.path.join(ROOT, "fuzz", "corpus", name)
            if not os.path.exists(path):
                path = sorted(glob.glob(os.path.dirname(path) + "/*"))[0]
            with open(path, "rb") as f:
                data = f.read()
            a = s.post("/v1/assets", data, headers=PNG)
            assert a.status == 201, (name, a)
            assert s.get(a.json()["url"]).body == data
            thumb = s.get(a.json()["url"] + "?w=64")
            assert thumb.status == 200 and thumb.body[:4] == b"RIFF", (name, thumb)
            a = s.post("/v1/assets", data[:len(data) // 2], headers=PNG)
            assert a.status == 422 and a.json()["field"] == "body", (name, a)


def test_words_are_read_by_a_process_as_well(program):
    data = png(8, 8)
    words = b"tEXtparameters\0a cat\nSteps: 4, Seed: 7"
    chunk = len(words[4:]).to_bytes(4, "big") + words + zlib.crc32(words).to_bytes(4, "big")
    data = data[:33] + chunk + data[33:]
    with Server(program) as s:
        asset = s.post("/v1/assets", data, headers=PNG).json()["id"]
        for ask in (lambda: s.get(f"/v1/assets/{asset}/info").json()["recipe"]["seed"],
                    lambda: s.post("/sdapi/v1/png-info", {"image": b64(data)}).json()["parameters"]["Seed"]):
            before = waiting(s)
            assert int(ask()) == 7
            assert waiting(s) != before
        # One that such a file takes with it says nothing.
        stopped = waiting(s)
        send(stopped, signal.SIGSTOP)
        out = []
        t = threading.Thread(target=lambda: out.append(s.get(f"/v1/assets/{asset}/info")))
        t.start()
        until(lambda: len(readers(s)) > 2)
        send(stopped, signal.SIGSEGV, signal.SIGCONT)
        t.join()
        assert out[0].status == 200 and out[0].json()["recipe"] is None, out
        assert s.get(f"/v1/assets/{asset}/info").json()["recipe"]["seed"] == 7


def test_a_crash_is_one_failed_upload(program):
    with Server(program) as s:
        stopped = waiting(s)
        send(stopped, signal.SIGSTOP)
        t, out = begin(s, png(20, 20))
        while t.is_alive():  # the first is asked for the header, another one for the pixels
            send(readers(s), signal.SIGSEGV, signal.SIGCONT)
            assert s.get("/healthz").status == 200
            time.sleep(0.005)
        t.join()
        assert out[0].status in (201, 422), out
        if out[0].status == 422:
            assert "crashed the process that read it (SIGSEGV)" in out[0].json()["detail"], out
        a = s.post("/v1/assets", png(20, 21), headers=PNG)
        assert a.status == 201, a


def test_one_that_hangs_is_ended(program):
    with Server(program, "--patience", "1") as s:
        send(waiting(s), signal.SIGSTOP)
        t, out = begin(s, png(20, 20))
        while t.is_alive():
            send(readers(s), signal.SIGSTOP)
            assert s.get("/healthz").status == 200
            time.sleep(0.02)
        t.join()
        assert out[0].status == 413 and "takes longer to read" in out[0].json()["detail"], out
        until(lambda: s.post("/v1/assets", png(20, 21), headers=PNG).status == 201)


def test_nothing_is_left_of_them(program):
    with Server(program) as s:
        with open(SCENE, "rb") as f:
            scene = f.read()
        for i in range(25):
            assert s.post("/v1/assets", png(8 + i, 8), headers=PNG).status == 201
            assert s.post("/v1/assets", scene[:len(scene) // 2 + i], headers=PNG).status == 422
        last = waiting(s)
        links = []
        for path in glob.glob(f"/proc/{s.process.pid}/fd/*"):
            try:
                links.append(os.readlink(path))
            except OSError:
                pass
        assert not [n for n in links if "memfd" in n], links
        assert sum("socket" in n for n in links) < 20, links
        with open(f"/proc/{last[0]}/environ", "rb") as f:
            assert b"TOKEN" not in f.read()
        assert s.stop() == 0
        until(lambda: not any(os.path.exists(f"/proc/{p}") for p in last))


run_all(globals())
