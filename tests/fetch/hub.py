"""A hub and its storage host, played by two HTTP servers of the standard library, with faults on demand.

The hub listens on 127.0.0.1, the storage host answers to the name localhost on another port: two origins. The
hub answers REPO/resolve/REV/PATH; a file of kind "lfs" is a redirect to the storage host with a signed link
that expires, one of kind "small" is sent at once with git's name for it as ETag.

Whatever asks the storage host with an Authorization header is written down in Hub.leaks.
"""

import hashlib
import http.server
import random
import socketserver
import threading
import time
import urllib.parse


class File:
    """One file of a repository, and what goes wrong with it."""

    def __init__(self, data, kind="lfs", **faults):
        self.data = data
        self.kind = kind
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        self.gets = 0
        self.heads = 0
        self.token = faults.pop("token", None)  # who may have it; None: everybody
        self.gated = faults.pop("gated", False)
        self.drop = faults.pop("drop", 0)  # so many answers break off at a random place
        self.flip = faults.pop("flip", 0)  # so many answers have one wrong byte
        self.busy = faults.pop("busy", 0)  # so many answers are 429 with Retry-After: 1
        self.limited = faults.pop("limited", 0)  # so many answers are 429 with RateLimit's wait of a second
        self.cached = faults.pop("cached", False)  # a small file by the hop over /api/resolve-cache
        self.refusal = faults.pop("refusal", None)  # the hub's own words on 401 and 403
        self.fail = faults.pop("fail", 0)  # so many answers are 503
        self.expire = faults.pop("expire", 0)  # links are good for so many answers; 0: for ever
        self.short = faults.pop("short", 0)  # so many answers announce and send too few bytes
        self.long = faults.pop("long", 0)  # so many answers send more than announced
        self.ranges = faults.pop("ranges", True)
        self.status = faults.pop("status", 0)  # the storage host always answers so
        self.rate = faults.pop("rate", 0)  # bytes a second of one answer; 0: as fast as it goes
        self.swap_after = faults.pop("swap_after", 0)  # after so many answers it is another file
        self.swap_to = faults.pop("swap_to", None)
        self.etag_flaps = faults.pop("etag_flaps", 0)  # so many answers have another ETag
        self.no_etag = faults.pop("no_etag", False)
        self.announced = faults.pop("announced", None)  # the size the hub says, when it lies
        self.lie = faults.pop("lie", None)  # the SHA-256 the hub says, when it lies
        self.redirect = faults.pop("redirect", None)  # another address instead of the storage host's
        assert not faults, faults

    def replace(self, data):
        self.data = data
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # clients are killed on purpose


