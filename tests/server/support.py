"""support.py - starts `veetance serve` in a folder of its own and talks HTTP to it; standard library only."""

import base64
import http.client
import inspect
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DATA = os.path.join(ROOT, "tests", "data", "micro")
SCENE = os.path.join(DATA, "layered", "scene-00-input.png")
EDIT = os.path.join(DATA, "klein", "edit-00-input.png")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


def engines_of(server):
    """Processes of engines that it has."""
    found = []
    for task in os.listdir(f"/proc/{server}/task"):
        try:
            with open(f"/proc/{server}/task/{task}/children", encoding="ascii") as f:
                pids = f.read().split()
            for pid in pids:
                with open(f"/proc/{pid}/cmdline", encoding="ascii") as f:
                    if f.read().split("\0")[1:2] == ["engine"]:
                        found.append(int(pid))
        except OSError:
            pass
    return found


class Server:
    def __init__(self, program, *options, env=None, store=None):
        self.program, self.options = program, list(options)
        self.dir = tempfile.mkdtemp(prefix="veetance-server-")
        self.store = store or os.path.join(self.dir, "store")
        self.env = {**os.environ, "VEETANCE_HOME": os.path.join(self.dir, "home"),
                    "VEETANCE_MODELS": os.path.join(ROOT, "models"), **(env or {})}
        self.process = None
        self.start()

    def start(self, wait=True):
        self.log = open(os.path.join(self.dir, "log"), "ab")
        self.process = subprocess.Popen(
            [self.program, "serve", "--listen", "127.0.0.1:0", "--store", self.store,
             "--threads", "1", "--device", "cpu", *self.options],
            stdout=subprocess.PIPE, stderr=self.log, env=self.env)
        line = self.process.stdout.readline().decode()
        found = re.match(r"http://(.*):(\d+)/", line)
        if not found:
            raise RuntimeError(f"the server did not start: {line!r} {self.said()}")
        self.host, self.port = found.group(1), int(found.group(2))

    def said(self):
        with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def request(self, method, path, body=None, headers=None, timeout=120, host=None):
        c = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        h = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            h.setdefault("Content-Type", "application/json")
        elif method not in ("GET", "HEAD", "OPTIONS"):
            h.setdefault("X-Veetance", "1")
        h = {k: v for k, v in h.items() if v is not None}
        if host is not None:
            h["Host"] = host
        try:
            c.request(method, path, body, h)
            r = c.getresponse()
            return Answer(r.status, r.headers, r.read())
        finally:
            c.close()

    def get(self, path, **k):
        return self.request("GET", path, **k)

    def post(self, path, body=None, **k):
        return self.request("POST", path, body, **k)

    def upload(self, path):
        with open(path, "rb") as f:
            return self.post("/v1/assets", f.read(), headers={"Content-Type": "image/png"}).json()["id"]

    def wait_for(self, job, states=("done", "failed", "cancelled", "interrupted"), seconds=60):
        end = time.time() + seconds
        while time.time() < end:
            j = self.get(f"/v1/jobs/{job}").json()
            if j["state"] in states:
                return j
            time.sleep(0.02)
        raise AssertionError(f"job {job} is still {j['state']}")

    def raw(self, data, seconds=10, close=True):
        s = socket.create_connection((self.host, self.port), timeout=seconds)
        s.sendall(data)
        if not close:
            return s
        got = b""
        try:
            while True:
                piece = s.recv(65536)
                if not piece:
                    break
                got += piece
        except (socket.timeout, ConnectionError):
            pass
        s.close()
        return got

    def events(self, path, seconds=60, body=None):
        """The events of a stream until it ends: (name, data) pairs."""
        c = http.client.HTTPConnection(self.host, self.port, timeout=seconds)
        if body is None:
            c.request("GET", path)
        else:
            c.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        r = c.getresponse()
        assert r.status == 200, r.status
        assert r.headers["Content-Type"] == "text/event-stream", r.headers
        name, data = None, []
        for line in r:
            line = line.decode().rstrip("\n")
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data.append(line[6:])
            elif not line and data:
                yield name, json.loads("\n".join(data))
                name, data = None, []
        c.close()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self, seconds=60):
        """SIGTERM; what the process ended with."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            rc = self.process.wait(seconds)
        finally:
            if self.process.poll() is None:
                self.process.kill()
        self.process.stdout.close()
        self.log.close()
        return rc

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        rc = None
        try:
            rc = self.stop()
        finally:
            said = self.said()
            shutil.rmtree(self.dir, ignore_errors=True)
            if kind or rc or "ERROR: AddressSanitizer" in said or "runtime error" in said:
                sys.stderr.write(said[-4000:])
        assert kind or rc == 0, f"the server ended with {rc}"


def until(said, seconds=60):
    """Waits until said() is true; a test that waits for ever tells nobody why."""
    end = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < end, f"not so after {seconds} s: {inspect.getsource(said).strip()}"
        time.sleep(0.005)


def form(*parts):
    """multipart/form-data of (name, value) and (name, filename, bytes): body and headers."""
    boundary = "veetance-test-boundary"
    out = b""
    for p in parts:
        out += f"--{boundary}\r\n".encode()
        if len(p) == 2:
            out += f'Content-Disposition: form-data; name="{p[0]}"\r\n\r\n{p[1]}\r\n'.encode()
        else:
            out += (f'Content-Disposition: form-data; name="{p[0]}"; filename="{p[1]}"\r\n'
                    "Content-Type: image/png\r\n\r\n").encode() + p[2] + b"\r\n"
    return out + f"--{boundary}--\r\n".encode(), {
        "Content-Type": f"multipart/form-data; boundary={boundary}", "X-Veetance": "1"}


def png(width, height, colour=(200, 30, 30), rows=None):
    """An RGB picture: of one colour, or of the bytes in rows."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data +
                struct.pack(">I", zlib.crc32(kind + data)))
    n = 3 * width
    rows = rows or bytes(colour) * width * height
    rows = b"".join(b"\0" + rows[i * n:(i + 1) * n] for i in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def read(path):
    with open(path, "rb") as f:
        return f.read()


def b64(data):
    return base64.b64encode(data).decode()


class Worker:
    """`veetance worker` on the loopback; .there is False where ggml's RPC backend is not installed."""

    def __init__(self, program):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.program, self.address = program, f"127.0.0.1:{self.port}"
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "worker", "--listen", self.address, "--device", "cpu", "--threads", "1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: self.process.poll() is not None or self.listens())
        self.there = self.process.poll() is None

    def listens(self):
        with open("/proc/net/tcp", encoding="ascii") as f:
            return any(f"0100007F:{self.port:04X} " in line and " 0A " in line for line in f)

    def kill(self):
        self.process.kill()
        self.process.wait()
        until(lambda: not self.listens())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def run_all(names):
    """Runs the test functions whose names begin with test_, with the program given on the command line."""
    program = sys.argv[1]
    only = sys.argv[2:]
    bad = 0
    for name, f in list(names.items()):
        if not name.startswith("test_") or (only and name not in only):
            continue
        start = time.time()
        try:
            f(program)
            print(f"ok    {name}  {time.time() - start:.1f} s", flush=True)
        except Exception:  # pylint: disable=broad-except
            import traceback
            traceback.print_exc()
            print(f"FAIL  {name}", flush=True)
            bad += 1
    sys.exit(1 if bad else 0)
