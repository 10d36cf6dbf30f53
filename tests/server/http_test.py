"""HTTP itself: targets, methods, lengths, codes of errors, what stands in front of the server, and slow clients."""

import base64
import json
import os
import socket
import subprocess
import time

from support import Server, png, run_all

JSON = {"Content-Type": "application/json"}
TOKEN = "0123456789abcdef0123456789abcdef"


def raw(s, text, body=b""):
    """Status, headers and body of the first answer to these bytes."""
    got = s.raw(text.replace("\n", "\r\n").replace("HOST", f"127.0.0.1:{s.port}").encode() + body)
    head, _, rest = got.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), {k.lower(): v for k, v in (x.split(": ", 1) for x in lines[1:])}, rest


def test_absolute_targets(program):
    with Server(program) as s:
        for target, status in [("http://HOST/healthz", 200), ("HTTP://HOST/healthz", 200), ("http://HOST", 200),
                               ("http://HOST/v1/jobs?limit=1", 200), ("http://HOST/v1/jobs?limit=x", 400),
                               ("http://evil.example/healthz", 421), ("http://a@HOST/healthz", 421),
                               ("http:///healthz", 421), ("healthz", 400), ("*", 400)]:
            got = raw(s, f"GET {target} HTTP/1.1\nHost: HOST\nConnection: close\n\n")
            assert got[0] == status, (target, got)
        got = raw(s, "GET http://HOST/healthz HTTP/1.1\nHost: evil.example\nConnection: close\n\n")
        assert got[0] == 421, got


def test_unknown_methods_are_405(program):
    with Server(program) as s:
        for method in ["TRACE", "PROPFIND", "CONNECT", "BREW", "get"]:
            for path, allowed in [("/healthz", "GET, HEAD"), ("/v1/generate", "POST"), ("/v1/jobs/x", "DELETE")]:
                a = s.request(method, path, headers={"X-Veetance": None})
                assert a.status == 405 and allowed in a.headers["Allow"] and a.json()["code"] == "method", (method, a)
        assert s.request("BREW", "/nothing", headers={"X-Veetance": None}).status == 404


def test_lengths_that_differ_are_refused(program):
    with Server(program) as s:
        post = "POST /v1/generate HTTP/1.1\nHost: HOST\nContent-Type: application/json\n"
        for head, status in [("Content-Length: 2\nContent-Length: 2\n", 400),
                             ("Content-Length: 2\nContent-Length: 3\n", 400),
                             ("Content-Length: 2\nTransfer-Encoding: chunked\n", 400),
                             ("Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n", 400),
                             ("Content-Length: -2\n", 400),
                             ("Content-Length: 2x\n", 400), ("Host: HOST\nContent-Length: 2\n", 400)]:
            got = raw(s, post + head + "\n", b"{}")
            assert got[0] == status, (head, got)
        for coding in ["gzip", "gzip, chunked", "identity"]:
            got = raw(s, f"{post}Transfer-Encoding: {coding}\n\n", b"{}")
            assert got[0] in (501, 400), (coding, got)  # libmicrohttpd 1.0 refuses them itself, with 400
        got = raw(s, "GET /healthz HTTP/1.1\nHost: HOST\nHost: evil.example\n\n")
        assert got[0] == 400 and json.loads(got[2])["field"] == "Host", got
        got = raw(s, "POST /v1/generate HTTP/1.1\nHost: HOST\nContent-Type: application/json\n"
                  "Transfer-Encoding: Chunked\nConnection: close\n\n", b"2\r\n{}\r\n0\r\n\r\n")
        assert got[0] == 202, got


def test_too_much_before_the_body(program):
    with Server(program) as s:
        for head, status in [("GET /" + "a" * 9000 + " HTTP/1.1\nHost: HOST\n\n", 414),
                             ("GET /healthz?" + "a" * 30000 + " HTTP/1.1\nHost: HOST\n\n", 431),
                             ("GET /healthz HTTP/1.1\nHost: HOST\nX: " + "a" * 30000 + "\n\n", 431)]:
            got = raw(s, head)
            assert got[0] == status and got[1]["content-type"] == "application/problem+json", got
            assert json.loads(got[2])["code"] == "too_large" and "limit" in json.loads(got[2])["detail"], got
        for more in ("X: " + "a" * 20000 + "\n", "X: a\n" * 300):
            assert raw(s, "GET /healthz HTTP/1.1\nHost: HOST\nConnection: close\n" + more + "\n")[0] == 200


