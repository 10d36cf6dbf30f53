"""From /openapi.json alone: valid and broken requests to every operation. No 5xx, no crash, answers as promised."""

import http.client
import json
import random

from support import Server, form, png, run_all

# What a value may be so that the test does not compute for minutes; ranges are tested by what is outside of them.
SMALL = {"width": 64, "height": 64, "steps": 2, "count": 1, "n": 1, "batch_size": 1, "n_iter": 1, "layers": 1,
         "resolution": 64, "max_new_tokens": 2, "max_tokens": 16, "model": None, "size": "64x64",
         "sd_model_checkpoint": "micro-klein", "budget": "4G", "partial_images": 1, "extend": [0, 0, 0, 8]}


class Maker:
    def __init__(self, rng, asset):
        self.rng, self.asset = rng, asset

    def valid(self, name, schema, form_field=False):
        if SMALL.get(name) is not None and fits(SMALL[name], schema):
            return SMALL[name]
        if "enum" in schema:
            return self.rng.choice(schema["enum"])
        kind = schema.get("type", "string")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "string":
            if form_field and schema.get("format") == "binary":
                return b""
            if "pattern" in schema:
                return self.asset
            n = max(int(schema.get("minLength", 0)), min(6, int(schema.get("maxLength", 6))))
            return "".join(self.rng.choice("abcdef é") for _ in range(n))[:n] or ""
        if kind == "integer":
            return self.rng.randint(int(schema.get("minimum", 0)), int(min(schema.get("maximum", 9), 2**53)))
        if kind == "number":
            return self.rng.uniform(schema.get("minimum", 0), schema.get("maximum", 1))
        if kind == "boolean":
            return self.rng.random() < 0.5
        if kind == "array":
            n = max(1, int(schema.get("minItems", 1)))
            return [self.valid("", schema["items"]) for _ in range(n)]
        if kind == "object":
            return self.object(schema, full=False)
        return None

    def object(self, schema, full):
        required = schema.get("required", [])
        out = {}
        for name, s in schema.get("properties", {}).items():
            if name in required or (full and SMALL.get(name, 0) is not None):
                out[name] = self.valid(name, s)
        return out

    def broken(self, schema):
        """Objects that are wrong in one place, with the place's name (None: anything may be said)."""
        good = self.object(schema, full=False)
        for name, s in schema.get("properties", {}).items():
            types = s.get("type", [])
            types = types if isinstance(types, list) else [types]
            for wrong in [12345678901234567890, -1, 1.5, "text", [], {}, True, [[]], "\0", {"a": [1]}]:
                if not fits(wrong, s):
                    yield dict(good, **{name: wrong}), name
            if "null" not in types and types:
                yield dict(good, **{name: None}), name
            if name in schema.get("required", []):
                yield {k: v for k, v in good.items() if k != name}, name
        if schema.get("additionalProperties") is False:
            yield dict(good, no_such_member=1), "no_such_member"


def fits(value, schema):
    types = schema.get("type")
    if types is None:
        return True
    types = types if isinstance(types, list) else [types]
    kind = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object",
            type(None): "null"}[type(value)]
    if kind == "integer" and "number" in types:
        kind = "number"
    if kind not in types:
        return False
    if "enum" in schema:
        return value in schema["enum"]
    if kind in ("integer", "number"):
        return schema.get("minimum", value) <= value <= schema.get("maximum", value)
    if kind == "string":
        return "pattern" not in schema and "\0" not in value and \
            schema.get("minLength", 0) <= len(value.encode()) <= schema.get("maxLength", 1 << 30)
    if kind == "array":
        return schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 1 << 30) and \
            all(fits(v, schema["items"]) for v in value)
    return kind != "object" or all(k in value for k in schema.get("required", [])) and \
        (schema.get("additionalProperties", True) or all(k in schema["properties"] for k in value)) and \
        all(fits(v, schema["properties"][k]) for k, v in value.items() if k in schema.get("properties", {}))


def loosely(value, schema):
    """Answers: types and required members, not ranges."""
    if "anyOf" in schema:
        return any(loosely(value, s) for s in schema["anyOf"])
    types = schema.get("type", [])
    types = types if isinstance(types, list) else [types]
    kind = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object",
            type(None): "null"}[type(value)]
    if types and kind not in types and not (kind == "integer" and "number" in types):
        return False
    if isinstance(value, dict) and "properties" in schema:
        return all(k in value for k in schema.get("required", [])) and \
            (schema.get("additionalProperties", True) or all(k in schema["properties"] for k in value)) and \
            all(loosely(v, schema["properties"][k]) for k, v in value.items() if k in schema["properties"])
    if isinstance(value, list) and schema.get("items"):
        return all(loosely(v, schema["items"]) for v in value)
    return value in schema.get("enum", [value])


