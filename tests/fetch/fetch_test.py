#!/usr/bin/env python3
"""veetance-fetch against a hub that misbehaves: it ends with the right bytes or the right words, and whatever
happens, a file that has its name has its bytes. Needs nothing but the standard library.

    python3 tests/fetch/fetch_test.py PATH/veetance-fetch [TEST...]
"""

import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import hub as hubs

PROGRAM = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else "veetance-fetch"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOKEN = "hf_secretsecretsecret"
REPO = "owner/model"
MB = 1 << 20


def noise(n, seed=0):
    return random.Random(seed).randbytes(n)


class Case(unittest.TestCase):
    def setUp(self):
        start = time.monotonic()
        if os.environ.get("FETCH_TEST_TIMES"):
            self.addCleanup(lambda: print("%5.1f s  %s" % (time.monotonic() - start, self.id())))
        self.work = tempfile.mkdtemp(prefix="veetance-fetch-")
        self.addCleanup(shutil.rmtree, self.work, True)
        self.hub = hubs.Hub(seed=hash(self.id()) & 0xFFFF)
        self.addCleanup(self.hub.close)
        self.dir = os.path.join(self.work, "model")
        self.files = []
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": os.path.join(self.work, "home"),
            "VEETANCE_CATALOGUE": os.path.join(self.work, "catalogue.json"),
            "HF_ENDPOINT": self.hub.url,
            "no_proxy": "*",
            "LC_ALL": "C",
            # A sanitizer's finding must not look like an ordinary failure.
            "ASAN_OPTIONS": "exitcode=99",
            "UBSAN_OPTIONS": "exitcode=99",
            "LSAN_OPTIONS": "exitcode=99",
        }
        os.mkdir(self.env["HOME"])

    # ---- the stage

    def add(self, path, data, listed=None, **faults):
        """A file at the hub and in the set."""
        entry = {"path": path}
        entry.update(listed or {})
        self.files.append(entry)
        return self.hub.put(REPO, path, data, **faults)

    def write_catalogue(self, gated=False, extra=()):
        transformer = [{"name": "bf16", "source": "s", "files": self.files or [{"path": "none"}]}]
        transformer += extra
        catalogue = {
            "format": 1,
            "hub": "https://hub.invalid",
            "licences": {"free": {"name": "Free Licence", "url": "https://licence.invalid/free"}},
            "sources": {"s": {"repo": REPO, "licence": "free", "gated": gated}},
            "sets": [
                {
                    "name": "tiny",
                    "title": "a test",
                    "settings": {"pipeline": "klein", "defaults": {"steps": 4}},
                    "components": [{"name": "transformer", "choices": transformer}],
                }
            ],
        }
        with open(self.env["VEETANCE_CATALOGUE"], "w") as f:
            json.dump(catalogue, f)

    def run_program(self, *args, stdin=None, timeout=60):
        done = subprocess.run(
            [PROGRAM, *args], env=self.env, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout
        )
        self.out, self.err = done.stdout.decode(), done.stderr.decode()
        self.assertNotIn(TOKEN, self.out + self.err)
        self.assertNotIn("Sanitizer", self.err)
        return done.returncode

    def get(self, *args, tries=4):
        if not os.path.exists(self.env["VEETANCE_CATALOGUE"]):
            self.write_catalogue()
        return self.run_program("get", "tiny", "--to", self.dir, "--accept-licence", "--tries", str(tries), *args)

    def good(self, *args, **kw):
        code = self.get(*args, **kw)
        self.assertEqual(code, 0, self.err)
        self.check_files()
        self.assertFalse(os.path.exists(os.path.join(self.dir, ".fetch")))

    def bad(self, words, *args, code=1, **kw):
        self.assertEqual(self.get(*args, **kw), code, self.err)
        for w in [words] if isinstance(words, str) else words:
            self.assertIn(w, self.err)
        self.check_files(partly=True)

    def check_files(self, partly=False):
        """Every file that has its name has its bytes, and all of them unless partly."""
        for entry in self.files:
            path = os.path.join(self.dir, entry.get("to", entry["path"]))
            if not os.path.exists(path):
                self.assertTrue(partly or entry.get("optional"), path + " is missing")
                continue
            with open(path, "rb") as f:
                self.assertEqual(hashlib.sha256(f.read()).hexdigest(), self.hub.files[REPO, entry["path"]].sha256, path)
        self.assertEqual(self.hub.leaks, [])

    def standard(self, **faults):
        self.add("model_index.json", b'{"_class_name": "Flux2KleinPipeline"}\n', kind="small")
        self.add("vae/config.json", b"{}", kind="small")
        return self.add("transformer/weights.safetensors", noise(8 * MB), **faults)