def test_what_libmicrohttpd_refuses_itself(program):
    """Before we see it, and in its own words (docs/server.md has the list): the status is right and the connection ends."""
    with Server(program) as s:
        post = "POST /v1/generate HTTP/1.1\nHost: HOST\nContent-Type: application/json\n"
        chunked = post + "Transfer-Encoding: chunked\n\n"
        for text, statuses in [("GET /" + "a" * 200000 + " HTTP/1.1\nHost: HOST\n\n", (414, 431)),
                               ("GET / HTTP/1.1\nHost: HOST\nX: " + "a" * 200000 + "\n\n", (431,)),
                               ("GET / HTTP/1.1\nHost: HOST\n" + "X: a\n" * 5000 + "\n", (431,)),
                               ("GET / HTTP/1.1\nHost: HOST\nno colon\n\n", (400,)),
                               ("GET / HTTX/1.1\nHost: HOST\n\n", (400,)), ("GET / HTTP/0.9\nHost: HOST\n\n", (400, 505)),
                               ("GET / HTTP/2.0\nHost: HOST\n\n", (505,)),
                               (post + "Content-Length: " + "9" * 30 + "\n\n", (413,)),
                               (post + "Content-Length: many\n\n", (400,)), (chunked + "zz\n{}\n", (400,)),
                               (chunked + "f" * 30 + "\n{}\n", (413,))]:
            got = s.raw(text.replace("\n", "\r\n").replace("HOST", f"127.0.0.1:{s.port}").encode(), seconds=20)
            assert int(got.split()[1]) in statuses, (text[:80], got[:200])
        assert s.get("/healthz").status == 200


def test_every_error_has_a_code(program):
    with Server(program, "--queue", "1") as s:
        project = s.post("/v1/projects", {"name": "x", "width": 8, "height": 8}).json()["id"]
        for status, code, a in [
                (404, "not_found", s.get("/v1/nothing")), (404, "not_found", s.get("/v1/jobs/x")),
                (405, "method", s.get("/v1/generate")),
                (403, "forbidden_origin", s.get("/v1/models", headers={"Origin": "http://evil.example"})),
                (403, "forbidden_origin", s.get("/v1/models", headers={"Sec-Fetch-Site": "cross-site"})),
                (421, "forbidden_host", s.get("/v1/models", host="evil.example")),
                (413, "too_large", s.request("PUT", "/v1/budget", b"x" * (2 << 20), headers=JSON)),
                (415, "media_type", s.post("/v1/generate", b"x", headers={"Content-Type": "text/plain"})),
                (412, "precondition", s.request("PATCH", "/v1/projects/" + project, {"name": "y"},
                                                headers={"If-Match": '"99"'})),
                (400, "format", s.post("/v1/generate", b"{", headers=JSON)),
                (422, "argument", s.post("/v1/generate", {"steps": 0}))]:
            assert a.status == status and a.json()["code"] == code, (status, code, a)
            assert a.headers["Content-Type"] == "application/problem+json" and a.json()["status"] == status, a
        assert s.request("PATCH", "/v1/queue", {"paused": True}).status == 200
        assert s.post("/v1/generate", {"prompt": "x"}).status == 202
        last = s.post("/v1/generate", {"prompt": "x"})
        assert last.status == 429 and last.json()["code"] == "queue_full" and last.headers["Retry-After"], last
        for path in ("/v1/images/nothing", "/v1/images", "/v1/chat/completions", "/v1/models/none", "/v1/embeddings"):
            a = s.get(path)
            assert a.status == 404 and a.json()["error"]["code"] == "not_found" and a.json()["error"]["message"], a
        a = s.get("/v1/images/generations")
        assert a.status == 405 and a.json()["error"]["code"] == "method", a
        for j in s.get("/v1/jobs").json()["jobs"]:
            s.request("DELETE", "/v1/jobs/" + j["id"])


def test_programs_need_no_header_of_their_own(program):
    """Without a body and without a sign of a web page."""
    with Server(program) as s:
        bare = {"X-Veetance": None}
        assert s.post("/v1/models/unload", headers=bare).status == 200
        job = s.post("/v1/generate", {"prompt": "x", "steps": 1000}).json()["id"]
        assert s.request("DELETE", "/v1/jobs/" + job, headers=bare).status == 200
        project = s.post("/v1/projects", {"name": "x", "width": 8, "height": 8}).json()["id"]
        ours = f"http://127.0.0.1:{s.port}"
        for sign in ({"Origin": ours}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Mode": "cors"},
                     {"Referer": ours + "/docs"}):
            a = s.request("DELETE", "/v1/projects/" + project, headers={**bare, **sign})
            assert a.status == 403 and a.json()["code"] == "missing_header", (sign, a)
            a = s.post("/v1/models/unload", headers={**bare, **sign})
            assert a.status == 403, (sign, a)
        a = s.request("DELETE", "/v1/projects/" + project, headers={"X-Veetance": "1", "Origin": ours})
        assert a.status == 204, a
        a = s.post("/v1/models/unload", b"x=1", headers={**bare, "Content-Type": "application/x-www-form-urlencoded"})
        assert a.status == 403, a


