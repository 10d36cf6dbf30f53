"""docs/server.md as a reader takes it: every command in it is carried out, every path and option in it exists."""

import json
import os
import re
import shlex
import subprocess

from support import EDIT, SCENE, ROOT, Server, form, read, run_all

PAGE = open(os.path.join(ROOT, "docs", "server.md"), encoding="utf-8").read()
FILES = {"circle.png": EDIT, "poster.png": SCENE}


def commands():
    """Every curl line of the page, without its comment, as words."""
    out = []
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S):
        words = {}
        for line in block.splitlines():
            parts = shlex.split(line, comments=True)
            if parts and parts[0] == "curl":
                text = [re.sub(r"\$(\w)", lambda m: words[m[1]], p) for p in parts[1:]]
                out.append(text)
            elif parts:
                words.update(p.rstrip(";").split("=", 1) for p in parts)
    return out


class Curl:
    """What curl would do with these words."""

    def __init__(self, words, ids):
        self.method, self.headers, self.form, self.body, self.streams, self.path = None, {}, [], None, False, None
        it = iter(words)
        for w in it:
            if w == "-X":
                self.method = next(it)
            elif w == "-H":
                name, value = next(it).split(": ", 1)
                self.headers[name] = value
            elif w in ("-d", "--data-binary"):
                self.body = next(it)
            elif w == "-F":
                self.form.append(next(it).split("=", 1))
            elif w == "-N":
                self.streams = True
            elif w == "-o":
                next(it)
            else:
                self.path = w
        assert self.path.startswith("http://127.0.0.1:8188/"), words
        self.path = self.fill(self.path[len("http://127.0.0.1:8188"):], ids)
        if self.body and self.body.startswith("@"):
            self.body = read(FILES[self.body[1:]])
        elif self.body:
            self.body = self.fill(self.body, ids).encode()
        if self.form:
            parts = [(n, v[1:], read(FILES[v[1:]])) if v.startswith("@") else (n, v) for n, v in self.form]
            self.body, headers = form(*parts)
            self.headers.update(headers)
        self.method = self.method or ("GET" if self.body is None else "POST")

    @staticmethod
    def fill(text, ids):
        return re.sub(r"\b(ID|ASSET)\b", lambda m: ids[m[1]], text)

    def send(self, s):
        if self.streams:
            return list(s.events(self.path))
        headers = {"X-Veetance": None, **self.headers}
        return s.request(self.method, self.path, self.body, headers=headers)


def test_commands_do_what_they_say(program):
    sent = 0
    with Server(program) as s:
        ids = {"ASSET": s.upload(SCENE)}
        for words in commands():
            if "DELETE" in words:
                ids["ID"] = s.post("/v1/generate", {"prompt": "x", "steps": 1000}).json()["id"]
            c = Curl(words, ids)
            a = c.send(s)
            sent += 1
            if c.streams:
                assert a[-1][0] == "done", a
                continue
            said = (words, a)
            if c.path.startswith("/v1/caption"):
                # The embedded model was never taught to describe.
                assert a.status == 200 or "cannot describe" in a.json()["detail"], said
                continue
            assert a.status < 300, said
            if a.status == 202:
                ids["ID"] = a.json()["id"]
                if c.path == "/v1/generate":
                    assert s.wait_for(ids["ID"])["state"] == "done"
                continue
            if c.method == "DELETE":
                assert s.wait_for(ids["ID"])["state"] == "cancelled"
            assert a.headers["Content-Type"] in ("application/json", "image/png"), said
            if "wait=true" in c.path:
                j = s.get("/v1/jobs/" + a.json()["job"]).json()
                assert j["state"] == "done" and j["request"] and all(j["request"][k] == v for k, v in json.loads(c.body).items())
        for state in ("queued", "running"):
            for j in s.get("/v1/jobs?state=" + state).json()["jobs"]:
                s.request("DELETE", "/v1/jobs/" + j["id"])
    assert sent >= 11, sent


def test_paths_are_there(program):
    """Those of the tables, whole or with the parts of another in front."""
    with Server(program) as s:
        there = [re.sub(r"\{\w+\}", "ID", p) for p in s.get("/openapi.json").json()["paths"]]
        named = 0
        for row in re.findall(r"^\| (`/.*?) \|", PAGE, re.M):
            for path in re.findall(r"`([^`]+)`", row):
                named += 1
                want = path.lstrip(".").rstrip("*")
                assert any(p == want or (path != want and want in p) for p in there), path
        assert named > 20, named
        a1111 = PAGE[PAGE.index("**Automatic1111**"):]
        for row in re.findall(r"^\| (`[a-z].*?) \|", a1111, re.M):
            for name in re.findall(r"`([a-z0-9-]+)`", row):
                path = "/sdapi/v1/" + name
                assert path in there or name in ("width", "height", "mask"), name


def test_options_are_there(program):
    said = subprocess.run([program, "serve", "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) - {"--data-binary"}
    assert len(options) > 5 and all(o in said for o in options), [o for o in options if o not in said]


def test_codes_are_those_of_errors(program):
    """Every code that the page lists can be met; the statuses beside it are the server's."""
    with Server(program) as s:
        source = read(os.path.join(ROOT, "src", "http", "problem.c")).decode()
        listed = PAGE[PAGE.index("a stable `code`"):PAGE.index("else what went wrong")]
        for code in re.findall(r"`(\w+)`", listed)[1:]:
            assert f'"{code}"' in source, code
        assert s.get("/v1/nothing").json()["code"] == "not_found"


if __name__ == "__main__":
    run_all(globals())