class Right(Case):
    """The right bytes."""

    def test_a_set_arrives(self):
        self.standard()
        self.good("--json")
        self.assertEqual(json.loads(self.out)["files"], 3)
        with open(os.path.join(self.dir, "veetance.json")) as f:
            self.assertEqual(json.load(f), {"name": "tiny", "pipeline": "klein", "defaults": {"steps": 4}})
        with open(os.path.join(self.dir, "fetch.json")) as f:
            record = json.load(f)
        self.assertEqual(record["files"][0]["commit"], self.hub.commit)
        self.assertEqual(self.run_program("verify", self.dir), 0)

    def test_small_files_come_by_way_of_the_hubs_cache(self):
        self.standard()
        self.add("scheduler/scheduler_config.json", b'{"shift": 3.0}', kind="small", cached=True)
        self.good()
        with open(os.path.join(self.dir, "scheduler/scheduler_config.json"), "rb") as f:
            self.assertEqual(f.read(), b'{"shift": 3.0}')
        self.assertTrue(any("/api/resolve-cache/" in path for _, _, path in self.hub.requests))

    def test_a_rate_limit_is_waited_for(self):
        self.standard(limited=1)
        before = time.monotonic()
        self.good()
        self.assertGreaterEqual(time.monotonic() - before, 1)

    def test_a_second_get_asks_nobody(self):
        self.standard()
        self.good()
        self.hub.requests.clear()
        self.good()
        self.assertEqual(self.hub.requests, [])

    def test_empty_and_odd_sizes(self):
        for n in (0, 1, 511, 65536, 262144, 262145, 3 * MB + 17):
            self.add("f%d.bin" % n, noise(n, n), kind="small" if n % 2 else "lfs")
        self.good()

    def test_names_are_quoted(self):
        self.add("a folder/f+ü%20#?.bin", noise(1000))
        self.good()

    def test_dropped_connections(self):
        self.standard(drop=12)
        self.good("--jobs", "4", tries=20)

    def test_server_errors_pass(self):
        self.standard(fail=2)
        self.good()

    def test_retry_after_is_heeded(self):
        self.standard(busy=1)
        start = time.monotonic()
        self.good("--jobs", "1")
        self.assertGreater(time.monotonic() - start, 0.9)

    def test_expired_links_are_renewed(self):
        file = self.standard(expire=2)
        self.good("--jobs", "2", tries=12)
        self.assertGreater(file.heads, 1)

    def test_one_flipped_byte_is_noticed(self):
        self.standard(flip=1)
        self.good()
        self.assertIn("starting over", self.err)

    def test_one_flipped_byte_in_a_small_file_is_noticed(self):
        self.add("config.json", b'{"a": 1234567890}', kind="small", flip=1)
        self.good()
        self.assertIn("starting over", self.err)

    def test_short_and_long_answers(self):
        self.standard(short=2, long=2)
        self.good(tries=12)

    def test_a_server_without_ranges(self):
        self.standard(ranges=False)
        self.good()

    def test_a_server_without_ranges_that_drops(self):
        self.standard(ranges=False, drop=2)
        self.good(tries=8)

    def test_etags_that_disagree(self):
        self.standard(etag_flaps=6)
        self.good(tries=20)

    def test_the_file_changes_on_the_way(self):
        file = self.standard(swap_after=3)
        file.swap_to = noise(len(file.data), 99)
        self.good("--jobs", "2", tries=12)

    def test_shards_of_an_index(self):
        shards = {"m-00001-of-00002.safetensors": noise(300000, 1), "m-00002-of-00002.safetensors": noise(200000, 2)}
        index = {"weight_map": {"a": "m-00001-of-00002.safetensors", "b": "m-00002-of-00002.safetensors", "c": "m-00001-of-00002.safetensors"}}
        self.add("t/m.index.json", json.dumps(index).encode(), {"shards": True}, kind="small")
        for name, data in shards.items():
            self.hub.put(REPO, "t/" + name, data)
        self.good()
        for name, data in shards.items():
            with open(os.path.join(self.dir, "t", name), "rb") as f:
                self.assertEqual(f.read(), data)

    def test_an_index_cannot_reach_out(self):
        index = {"weight_map": {"a": "../../evil"}}
        self.add("t/m.index.json", json.dumps(index).encode(), {"shards": True}, kind="small")
        self.bad("not beside it")

    def test_an_optional_file_may_be_absent(self):
        self.standard()
        self.files.append({"path": "LICENSE.md", "optional": True})
        self.good()

    def test_choices(self):
        self.standard()
        self.hub.put(REPO, "m-Q5_0.gguf", noise(5000, 5))
        q5 = {"name": "Q5_0", "source": "s", "weights": "m-Q5_0.gguf", "files": ["m-Q5_0.gguf"]}
        self.write_catalogue(extra=[q5])
        self.assertEqual(self.get("--quant", "q5_0"), 0, self.err)
        with open(os.path.join(self.dir, "veetance.json")) as f:
            self.assertEqual(json.load(f)["components"], {"transformer": "m-Q5_0.gguf"})
        self.bad("there is no transformer 'Q9'", "--quant", "Q9", code=2)

    def test_a_file_that_lies_there_is_taken(self):
        file = self.standard()
        os.makedirs(os.path.join(self.dir, "transformer"))
        with open(os.path.join(self.dir, "transformer/weights.safetensors"), "wb") as f:
            f.write(file.data)
        self.good()
        self.assertEqual(file.gets, 0)

    def test_somebodys_own_settings_are_kept(self):
        self.standard()
        os.makedirs(self.dir)
        with open(os.path.join(self.dir, "veetance.json"), "w") as f:
            f.write("{}")
        self.good()
        with open(os.path.join(self.dir, "veetance.json")) as f:
            self.assertEqual(f.read(), "{}")

    def test_the_models_folder_is_the_default(self):
        self.standard()
        self.write_catalogue()
        self.env["VEETANCE_HOME"] = os.path.join(self.work, "store")
        self.assertEqual(self.run_program("get", "tiny", "--accept-licence"), 0, self.err)
        self.dir = os.path.join(self.work, "store/models/tiny")
        self.assertEqual(self.out.strip(), self.dir)
        self.check_files()
        self.assertEqual(self.run_program("verify"), 0, self.err)
        self.assertEqual(self.run_program("verify", "tiny"), 0, self.err)

    def test_a_plain_file_server_is_a_mirror(self):
        self.standard()
        root = os.path.join(self.work, "mirror")
        for entry in self.files:
            path = os.path.join(root, REPO, "resolve/main", entry["path"])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(self.hub.files[REPO, entry["path"]].data)
        server = subprocess.Popen(
            [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", root, "0"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.addCleanup(server.stdout.close)
        port = server.stdout.readline().decode().split("port ")[1].split()[0]
        self.good("--mirror", "http://127.0.0.1:" + port)
        self.assertIn("instead of https://hub.invalid", self.err)


class Model(Case):
    """What was downloaded is a model."""

    def test_veetance_makes_a_picture_with_it(self):
        veetance = os.path.join(os.path.dirname(PROGRAM), "veetance")
        model = os.path.join(ROOT, "models/micro-klein")
        if not os.path.exists(veetance):
            self.skipTest("veetance is not built beside it")
        for folder, _, names in os.walk(model):
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), model)
                if name.endswith((".png", ".md")) or name == "veetance.json":
                    continue
                with open(os.path.join(folder, name), "rb") as f:
                    self.add(path, f.read(), kind="small" if path.endswith("json") else "lfs")
        self.good()
        picture = os.path.join(self.work, "image.png")
        done = subprocess.run(
            [veetance, "generate", "-m", self.dir, "-p", "a red house", "--steps", "1", "-W", "64", "-H", "64", "--threads", "1", "-o", picture],
            env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertGreater(os.path.getsize(picture), 100)


class Words(Case):
    """The right words."""

    def test_always_flipped(self):
        self.standard(flip=1000)
        self.bad("the bytes that came are not the file")

    def test_the_pin_of_the_catalogue(self):
        self.standard()
        self.files[-1]["sha256"] = "0" * 64
        self.bad("another file than the catalogue pins")
        self.good("--trust-hub")

    def test_the_hub_lies_about_the_sum(self):
        self.standard(lie="1" * 64)
        self.bad("the bytes that came are not the file")

    def test_the_hub_lies_about_the_size(self):
        self.standard(announced=9 * MB)
        self.bad("not the one that it announced")

    def test_not_found(self):
        self.standard()
        self.files.append({"path": "gone.bin"})
        self.bad(["owner/model: gone.bin: the repository has no such file (404)"])

    def test_no_such_repository(self):
        self.standard()
        self.hub.missing_repos.add(REPO)
        self.bad(["(401)", "veetance-fetch login"])

    def test_gated_without_a_token(self):
        self.standard(token=TOKEN, gated=True)
        self.bad(["gated (401)", "visit " + self.hub.url + "/" + REPO, "veetance-fetch login"])

    def test_gated_with_a_token_that_has_no_access(self):
        self.standard(token="somebody else's", gated=True)
        self.env["HF_TOKEN"] = TOKEN
        self.bad(["access is not granted (403)", "visit " + self.hub.url + "/" + REPO])

    def test_a_token_that_is_not_accepted(self):
        self.standard(token="somebody else's")
        self.env["HF_TOKEN"] = TOKEN
        self.bad(["(403)"])

    def test_gated_with_an_unsound_token(self):
        self.standard(token="somebody else's", gated=True)
        self.env["HF_TOKEN"] = "unsound-token"
        self.bad(["the token is not valid", "the hub says: Access to model", "veetance-fetch login"])

    def test_a_fine_grained_token_without_the_right_to_gated_repositories(self):
        words = "Please enable access to public gated repositories in your fine-grained token settings to view this repository."
        self.standard(token="somebody else's", gated=True, refusal=words)
        self.env["HF_TOKEN"] = TOKEN
        self.bad(["may not read gated repositories (403)", "/settings/tokens", "the hub says: Please enable"])

    def test_416(self):
        self.standard(status=416)
        self.bad("(416)", tries=2)

    def test_429_for_ever(self):
        self.standard(busy=1000)
        self.bad("too many requests (429)", tries=2)

    def test_500_for_ever(self):
        self.standard(status=500)
        self.bad("answers 500", tries=2)

    def test_nobody_listens(self):
        self.standard()
        self.bad("cannot be reached", "--mirror", "http://127.0.0.1:9", tries=1)

    def test_tls_where_there_is_none(self):
        self.standard()
        self.bad("TLS", "--mirror", self.hub.url.replace("http:", "https:"), tries=1)

    def test_a_redirect_to_another_scheme(self):
        self.standard(redirect="ftp://127.0.0.1/x")
        self.bad("no https address")

    def test_endless_redirects(self):
        file = self.standard()
        file.redirect = self.hub.url + "/" + REPO + "/resolve/main/transformer/weights.safetensors"
        self.bad("redirects")

    def test_a_licence_has_to_be_agreed_to(self):
        self.standard()
        self.write_catalogue()
        self.assertEqual(self.run_program("get", "tiny", "--to", self.dir), 1)
        self.assertIn("Free Licence, https://licence.invalid/free", self.err)
        self.assertIn("--accept-licence", self.err)
        self.assertFalse(os.path.exists(self.dir))
        self.good()
        self.assertEqual(self.run_program("get", "tiny", "--to", self.dir), 0, "asked twice")

    def test_one_at_a_time(self):
        self.standard(rate=2 * MB)
        self.write_catalogue()
        first = subprocess.Popen([PROGRAM, "get", "tiny", "--to", self.dir, "--accept-licence", "--quiet"], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not os.path.exists(os.path.join(self.dir, "fetch.json")):
            time.sleep(0.01)
        self.assertEqual(self.get(), 1)
        self.assertIn("another veetance-fetch", self.err)
        self.assertEqual(first.wait(), 0)
        self.check_files()

    def test_a_folder_of_another_set(self):
        self.standard()
        os.makedirs(self.dir)
        with open(os.path.join(self.dir, "fetch.json"), "w") as f:
            f.write('{"format": 1, "set": "other", "files": []}')
        self.bad("holds the set other", code=2)

    def test_a_full_disk(self):
        self.standard(announced=1 << 60)
        self.bad("not enough room")

    def test_usage(self):
        self.write_catalogue()
        for args, words in (
            (["get"], "name a set"),
            (["get", "tiny", "--jobs", "0"], "from 1 to 64"),
            (["get", "tiny", "--nope"], "no option"),
            (["frobnicate"], "no command"),
            ([], "command is missing"),
            (["login", TOKEN[:4]], "never an argument"),
        ):
            self.assertEqual(self.run_program(*args), 2, args)
            self.assertIn(words, self.err)
        self.assertEqual(self.run_program("get", "nope"), 1)
        self.assertIn("there are: tiny", self.err)
        for command in ("list", "get", "verify", "login", "logout", "export", "import"):
            self.assertEqual(self.run_program(command, "--help"), 0)
            self.assertIn("Examples:\n  veetance-fetch " + command, self.out)

    def test_json_errors(self):
        self.standard(status=500)
        self.bad("500", "--json", tries=1)
        self.assertEqual(json.loads(self.out)["error"]["code"], "busy")


class Tokens(Case):
    """Who gets the token, and who does not."""

    def test_never_to_the_storage_host(self):
        file = self.standard(token=TOKEN, gated=True)
        self.env["HF_TOKEN"] = TOKEN
        self.good("--jobs", "4")
        self.assertGreater(file.gets, 1)
        self.assertEqual(self.hub.leaks, [])

    def test_from_a_login(self):
        self.standard(token=TOKEN, gated=True)
        self.assertEqual(self.run_program("login", stdin=TOKEN.encode() + b"\n"), 0, self.err)
        path = os.path.join(self.env["HOME"], ".config/veetance/token")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.good()
        self.assertEqual(self.run_program("logout"), 0)
        self.assertFalse(os.path.exists(path))
        shutil.rmtree(self.dir)
        self.bad("gated (401)")

    def test_from_the_hubs_own_file(self):
        self.standard(token=TOKEN, gated=True)
        os.makedirs(os.path.join(self.env["HOME"], ".cache/huggingface"))
        with open(os.path.join(self.env["HOME"], ".cache/huggingface/token"), "w") as f:
            f.write(TOKEN)
        self.good()

    def test_not_to_a_mirror_it_is_not_for(self):
        self.standard(token=TOKEN, gated=True)
        del self.env["HF_ENDPOINT"]
        self.env["HF_TOKEN"] = TOKEN
        self.bad("gated (401)", "--mirror", self.hub.url)

    def test_a_file_others_can_read_is_refused(self):
        self.standard()
        self.assertEqual(self.run_program("login", stdin=TOKEN.encode()), 0)
        path = os.path.join(self.env["HOME"], ".config/veetance/token")
        os.chmod(path, 0o644)
        self.bad("others can read the token file")
        self.assertEqual(self.run_program("login", stdin=TOKEN.encode()), 0)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.good()

    def test_nonsense_is_refused(self):
        for text in (b"", b"short\n", b"with a space in it\n", b"x" * 600):
            self.assertEqual(self.run_program("login", stdin=text), 2)


class Killed(Case):
    """Fifty kills at random moments."""

    def test_fifty_kills(self):
        self.standard(rate=16 * MB)
        self.add("text_encoder/weights.safetensors", noise(12 * MB, 3), rate=16 * MB, drop=3)
        self.write_catalogue()
        chance = random.Random(50)
        resumed = 0
        command = [PROGRAM, "get", "tiny", "--to", self.dir, "--accept-licence", "--quiet", "--tries", "20", "--jobs", "3"]
        for i in range(50):
            child = subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                child.wait(chance.uniform(0.01, 0.35))
                self.assertEqual(child.returncode, 0, child.stderr.read())
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL if i % 5 else signal.SIGINT)
                code = child.wait()
                self.assertIn(code, (-signal.SIGKILL, -signal.SIGINT, 130, 0))
            child.stderr.close()
            self.check_files(partly=True)
            resumed += os.path.exists(os.path.join(self.dir, ".fetch/transformer/weights.safetensors.state"))
            if child.returncode == 0:
                shutil.rmtree(self.dir)  # and from the start
        self.good(tries=20)
        self.assertGreater(resumed, 5, "no kill left anything to go on with")

    def test_what_is_there_is_not_fetched_again(self):
        file = self.standard(rate=8 * MB)
        self.write_catalogue()
        command = [PROGRAM, "get", "tiny", "--to", self.dir, "--accept-licence", "--quiet", "--jobs", "1"]
        child = subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(0.7)
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(), 130)
        self.assertIn(b"continues from here", child.stderr.read())
        child.stderr.close()
        file.rate = 0
        ranges = []
        original = hubs.Handler.send_file

        def note_range(handler, f, etag):
            if f is file:
                ranges.append(handler.headers.get("Range"))
            return original(handler, f, etag)

        hubs.Handler.send_file = note_range
        self.addCleanup(setattr, hubs.Handler, "send_file", original)
        self.good("--jobs", "1")
        self.assertGreater(int(ranges[0].split("=")[1].split("-")[0]), 256 << 10)

    def test_a_broken_state_file_costs_a_fresh_start(self):
        self.standard(rate=8 * MB)
        self.write_catalogue()
        command = [PROGRAM, "get", "tiny", "--to", self.dir, "--accept-licence", "--quiet", "--jobs", "1"]
        child = subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.7)
        child.kill()
        child.wait()
        state = os.path.join(self.dir, ".fetch/transformer/weights.safetensors.state")
        with open(state, "r+b") as f:
            f.seek(30)
            f.write(b"\xff\xff\xff")
        self.good()

    def test_a_lying_state_file_cannot_make_a_wrong_file(self):
        file = self.standard(rate=8 * MB)
        self.write_catalogue()
        command = [PROGRAM, "get", "tiny", "--to", self.dir, "--accept-licence", "--quiet", "--jobs", "1"]
        child = subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.7)
        child.kill()
        child.wait()
        part = os.path.join(self.dir, ".fetch/transformer/weights.safetensors.part")
        with open(part, "r+b") as f:
            f.write(b"\0" * 100)  # what the state says is there is not
        file.rate = 0
        self.good()
        self.assertIn("starting over", self.err)


