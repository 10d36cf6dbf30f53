"""Who may ask: Host, Origin, content types, tokens, sizes, and text that is no HTTP."""

import gzip
import os
import socket
import struct
import subprocess
import time
import zlib

from support import Server, b64, form, png, run_all

JSON = {"Content-Type": "application/json"}


def test_host_must_be_ours(program):
    with Server(program) as s:
        own = [f"127.0.0.1:{s.port}", f"localhost:{s.port}", f"[::1]:{s.port}", f"LocalHost:{s.port}"]
        for host in own:
            assert s.get("/healthz", host=host).status == 200, host
        for host in ["evil.example", f"evil.example:{s.port}", "127.0.0.1", "127.0.0.1:1",
                     f"127.0.0.1:{s.port}.evil.example", f"localhost.evil.example:{s.port}",
                     f"192.168.1.2:{s.port}", ""]:
            for path in ["/healthz", "/v1/models", "/docs", "/v1/telemetry/events"]:
                assert s.get(path, host=host).status in (400, 421), (host, path)
        assert b" 400 " in s.raw(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")


def test_origin_must_be_ours(program):
    with Server(program) as s:
        ours = f"http://127.0.0.1:{s.port}"
        assert s.get("/v1/models", headers={"Origin": ours}).status == 200
        assert s.post("/v1/models/unload", {}, headers={"Origin": ours}).status == 200
        for origin in ["null", "http://evil.example", ours + ".evil.example", ours + "0", "http://127.0.0.1",
                       f"https://127.0.0.1:{s.port}", f"http://localhost:{s.port}", "",
                       f"http://127.0.0.1:{s.port + 1}", "file://"]:
            for method, path in [("GET", "/v1/models"), ("POST", "/v1/models/unload"), ("OPTIONS", "/v1/models")]:
                a = s.request(method, path, {} if method == "POST" else None, headers={"Origin": origin})
                assert a.status == 403, (origin, method, a)
                assert "Access-Control-Allow-Origin" not in a.headers
        a = s.request("OPTIONS", "/v1/generate", headers={"Origin": ours})
        assert a.status == 204 and "POST" in a.headers["Allow"]
        assert "Access-Control-Allow-Origin" not in a.headers


def test_other_sites_may_only_navigate(program):
    with Server(program) as s:
        nav = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert s.get("/docs", headers=nav).status == 200
        assert s.get("/v1/models", headers={"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}).status == 200
        assert s.get("/v1/models", headers={"Sec-Fetch-Site": "none"}).status == 200
        for site in ["cross-site", "same-site"]:
            for mode in ["no-cors", "cors"]:
                h = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
                assert s.get("/v1/models", headers=h).status == 403
        assert s.post("/v1/models/unload", {}, headers=nav).status == 403


def test_simple_content_types_change_nothing(program):
    with Server(program) as s:
        body = b'{"prompt":"x"}'
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
                     "text/plain;application/json"]:
            a = s.request("POST", "/v1/generate", body, headers={"Content-Type": kind, "X-Veetance": None})
            assert a.status in (403, 415), (kind, a)
        b, h = form(("file", "a.png", png(8, 8)))
        del h["X-Veetance"]
        c = s.raw(b"POST /v1/assets HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: %s\r\nContent-Length: %d\r\n"
                  b"Connection: close\r\n\r\n%s" % (s.port, h["Content-Type"].encode(), len(b), b))
        assert b" 403 " in c.split(b"\r\n")[0], c
        c = s.raw(b"POST /v1/models/unload HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 0\r\n"
                  b"Origin: http://127.0.0.1:%d\r\nConnection: close\r\n\r\n" % (s.port, s.port))
        assert b" 403 " in c.split(b"\r\n")[0], c
        assert s.get("/v1/jobs").json()["jobs"] == []
        assert s.get("/v1/assets").json()["assets"] == []
        h["X-Veetance"] = "1"
        assert s.post("/v1/assets", b, headers=h).status == 201


def test_get_changes_nothing(program):
    with Server(program) as s:
        for path in ["/v1/generate", "/v1/models/unload", "/v1/models/micro-klein/load", "/v1/jobs/x/again",
                     "/sdapi/v1/txt2img", "/v1/images/generations"]:
            for method in ["GET", "HEAD"]:
                a = s.request(method, path)
                assert a.status in (404, 405), (path, a)


def test_token_on_every_request(program):
    with Server(program) as probe:
        path = os.path.join(probe.dir, "token")
        with open(path, "w", encoding="ascii") as f:
            f.write("0123456789abcdef0123456789abcdef\n")
        os.chmod(path, 0o600)
        token = "0123456789abcdef0123456789abcdef"
        with Server(program, "--token", path) as s:
            assert s.get("/healthz").status == 200
            for headers in [{}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer " + token[:-1]},
                            {"Authorization": "Bearer " + token + "0"}, {"Authorization": "Basic " + token},
                            {"Authorization": "Bearer "}, {"Cookie": "veetance_token=x"}]:
                for p in ["/v1/models", "/docs", "/nothing", "/version", "/openapi.json", "/metrics"]:
                    a = s.get(p, headers=headers)
                    assert a.status == 401, (headers, p, a)
                    assert "Bearer" in a.headers["WWW-Authenticate"]
            assert s.get("/v1/models", headers={"Authorization": "Bearer " + token}).status == 200
            assert s.get("/v1/models", headers={"Cookie": "veetance_token=" + token}).status == 200
            a = s.get("/docs?token=" + token)
            assert a.status == 200 and "SameSite=Strict" in a.headers["Set-Cookie"]
            assert "HttpOnly" in a.headers["Set-Cookie"]
            assert s.post("/v1/models/unload?token=" + token, {}).status == 401
            for p in ["/", "/app.js", "/app.css", "/icon.svg", "/?token=wrong"]:
                a = s.get(p)
                assert a.status == 200 and "Set-Cookie" not in a.headers, (p, a)
            assert "veetance_token=" in s.get("/?token=" + token).headers["Set-Cookie"]
            a = s.get("/v1/models", headers={"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"})
            assert a.status == 401 and a.headers.get_all("WWW-Authenticate") == ['Bearer realm="veetance"'], a.headers
            assert "Basic" in "".join(s.get("/docs").headers.get_all("WWW-Authenticate")), "a browser asks for the token"


def test_other_addresses_need_a_token(program):
    for address in ["0.0.0.0:0", "[::]:0"]:
        r = subprocess.run([program, "serve", "--listen", address], capture_output=True, timeout=60, check=False)
        assert r.returncode == 2 and b"--token" in r.stderr, r
    for address in ["example.org:80", "127.0.0.1", "127.0.0.1:99999", ":80", "1.2.3:80"]:
        r = subprocess.run([program, "serve", "--listen", address], capture_output=True, timeout=60, check=False)
        assert r.returncode == 2, r


def test_pages_may_load_nothing_foreign(program):
    with Server(program) as s:
        a = s.get("/docs")
        policy = a.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert "frame-ancestors 'none'" in policy
        assert b"//" not in a.body.replace(b"<!doctype", b"")
        assert a.headers["X-Content-Type-Options"] == "nosniff"
        assert s.get("/v1/models").headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_no_paths_from_clients(program):
    with Server(program) as s:
        for model in ["/etc", "../../etc", "micro-klein/../micro-klein", os.path.join(s.env["VEETANCE_MODELS"], "micro-klein")]:
            a = s.post("/v1/generate", {"prompt": "x", "model": model})
            assert a.status == 422 and a.json()["field"] == "model", (model, a)
        for path in ["/v1/assets/../../etc/passwd", "/v1/assets/%2e%2e%2fetc%2fpasswd", "/v1/jobs/..",
                     "/v1/assets/%00", "/v1/assets/%zz", "/docs/../v1/models", "/v1/projects/%2fetc"]:
            assert s.get(path).status in (400, 404), path
        for member in ["trace_path", "cache_dir", "output"]:
            a = s.post("/v1/generate", {"prompt": "x", member: "/tmp/x"})
            assert a.status == 422 and a.json()["field"] == member


def test_sizes_are_bounded(program):
    with Server(program) as s:
        big = b'{"prompt":"' + b"x" * (7 << 20) + b'"}'
        a = s.post("/v1/generate", big, headers=JSON)
        assert a.status == 413, a
        a = s.request("PUT", "/v1/budget", b'{"budget":"' + b"1" * (2 << 20) + b'"}', headers=JSON)
        assert a.status == 413, a
        head = b"POST /v1/assets HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: image/png\r\n" % s.port
        c = s.raw(head + b"Content-Length: 99999999999\r\n\r\n")
        assert b" 413 " in c.split(b"\r\n")[0], c
        c = s.raw(b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b" 41" in c.split(b"\r\n")[0] or b" 431 " in c.split(b"\r\n")[0] or c == b"", c[:80]
        deep = b"[" * 100000
        assert s.post("/v1/generate", deep, headers=JSON).status == 400
        assert s.get("/healthz").status == 200


def test_not_pictures_are_refused(program):
    with Server(program) as s:
        for data in [b"GIF89a" + b"\0" * 100, b"\x89PNG\r\n\x1a\n" + b"\0" * 100, png(8, 8)[:-20], b"\0", b"<svg/>"]:
            a = s.post("/v1/assets", data, headers={"Content-Type": "image/png"})
            assert a.status == 422, a
        bomb = png(8, 8)
        bomb = bomb[:16] + b"\x00\x01\x00\x00\x00\x01\x00\x00" + bomb[24:]
        assert s.post("/v1/assets", bomb, headers={"Content-Type": "image/png"}).status in (413, 422)
        assert s.get("/v1/assets").json()["assets"] == []


def test_bombs_are_refused(program):
    """What unpacks to far more than it says: refused by what is read until then, and nothing is kept."""
    with Server(program) as s:
        extra = zlib.compressobj(9)
        rows = extra.compress(bytes(8 * 25) + bytes(64 << 20)) + extra.flush()
        good = png(8, 8)
        start, end = good.index(b"IDAT") - 4, good.index(b"IEND") - 4
        idat = struct.pack(">I", len(rows)) + b"IDAT" + rows + struct.pack(">I", zlib.crc32(b"IDAT" + rows))
        for data in [good[:start] + idat + good[end:]]:
            a = s.post("/v1/assets", data, headers={"Content-Type": "image/png"})
            assert a.status == 422 and "beyond" in a.json()["detail"], a
            a = s.post("/sdapi/v1/img2img", {"prompt": "x", "init_images": [b64(data)]})
            assert a.status == 422 and a.json()["field"] == "init_images[0]", a
        packed = gzip.compress(b'{"prompt":"' + b"x" * (64 << 20) + b'"}')
        a = s.post("/v1/generate", packed, headers={**JSON, "Content-Encoding": "gzip"})
        assert a.status == 415 and a.json()["field"] == "Content-Encoding", a
        for deep in (b'{"prompt":' + b"[" * 500000, b'{"a":' * 200000, b'{"prompt":' + b'[{"a":' * 100000):
            assert s.post("/v1/generate", deep, headers=JSON).status == 400
        assert s.get("/v1/assets").json()["assets"] == []
        assert s.get("/v1/jobs").json()["jobs"] == []


def test_garbage_does_not_hurt(program):
    with Server(program) as s:
        good = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % s.port
        for data in [b"\0" * 1000, b"\r\n" * 1000, os.urandom(4096), b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                     b"POST /v1/generate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                     b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                     good + b"\xff\xfe garbage\r\n\r\n" + good, good * 50 + os.urandom(100)]:
            s.raw(data, seconds=0.5)
        answers = s.raw(good * 20 + good.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert answers.count(b'{"status":"ok"}') == 21, answers.count(b'{"status":"ok"}')


def test_slow_clients_do_not_block(program):
    with Server(program) as s:
        slow = []
        for i in range(1000):
            c = socket.create_connection(("127.0.0.1", s.port), timeout=10)
            c.sendall(b"GET /healthz HT" if i % 2 else b"POST /v1/assets HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                      b"X-Veetance: 1\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nabc" % s.port)
            slow.append(c)
        start = time.time()
        for _ in range(20):
            assert s.get("/healthz", timeout=5).status == 200
        assert time.time() - start < 5
        for c in slow:
            c.close()
        assert s.get("/healthz").status == 200
        assert [f for _, _, fs in os.walk(os.path.join(s.store, "tmp")) for f in fs] == [] or time.sleep(1) is None


if __name__ == "__main__":
    run_all(globals())
