"""lora_test.py - LoRA over HTTP: the list, requests that name them, plans, recipes, and A1111's tags."""

import base64
import json
import os
import subprocess
import sys

from support import ROOT, Server, run_all

STAR = {"prompt": "a red star", "width": 64, "height": 64, "steps": 2, "seed": 1}


def with_store(program):
    s = Server(program)
    loras = os.path.join(s.dir, "loras")
    os.makedirs(loras)
    for kind, name in (("klein", "style"), ("layered", "apart")):
        subprocess.run([sys.executable, os.path.join(ROOT, "tests", "support", "lora_files.py"), kind,
                        os.path.join(loras, name + ".safetensors")], check=True)
    subprocess.run([program, "models", "scan", loras, "--quiet"], check=True, env=s.env, stdout=subprocess.DEVNULL)
    return s


def made(s, **more):
    answer = s.post("/v1/generate?wait=true", dict(STAR, **more))
    assert answer.status == 200, answer
    return answer.json()


def bytes_of(s, result):
    return s.get("/v1/assets/" + result["images"][0]["asset"]).body


def test_loras_are_listed_and_used(program):
    with with_store(program) as s:
        listed = {x["name"]: x for x in s.get("/v1/loras").json()["data"]}
        assert set(listed) == {"style", "apart"}, listed
        assert listed["style"]["base"] == "a FLUX.2 of width 128" and listed["style"]["rank"] == 4
        assert listed["style"]["tasks"] == ["generate", "edit"] and listed["style"]["state"] == "ready"
        assert listed["apart"]["tasks"] == ["layers"]
        plain, zero = made(s), made(s, loras=[{"name": "style", "strength": 0}])
        one = made(s, loras=[{"name": "style"}])
        assert one["loras"] == [{"name": "style", "strength": 1}] and "loras" not in plain
        assert s.get("/v1/assets/" + plain["images"][0]["asset"]).body != bytes_of(s, one)
        assert plain["images"][0]["asset"] != one["images"][0]["asset"] != zero["images"][0]["asset"]
        recipe = s.get("/v1/assets/" + one["images"][0]["asset"] + "/info").json()["recipe"]
        assert recipe["prompt"] == "a red star" and recipe["loras"] == [{"name": "style", "strength": 1}], recipe
        plan = s.post("/v1/plan", {"task": "generate", "request": dict(STAR, loras=[{"name": "style"}])}).json()
        assert "lora" in [x["component"] for x in plan["stages"]], plan


def test_loras_that_cannot_be_used_are_refused(program):
    with with_store(program) as s:
        for loras, field in (([{"name": "none"}], "loras[0].name"), ([{"name": "style", "strength": 11}], "loras[0].strength"),
                             ([{"strength": 1}], "loras[0].name"), ([{"name": "style", "more": 1}], "loras[0].more"),
                             ([{"name": "../loras/style.safetensors"}], "loras[0].name"), ("style", "loras"),
                             ([{"name": "style"}] * 9, "loras"), ([5], "loras[0]")):
            a = s.post("/v1/generate", dict(STAR, loras=loras))
            assert a.status == 422 and a.json()["field"] == field, (loras, a)
        a = s.post("/v1/generate", dict(STAR, prompt="a star <lora:style:1>"))
        assert a.status == 422 and a.json()["field"] == "prompt", a
        a = s.post("/v1/generate?wait=true", dict(STAR, loras=[{"name": "apart"}]))
        assert a.status >= 400 and "is not for this model" in a.json()["detail"], a


def test_a1111_takes_them_out_of_the_prompt(program):
    with with_store(program) as s:
        assert [x["name"] for x in s.get("/sdapi/v1/loras").json()] == ["style", "apart"] or \
            [x["name"] for x in s.get("/sdapi/v1/loras").json()] == ["apart", "style"]
        ours = bytes_of(s, made(s, loras=[{"name": "style", "strength": 0.5}]))
        a = s.post("/sdapi/v1/txt2img", dict(STAR, prompt="a red star <lora:style:0.5>"))
        assert a.status == 200, a
        assert base64.b64decode(a.json()["images"][0]) == ours
        info = json.loads(a.json()["info"])
        assert "<lora:style:0.5>" in info["infotexts"][0], info
        for prompt in ("a <lora:none:1>", "a <lora:style:x>", "a <hypernet:x:1>"):
            a = s.post("/sdapi/v1/txt2img", dict(STAR, prompt=prompt))
            assert a.status == 422, (prompt, a)


if __name__ == "__main__":
    run_all(globals())