class Verify(Case):
    def test_damage_is_found(self):
        self.standard()
        self.good()
        path = os.path.join(self.dir, "transformer/weights.safetensors")
        with open(path, "r+b") as f:
            f.seek(12345)
            f.write(b"\0\1\2\3")
        os.remove(os.path.join(self.dir, "vae/config.json"))
        self.assertEqual(self.run_program("verify", self.dir), 1)
        self.assertRegex(self.out, r"differs +transformer/weights.safetensors")
        self.assertRegex(self.out, r"missing +vae/config.json")
        self.assertEqual(self.run_program("verify", self.dir, "--json"), 1)
        states = {f["path"]: f["state"] for f in json.loads(self.out)["models"][0]["files"]}
        self.assertEqual(states["model_index.json"], "ok")
        os.remove(path)
        self.good()
        self.assertEqual(self.run_program("verify", self.dir), 0)

    def test_a_folder_that_was_not_downloaded(self):
        self.assertEqual(self.run_program("verify", self.work), 1)
        self.assertIn("fetch.json", self.err)
        self.assertEqual(self.run_program("verify", "nope"), 1)


class Bundles(Case):
    def bundle(self):
        self.standard()
        self.good()
        tar = os.path.join(self.work, "model.tar")
        self.assertEqual(self.run_program("export", self.dir, tar), 0, self.err)
        return tar

    def import_to(self, tar, to, stdin=None):
        return self.run_program("import", tar, "--to", to, stdin=stdin)

    def test_there_and_back(self):
        tar = self.bundle()
        with tarfile.open(tar) as t:
            names = t.getnames()
        self.assertEqual(names[0], "veetance-bundle.json")
        self.assertIn("model/transformer/weights.safetensors", names)
        original = self.dir
        self.dir = os.path.join(self.work, "elsewhere")
        self.assertEqual(self.import_to(tar, self.dir), 0, self.err)
        self.check_files()
        with open(original + "/veetance.json") as a, open(self.dir + "/veetance.json") as b:
            self.assertEqual(a.read(), b.read())
        self.assertEqual(self.run_program("verify", self.dir), 0, self.err)
        self.hub.requests.clear()
        self.good()  # a get on top of it fetches nothing
        self.assertEqual(self.hub.requests, [])
        with open(tar, "rb") as f:
            self.assertEqual(self.import_to("-", os.path.join(self.work, "piped"), f.read()), 0, self.err)

    def test_damage_is_not_packed(self):
        self.bundle()
        with open(os.path.join(self.dir, "transformer/weights.safetensors"), "r+b") as f:
            f.write(b"\0\1\2\3")
        out = os.path.join(self.work, "again.tar")
        self.assertEqual(self.run_program("export", self.dir, out), 1)
        self.assertIn("not what was downloaded", self.err)
        self.assertFalse(os.path.exists(out))

    def test_damage_is_not_unpacked(self):
        tar = self.bundle()
        with open(tar, "rb") as f:
            data = bytearray(f.read())
        self.dir = os.path.join(self.work, "elsewhere")
        at = bytes(data).index(self.hub.files[REPO, "transformer/weights.safetensors"].data[:64])
        data[at + 5000000] ^= 1
        self.assertEqual(self.import_to("-", self.dir, bytes(data)), 1)
        self.assertIn("damaged", self.err)
        self.check_files(partly=True)
        self.assertFalse(os.path.exists(os.path.join(self.dir, "transformer/weights.safetensors")))

    def test_a_cut_off_bundle(self):
        tar = self.bundle()
        with open(tar, "rb") as f:
            data = f.read()
        self.dir = os.path.join(self.work, "elsewhere")
        chance = random.Random(4)
        for _ in range(8):
            self.assertEqual(self.import_to("-", self.dir, data[: chance.randrange(len(data) - 1024)]), 1)
            self.check_files(partly=True)
        self.assertEqual(self.import_to(tar, self.dir), 0, self.err)
        self.check_files()

    def hostile(self, entries, manifest_files):
        path = os.path.join(self.work, "hostile.tar")
        manifest = {"format": 1, "set": "evil", "files": manifest_files}
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as t:
            for name, data, kind in [("veetance-bundle.json", json.dumps(manifest).encode(), tarfile.REGTYPE)] + entries:
                info = tarfile.TarInfo(name)
                info.type = kind
                info.size = len(data) if kind == tarfile.REGTYPE else 0
                info.linkname = "/etc/passwd"
                t.addfile(info, io.BytesIO(data))
        return path

    def test_hostile_bundles(self):
        outside = os.path.join(self.work, "escaped")

        def entry(path, data=b"x"):
            return {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}

        regular = tarfile.REGTYPE
        cases = [
            ([("m/../../escaped", b"x", regular)], [entry("../../escaped")]),
            ([("m/../../escaped", b"x", regular)], [entry("fine")]),
            ([(outside, b"x", regular)], [entry("fine")]),
            ([(outside, b"x", regular)], [entry(outside)]),
            ([("m/fine", b"", tarfile.SYMTYPE)], [entry("fine")]),
            ([("m/fine", b"", tarfile.LNKTYPE)], [entry("fine")]),
            ([("m/fine", b"", tarfile.CHRTYPE)], [entry("fine")]),
            ([("m/.fetch/part", b"x", regular)], [entry(".fetch/part")]),
            ([("m/fine", b"x", regular), ("m/fine", b"x", regular)], [entry("fine")]),
            ([("m/fine", b"xy", regular)], [entry("fine")]),
            ([("m/fine", b"y", regular)], [entry("fine")]),
            ([("m/other", b"x", regular)], [entry("fine")]),
            ([("m/fetch.json", b"x", regular)], [entry("fetch.json")]),
            ([], [entry("fine")]),
            ([], []),
        ]
        for i, (entries, files) in enumerate(cases):
            to = os.path.join(self.work, "to%d" % i)
            self.assertEqual(self.import_to(self.hostile(entries, files), to), 1, (i, self.err))
            self.assertFalse(os.path.exists(outside))
        good = self.hostile([("m/fine", b"x", regular)], [entry("fine")])
        self.assertEqual(self.import_to(good, os.path.join(self.work, "good")), 0, self.err)

    def test_a_folder_in_use_is_left_alone(self):
        tar = self.bundle()
        other = os.path.join(self.work, "other")
        os.mkdir(other)
        with open(os.path.join(other, "thesis.txt"), "w") as f:
            f.write("important")
        self.assertEqual(self.import_to(tar, other), 2)
        self.assertIn("holds something else", self.err)


class List(Case):
    def test_the_catalogue_that_is_installed(self):
        self.env["VEETANCE_CATALOGUE"] = os.path.join(ROOT, "models/catalogue.json")
        self.assertEqual(self.run_program("list"), 0, self.err)
        for name in ("klein-4b", "klein-9b", "klein-base-4b", "klein-base-9b", "qwen-layered"):
            self.assertIn(name + "\n", self.out)
        self.assertEqual(self.run_program("list", "--json"), 0)
        sets = {s["name"]: s for s in json.loads(self.out)["sets"]}
        self.assertTrue(sets["klein-9b"]["gated"])
        self.assertFalse(sets["klein-4b"]["gated"])


if __name__ == "__main__":
    threading.current_thread().name = "tests"
    unittest.main(verbosity=1)
