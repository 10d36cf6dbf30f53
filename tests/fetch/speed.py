#!/usr/bin/env python3
"""How fast veetance-fetch is beside curl: the same file from the same server on the loopback, SHA-256 on, in turns.
A measurement, not a test.

    python3 tests/fetch/speed.py PATH/veetance-fetch [MIB [ROUNDS [MBIT]]]

MBIT limits each answer to so many megabits a second (a line instead of a loopback).
"""

import hashlib
import http.server
import json
import os
import resource
import shutil
import socketserver
import statistics
import subprocess
import sys
import tempfile
import threading
import time

program = os.path.abspath(sys.argv[1])
mib = int(sys.argv[2]) if len(sys.argv) > 2 else 1024
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
mbit = int(sys.argv[4]) if len(sys.argv) > 4 else 0
work = tempfile.mkdtemp(prefix="veetance-speed-", dir=os.environ.get("TMPDIR"))
source = os.path.join(work, "source")
digest = hashlib.sha256()
with open(source, "wb") as f:
    for _ in range(mib):
        piece = os.urandom(1 << 20)
        digest.update(piece)
        f.write(piece)
size = mib << 20


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        first, last = 0, size - 1
        wanted = self.headers.get("Range")
        if wanted:
            a, b = wanted.split("=")[1].split("-")
            first, last = int(a), int(b or last)
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(last - first + 1))
        if wanted:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (first, last, size))
        self.send_header("X-Linked-ETag", '"%s"' % digest.hexdigest())
        self.send_header("X-Linked-Size", str(size))
        self.end_headers()
        if self.command == "HEAD":
            return
        with open(source, "rb") as f:
            f.seek(first)
            while first <= last:
                piece = f.read(min(last - first + 1, 1 << 18))
                if mbit:
                    time.sleep(len(piece) * 8 / (mbit * 1e6))
                self.wfile.write(piece)
                first += len(piece)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = "http://127.0.0.1:%d" % server.server_address[1]
catalogue = {
    "format": 1,
    "hub": url,
    "licences": {"l": {"name": "L", "url": "-"}},
    "sources": {"s": {"repo": "o/r", "licence": "l"}},
    "sets": [{"name": "one", "title": "t", "components": [{"name": "c", "choices": [{"name": "a", "source": "s", "files": ["f"]}]}]}],
}
with open(os.path.join(work, "catalogue.json"), "w") as f:
    json.dump(catalogue, f)
env = dict(os.environ, VEETANCE_CATALOGUE=os.path.join(work, "catalogue.json"), HOME=work, no_proxy="*")
env.pop("HF_ENDPOINT", None)


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(command):
    """MB a second, and the client's processor seconds a GB."""
    start, cpu = time.monotonic(), cpu_seconds()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return size / (time.monotonic() - start) / 1e6, (cpu_seconds() - cpu) / size * 1e9


results = {"curl": [], "curl+sha256sum": [], "fetch, 1 connection": [], "fetch, 8 connections": []}
target, folder = os.path.join(work, "curl"), os.path.join(work, "fetch")
try:
    for _ in range(rounds):
        results["curl"].append(timed(["curl", "-s", "-o", target, url + "/o/r/resolve/main/f"]))
        os.remove(target)
        results["curl+sha256sum"].append(timed(["sh", "-c", "curl -s -o '%s' %s/o/r/resolve/main/f && sha256sum '%s'" % (target, url, target)]))
        os.remove(target)
        for jobs in (1, 8):
            name = "fetch, %d connection%s" % (jobs, "s" if jobs > 1 else "")
            results[name].append(timed([program, "get", "one", "--to", folder, "--accept-licence", "--quiet", "--jobs", str(jobs)]))
            shutil.rmtree(folder)
finally:
    shutil.rmtree(work)
base = statistics.median(v[0] for v in results["curl"])
for name, values in results.items():
    m = statistics.median(v[0] for v in values)
    cpu = statistics.median(v[1] for v in values)
    print("%-22s %7.0f MB/s  %.2f of curl  %.2f s/GB of processor  (%s)" % (name, m, m / base, cpu, " ".join("%.0f" % v[0] for v in values)))