class Hub:
    def __init__(self, seed=1):
        self.files = {}  # (repo, path) -> File
        self.leaks = []
        self.requests = []  # (server, method, path)
        self.lock = threading.Lock()
        self.random = random.Random(seed)
        self.links = {}  # signature -> answers left
        self.missing_repos = set()
        self.commit = "0123456789abcdef0123456789abcdef01234567"
        self.hub = self.start("127.0.0.1", HubHandler)
        self.storage = self.start("127.0.0.1", StorageHandler)
        self.url = "http://127.0.0.1:%d" % self.hub.server_address[1]
        self.storage_url = "http://localhost:%d" % self.storage.server_address[1]

    def start(self, host, handler):
        server = Server((host, 0), handler)
        server.owner = self
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server

    def put(self, repo, path, data, **faults):
        file = File(data, **faults)
        self.files[repo, path] = file
        return file

    def close(self):
        for server in (self.hub, self.storage):
            server.shutdown()
            server.server_close()

    def take(self, file, fault):
        """One of the faults that are left, or none."""
        with self.lock:
            left = getattr(file, fault)
            if left > 0:
                setattr(file, fault, left - 1)
            return left > 0

    def sign(self, file):
        with self.lock:
            signature = "%016x" % self.random.getrandbits(64)
            self.links[signature] = file.expire or 1 << 30
            return signature

    def link_is_good(self, signature):
        with self.lock:
            left = self.links.get(signature, 0)
            if left > 0:
                self.links[signature] = left - 1
            return left > 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_name = ""

    def log_message(self, *args):
        pass

    def note(self):
        self.owner = self.server.owner
        with self.owner.lock:
            self.owner.requests.append((self.server_name, self.command, self.path))

    def answer(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and body:
            self.wfile.write(body)

    def send_file(self, file, etag):
        """The file or the part asked for, with whatever is wrong with it."""
        owner = self.owner
        with owner.lock:
            file.gets += 1
            if file.swap_after and file.gets > file.swap_after and file.swap_to is not None:
                file.replace(file.swap_to)
                file.swap_to = None
        data = file.data
        if file.status:
            return self.answer(file.status, body=b"no")
        if owner.take(file, "busy"):
            return self.answer(429, [("Retry-After", "1")], b"slow down")
        if owner.take(file, "limited"):
            limit = [("RateLimit", '"resolvers";r=0;t=1'), ("RateLimit-Policy", '"fixed window";"resolvers";q=3000;w=300')]
            return self.answer(429, limit, b"slow down")
        if owner.take(file, "fail"):
            return self.answer(503, body=b"oops")
        first, last, status = 0, len(data) - 1, 200
        wanted = self.headers.get("Range")
        if wanted and file.ranges and data:
            a, b = wanted.split("=")[1].split("-")
            first, last, status = int(a), min(int(b or last), last), 206
            if first > last:
                return self.answer(416, [("Content-Range", "bytes */%d" % len(data))])
        body = data[first : last + 1]
        length = len(body)
        if owner.take(file, "flip") and body:
            at = owner.random.randrange(len(body))
            body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        if owner.take(file, "short") and length > 1:
            body, length = body[: length // 2], length // 2
        if owner.take(file, "long"):
            body, length = body + b"surplus", length + 7
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        if status == 206:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (first, last, len(data)))
        if owner.take(file, "etag_flaps"):
            self.send_header("ETag", '"flap-%d"' % file.gets)
        elif not file.no_etag:
            self.send_header("ETag", '"%s"' % etag)
        self.end_headers()
        self.send_body(file, body)

    def send_body(self, file, body):
        if self.command == "HEAD":
            return
        if self.owner.take(file, "drop"):
            self.wfile.write(body[: self.owner.random.randrange(len(body) + 1)])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        view = memoryview(body)
        piece = 1 << 20 if not file.rate else max(4096, file.rate // 50)
        for at in range(0, len(view), piece):
            self.wfile.write(view[at : at + piece])
            if file.rate:
                time.sleep(piece / file.rate)


class HubHandler(Handler):
    server_name = "hub"

    def do_HEAD(self):
        self.resolve()

    def do_GET(self):
        self.resolve()

    def resolve(self):
        self.note()
        owner = self.owner
        parts = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).lstrip("/").split("/")
        if parts[:3] == ["api", "resolve-cache", "models"] and len(parts) > 6:
            return self.send_cached("/".join(parts[3:5]), "/".join(parts[6:]))
        if len(parts) < 5 or parts[2] != "resolve":
            return self.answer(404)
        repo, path = "/".join(parts[:2]), "/".join(parts[4:])
        if repo in owner.missing_repos:
            return self.answer(401, [("X-Error-Code", "RepoNotFound"), ("X-Error-Message", "Repository not found")])
        file = owner.files.get((repo, path))
        if file is None:
            return self.answer(404, [("X-Error-Code", "EntryNotFound"), ("X-Error-Message", "Entry not found")])
        given = self.headers.get("Authorization")
        if file.token and given != "Bearer " + file.token:
            words = file.refusal or "Access to model %s is restricted" % repo
            gated = [("X-Error-Code", "GatedRepo"), ("X-Error-Message", words)]
            unsound = given is None or given == "Bearer unsound-token"
            return self.answer(401 if unsound else 403, gated if file.gated else [])
        if self.command == "HEAD":
            file.heads += 1
        headers = [("X-Repo-Commit", owner.commit)]
        if file.kind == "small" and file.cached:
            hop = "/api/resolve-cache/models/%s/%s/%s?etag=%%22%s%%22" % (repo, owner.commit, path, file.git)
            return self.answer(307, headers + [("Location", hop)])
        if file.kind == "small":
            return self.send_small(file, headers)
        target = file.redirect or "%s/blob/%s?path=%s&repo=%s" % (
            owner.storage_url,
            owner.sign(file),
            urllib.parse.quote(path, safe=""),
            urllib.parse.quote(repo, safe=""),
        )
        size = file.announced if file.announced is not None else len(file.data)
        headers += [
            ("X-Linked-Size", str(size)),
            ("X-Linked-ETag", '"%s"' % (file.lie or file.sha256)),
            ("ETag", '"%s"' % file.sha256),
            ("Location", target),
        ]
        self.answer(302, headers)

    def send_cached(self, repo, path):
        file = self.owner.files.get((repo, path))
        if file is None:
            return self.answer(404)
        self.send_small(file, [("X-Repo-Commit", self.owner.commit)])

    def send_small(self, file, headers):
        if self.command == "HEAD":
            self.send_response(200)
            for name, value in headers + [("ETag", '"%s"' % file.git), ("Content-Length", str(len(file.data)))]:
                self.send_header(name, value)
            return self.end_headers()
        self.send_file(file, file.git)


class StorageHandler(Handler):
    server_name = "storage"

    def do_HEAD(self):
        self.note()
        self.answer(403, body=b"links are for GET")

    def do_GET(self):
        self.note()
        owner = self.owner
        if self.headers.get("Authorization") or self.headers.get("Cookie"):
            with owner.lock:
                owner.leaks.append(self.path)
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        file = owner.files.get((query.get("repo", [""])[0], query.get("path", [""])[0]))
        signature = url.path.rsplit("/", 1)[-1]
        if file is None:
            return self.answer(404)
        if not owner.link_is_good(signature):
            return self.answer(403, body=b"<Error>Request has expired</Error>")
        self.send_file(file, "s3-" + file.sha256[:16])