def test_a_proxy_in_front(program):
    with Server(program, "--allow-host", "edit.example.org") as s:
        for host in ("edit.example.org", "edit.example.org:443", "Edit.Example.org:8443", f"edit.example.org:{s.port}"):
            assert s.get("/healthz", host=host).status == 200, host
            assert s.get("/v1/models", host=host, headers={"Origin": "https://" + host}).status == 200, host
            assert s.get("/v1/models", host=host, headers={"Origin": "http://" + host}).status == 200, host
        assert s.get("/v1/models", host="edit.example.org",
                     headers={"Origin": "https://edit.example.org:8443"}).status == 200
        for host in ("edit.example.org.evil.example", "x.edit.example.org", "edit.example.org:", "edit.example.org:1x",
                     "edit.example.org:443:1", "127.0.0.1:1"):
            assert s.get("/healthz", host=host).status == 421, host
        for origin in ("https://evil.example", "https://edit.example.org.evil.example", "https://edit.example.org@evil",
                       "null", "https://", "ftp://edit.example.org", "http://edit.example.org:8443"):
            a = s.get("/v1/models", host="edit.example.org", headers={"Origin": origin})
            assert a.status == 403, (origin, a)
        own = f"127.0.0.1:{s.port}"
        assert s.get("/v1/models", host=own, headers={"Origin": "https://" + own}).status == 403


def test_basic_beside_bearer(program):
    with Server(program) as probe:
        path = os.path.join(probe.dir, "token")
        with open(path, "w", encoding="ascii") as f:
            f.write(TOKEN)
        os.chmod(path, 0o600)
        with Server(program, "--token", path) as s:
            def basic(text):
                return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}
            for user in ("", "anybody", "user@example.org"):
                assert s.get("/v1/models", headers=basic(f"{user}:{TOKEN}")).status == 200, user
            for text in (TOKEN, f":{TOKEN}x", f"x:{TOKEN[:-1]}", f"{TOKEN}:", ":", "", f"a:b:{TOKEN}", f"x:{TOKEN}\0"):
                a = s.get("/v1/models", headers=basic(text))
                assert a.status == 401 and a.json()["code"] == "unauthorised", (text, a)
            assert [v.split()[0] for v in a.headers.get_all("WWW-Authenticate")] == ["Bearer", "Basic"], a.headers
            # A browser adds Basic by itself: it is no proof that a page's own script asks.
            form = {"Content-Type": "application/x-www-form-urlencoded", "X-Veetance": None}
            a = s.post("/v1/models/unload", b"a=1", headers={**form, **basic(":" + TOKEN)})
            assert a.status == 403, a


def test_head_wherever_get_is(program):
    with Server(program) as s:
        asset = s.post("/v1/assets", png(8, 8), headers={"Content-Type": "image/png"}).json()["id"]
        project = s.post("/v1/projects", {"width": 8, "height": 8, "layers": [{"asset": asset}]}).json()["id"]
        job = s.post("/v1/generate?wait=true", {"prompt": "x", "steps": 1}).json()["job"]
        fill = {"/v1/assets/{id}": asset, "/v1/projects/{id}": project, "/v1/jobs/{id}": job, "/v1/models/{id}":
                "micro-klein"}
        n = 0
        for path, operations in s.get("/openapi.json").json()["paths"].items():
            if "get" not in operations:
                continue
            for shape, value in fill.items():
                if path.startswith(shape):
                    path = path.replace("{id}", value, 1)
            if "events" in path or "{" in path:
                a = s.request("HEAD", path.replace("{", "").replace("}", ""))
                assert a.body == b"" and a.status < 500, (path, a)
                continue
            got, head = s.get(path), s.request("HEAD", path)
            assert head.status == got.status and head.body == b"", (path, head)
            assert head.headers["Content-Type"] == got.headers["Content-Type"], path
            n += 1
        assert n > 20, n


def test_ready_means_that_something_fits(program):
    with Server(program) as keep:
        disk = os.path.join(keep.dir, "disk")
        os.makedirs(disk)
        r = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True, check=False)
        if r.returncode:
            print("      skipped: no small file system can be mounted here")
            return
        try:
            with Server(program, store=os.path.join(disk, "store")) as s:
                assert s.get("/readyz").status == 200
                with open(os.path.join(disk, "filler"), "wb") as f:
                    try:
                        while True:
                            f.write(bytes(1 << 16))
                            f.flush()
                    except OSError:
                        pass
                a = s.get("/readyz")
                assert a.status == 507 and a.json()["code"] == "no_room", a
                assert s.get("/healthz").status == 200
                os.remove(os.path.join(disk, "filler"))
                assert s.get("/readyz").status == 200
        finally:
            subprocess.run(["umount", "-l", disk], check=False)


def test_slow_bodies_end(program):
    """A byte a second is not silence; it is too little all the same."""
    with Server(program) as s:
        head = (f"POST /v1/assets HTTP/1.1\r\nHost: 127.0.0.1:{s.port}\r\nContent-Type: image/png\r\n"
                "Content-Length: 100000\r\n\r\n")
        slow = socket.create_connection((s.host, s.port))
        slow.sendall(head.encode())
        ended = False
        for _ in range(120):
            try:
                slow.sendall(b"x")
                slow.setblocking(False)
                ended = slow.recv(100) == b""
            except BlockingIOError:
                pass
            except OSError:
                ended = True
            if ended:
                break
            slow.setblocking(True)
            time.sleep(0.5)
        assert ended, "it still takes a byte now and then"
        assert s.get("/healthz").status == 200


if __name__ == "__main__":
    run_all(globals())