def resolved(doc, node):
    """The node with what its references point to in their places."""
    if isinstance(node, list):
        return [resolved(doc, n) for n in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        at = doc
        for name in node["$ref"][2:].split("/"):
            at = at[name]
        return {**resolved(doc, at), **{k: v for k, v in node.items() if k != "$ref"}}
    return {k: resolved(doc, v) for k, v in node.items()}


class Walk:
    def __init__(self, server, rng):
        self.s, self.rng = server, rng
        doc = server.get("/openapi.json").json()
        self.doc = resolved(doc, doc)
        self.asset = server.post("/v1/assets", png(64, 64), headers={"Content-Type": "image/png"}).json()["id"]
        self.make = Maker(rng, self.asset)
        self.sent = 0

    def send(self, op, method, path, body, headers):
        self.sent += 1
        promised = op["responses"]
        stream = any("text/event-stream" in r.get("content", {}) for r in promised.values())
        if stream or (isinstance(body, dict) and body.get("stream")):
            c = http.client.HTTPConnection(self.s.host, self.s.port, timeout=60)
            c.request(method.upper(), path, json.dumps(body) if body is not None else None,
                      {"Content-Type": "application/json"} if body is not None else {})
            status = c.getresponse().status
            c.close()
            assert status < 500, (method, path, body, status)
            return status, None
        a = self.s.request(method.upper(), path, body, headers=headers)
        assert a.status < 500, (method, path, body, a)
        if a.status >= 400:
            assert a.headers["Content-Type"] == "application/problem+json", (path, a)
            p = a.json()
            assert p["status"] == a.status and p["detail"] and p["title"] and p["code"], (path, a)
            promise = promised.get(str(a.status), promised["default"])["content"]["application/problem+json"]
            assert loosely(p, promise["schema"]), (method, path, a)
            return a.status, p
        assert str(a.status) in promised or a.status in (304, 206), (method, path, a)
        content = promised.get(str(a.status), {}).get("content", {})
        if "application/json" in content and a.body:
            schema = content["application/json"]["schema"]
            assert loosely(a.json(), schema), (method, path, a, schema)
        elif content:
            kind = a.headers["Content-Type"]
            assert a.body == b"" or kind in content or kind.split("/")[0] in ("image", "application"), (path, kind)
        return a.status, None

    def path(self, path, op, wild=False):
        for p in op.get("parameters", []):
            if p["in"] == "path":
                value = self.rng.choice(["x", "%20", "a" * 300, "..", "0" * 64, "%e2%98%83", "j" + "0" * 20]) if wild \
                    else self.ids.get(path.split("/")[2] if path.count("/") > 1 else "", self.asset)
                path = path.replace("{%s}" % p["name"], value)
        return path

    def query(self, op, broken=False):
        out = []
        for p in op.get("parameters", []):
            if p["in"] == "query" and (p["required"] or broken or self.rng.random() < 0.5):
                if p["name"] in ("wait", "forget"):
                    continue
                v = self.make.valid(p["name"], p["schema"])
                v = "%2500" if broken else str(v).lower() if isinstance(v, bool) else str(v)
                out.append(f"{p['name']}={v}".replace(" ", "%20").replace("é", "%C3%A9"))
        return "?" + "&".join(out) if out else ""

    def operation(self, path, method, op):
        body = op.get("requestBody", {}).get("content", {})
        schema = body.get("application/json", {}).get("schema")
        for full in (False, True):
            good = self.make.object(schema, full) if schema else None
            if isinstance(good, dict) and "mask" in good:
                good["mask"] = None if "null" in str(schema["properties"]["mask"].get("type", "null")) else good["mask"]
            self.send(op, method, self.path(path, op) + self.query(op), good, {})
        self.send(op, method, self.path(path, op, wild=True), self.make.object(schema, False) if schema else None, {})
        status, p = self.send(op, method, self.path(path, op) + "?no_such_parameter=1", {} if schema else None, {})
        assert status in (400, 415), (path, status)
        assert p is None or p["field"] == "no_such_parameter", (path, p)
        if any(p["in"] == "query" for p in op.get("parameters", [])):
            self.send(op, method, self.path(path, op) + self.query(op, broken=True), {} if schema else None, {})
        if schema:
            self.bodies(path, method, op, schema)
        if "multipart/form-data" in body:
            data, headers = form(("file", "a.png", png(8, 8)), ("prompt", "x"), ("width", "wide"))
            self.send(op, method, self.path(path, op), data, headers)
            self.send(op, method, self.path(path, op), data[:40], headers)
        for head in ({"Content-Type": "text/plain"}, {"Content-Type": "application/xml"}, {"Content-Type": ""}):
            if method != "get":
                self.send(op, method, self.path(path, op), b"<x/>", head)

    def bodies(self, path, method, op, schema):
        json_type = {"Content-Type": "application/json"}
        for text in [b"{", b"[]", b"null", b'"x"', b"{\"a\":", b"\xff\xfe", b"{}" * 2, b"[" * 10000, b"{\"\":{}}", b"NaN"]:
            status, _ = self.send(op, method, self.path(path, op), text, json_type)
            assert 400 <= status < 500 or (text == b'{"":{}}'), (path, text, status)
        wrong = list(self.make.broken(schema))
        for value, name in self.rng.sample(wrong, min(len(wrong), 30)):
            status, p = self.send(op, method, self.path(path, op), value, {})
            assert 400 <= status < 500, (path, value, status)
            if status == 422 and name and p and "field" in p:
                assert p["field"].split("[")[0].split(".")[0] in (name, "model"), (path, value, p)

    def all(self):
        self.ids = {"jobs": "j" + "0" * 20, "models": "micro-klein", "assets": self.asset,
                    "projects": self.s.post("/v1/projects", {"width": 64, "height": 64}).json()["id"]}
        job = self.s.post("/v1/generate?wait=true", {"prompt": "x", "steps": 1, "width": 64, "height": 64, "seed": 1})
        self.ids["jobs"] = job.json()["job"]
        for path, operations in self.doc["paths"].items():
            for method, op in operations.items():
                self.operation(path, method, op)
                self.s.request("PATCH", "/v1/queue", {"paused": False})  # a later operation may wait for its job
                for state in ("queued", "running"):
                    for j in self.s.get("/v1/jobs?limit=100&state=" + state).json()["jobs"]:
                        self.s.request("DELETE", "/v1/jobs/" + j["id"])
        names = [op["operationId"] for ops in self.doc["paths"].values() for op in ops.values()]
        assert len(names) == len(set(names)), "operation ids are unique"


def test_every_operation(program):
    with Server(program, "--queue", "500") as s:
        walk = Walk(s, random.Random(1))
        walk.all()
        print(f"      {walk.sent} requests to {len(walk.doc['paths'])} paths")
        assert s.get("/healthz").status == 200
        assert s.process.poll() is None


def test_options_and_head(program):
    with Server(program) as s:
        doc = s.get("/openapi.json").json()
        for path, operations in doc["paths"].items():
            real = path.replace("{id}", "x").replace("{layer}", "x")
            a = s.request("OPTIONS", real)
            allowed = {m.strip() for m in a.headers["Allow"].split(",")}
            assert a.status == 204 and a.body == b"", (path, a)
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
                assert method in allowed or method.lower() not in operations, (path, method, allowed)
                if method not in allowed:
                    b = s.request(method, real, {} if method != "GET" else None)
                    assert b.status == 405 and b.headers["Allow"], (path, method, b)
            if "get" in operations and "events" not in path:
                g, h = s.get(real), s.request("HEAD", real)
                assert (h.status, h.body) == (g.status, b""), (path, g, h)
                if real not in ("/metrics", "/v1/telemetry"):
                    assert h.headers["Content-Length"] == g.headers["Content-Length"], (path, g.headers, h.headers)


def test_compression_ranges_and_etags(program):
    import gzip
    with Server(program) as s:
        plain = s.get("/openapi.json")
        small = s.get("/openapi.json", headers={"Accept-Encoding": "gzip"})
        assert small.headers["Content-Encoding"] == "gzip" and gzip.decompress(small.body) == plain.body
        assert len(small.body) < len(plain.body) / 4
        assert s.get("/openapi.json", headers={"If-None-Match": plain.headers["ETag"]}).status == 304
        assert s.get("/openapi.json", headers={"If-None-Match": small.headers["ETag"]}).status == 304
        assert s.get("/openapi.json", headers={"If-None-Match": '"x"'}).status == 200
        data = png(300, 200, rows=bytes(range(180)) * 1000)
        asset = s.post("/v1/assets", data, headers={"Content-Type": "image/png"}).json()["id"]
        n = len(data)
        for value, status, first, last in [("bytes=0-9", 206, 0, 9), ("bytes=10-", 206, 10, n - 1),
                                           ("bytes=-5", 206, n - 5, n - 1), (f"bytes=0-{n + 9}", 206, 0, n - 1),
                                           ("bytes=5-2", 416, 0, 0), (f"bytes={n}-", 416, 0, 0),
                                           ("bytes=-0", 416, 0, 0), ("bytes=a-b", 200, 0, n - 1),
                                           ("lines=1-2", 200, 0, n - 1), ("bytes=0-1,3-4", 200, 0, n - 1)]:
            a = s.get("/v1/assets/" + asset, headers={"Range": value})
            assert a.status == status, (value, a.status)
            if status == 416:
                assert a.headers["Content-Range"] == f"bytes */{n}"
            else:
                assert a.body == data[first:last + 1], value
            if status == 206:
                assert a.headers["Content-Range"] == f"bytes {first}-{last}/{n}"
        tag = s.get("/v1/assets/" + asset).headers["ETag"]
        assert s.get("/v1/assets/" + asset, headers={"If-None-Match": tag}).status == 304
        assert s.get("/v1/assets/" + asset, headers={"Range": "bytes=0-1", "If-Range": '"x"'}).status == 200
        assert s.get("/v1/assets/" + asset, headers={"Range": "bytes=0-1", "If-Range": tag}).status == 206


if __name__ == "__main__":
    run_all(globals())
