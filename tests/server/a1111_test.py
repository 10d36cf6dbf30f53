"""The API of Automatic1111: batches, refusals, enlarging, and the requests that SillyTavern, Open WebUI and a Photoshop
plugin send, in their order."""

import json
import threading

from images import DISC, NOISE, Image, box, edit, encode, mask_of, refused, same
from support import EDIT, Server, b64, read, run_all, until

STAR = {"prompt": "a red star", "seed": 1, "steps": 2, "width": 128, "height": 128}


def test_batches_and_info(program):
    with Server(program) as s:
        a = s.post("/sdapi/v1/txt2img", dict(STAR, batch_size=2, n_iter=2, negative_prompt="blurry")).json()
        info = json.loads(a["info"])
        assert len(a["images"]) == 4 and info["all_seeds"] == [1, 2, 3, 4] and info["seed"] == 1
        assert info["all_prompts"] == ["a red star"] * 4 and info["prompt"] == "a red star"
        assert info["index_of_first_image"] == 0 and info["batch_size"] == 2 and info["steps"] == 2
        assert (info["width"], info["height"], info["sampler_name"]) == (128, 128, "Euler")
        assert info["sd_model_name"] == "micro-klein" and "no effect" in info["comments"]
        for i, text in enumerate(info["infotexts"]):
            assert text.startswith("a red star\nSteps: 2, Sampler: Euler") and f"Seed: {i + 1}," in text, text
            got = s.post("/sdapi/v1/png-info", {"image": a["images"][i]}).json()
            assert got["info"] == text and got["parameters"]["Seed"] == str(i + 1), got
            assert got["parameters"]["Prompt"] == "a red star" and got["parameters"]["Size-1"] == "128"
            assert "parameters" not in got["items"] and got["items"], got
        assert a["parameters"]["batch_size"] == 2 and a["parameters"]["prompt"] == "a red star"
        one = s.post("/sdapi/v1/txt2img", dict(STAR, seed="3")).json()
        assert one["images"][0] == a["images"][2], "a seed is the same in a batch and alone"
        any_seed = json.loads(s.post("/sdapi/v1/txt2img", dict(STAR, seed=-1)).json()["info"])["seed"]
        assert any_seed >= 0
        assert s.post("/sdapi/v1/txt2img", dict(STAR, send_images=False)).json()["images"] == []
        b = edit(s, DISC, include_init_images=True).json()
        assert b["parameters"]["init_images"] == [b64(DISC)]
        assert edit(s, DISC).json()["parameters"]["init_images"] is None
        refused(s.post("/sdapi/v1/txt2img", dict(STAR, batch_size=16, n_iter=16)), "n_iter")
        refused(s.post("/sdapi/v1/img2img", dict(STAR, batch_size=2, init_images=[b64(DISC), b64(NOISE)])), "init_images")
        assert s.post("/sdapi/v1/png-info", {"image": b64(DISC)}).json() == {"info": "", "items": {}, "parameters": {}}
        # JPEG and WebP carry the text, too.
        for kind in ("jpeg", "webp"):
            made = s.post("/v1/images/generations", {"prompt": "a red star", "seed": 1, "steps": 2, "size": "128x128",
                                                     "output_format": kind}).json()["data"][0]["b64_json"]
            got = s.post("/sdapi/v1/png-info", {"image": made}).json()
            assert got["info"] == info["infotexts"][0] and got["items"] == {}, got


def test_refusals(program):
    with Server(program) as s:
        for name, value in (("enable_hr", True), ("restore_faces", True), ("tiling", True), ("styles", ["a"]),
                            ("subseed_strength", 0.5), ("seed_resize_from_h", 512), ("s_churn", 1),
                            ("refiner_checkpoint", "x"), ("infotext", "Steps: 1"), ("clip_skip", 2),
                            ("no_such_member", 1), ("scheduler", "no such"), ("seed", "x"), ("seed", 1.5), ("steps", "many"),
                            ("steps", 0), ("width", 10), ("cfg_scale", -1), ("prompt", 5), ("alwayson_scripts", [1])):
            refused(s.post("/sdapi/v1/txt2img", dict(STAR, **{name: value})), name)
        for name, value in (("latent_mask", "x"), ("initial_noise_multiplier", 1.2), ("inpainting_mask_invert", 2),
                            ("inpaint_full_res", "maybe"), ("mask_blur", -1), ("mask_round", False)):
            refused(edit(s, DISC, **{name: value}), name)
        for settings in ({"CLIP_stop_at_last_layers": 2}, {"sd_vae": "x.safetensors"}, {"no_such": 1},
                         {"sd_model_checkpoint": 5}):
            refused(s.post("/sdapi/v1/txt2img", dict(STAR, override_settings=settings)), list(settings)[0])
            refused(s.post("/sdapi/v1/options", settings), list(settings)[0])
        for prompt in ("a star <lora:glow:0.8>", "<LORA:x>", "x <lyco:a:1>, <hypernet:b:1>"):
            refused(s.post("/sdapi/v1/txt2img", dict(STAR, prompt=prompt)), "prompt")
        assert s.post("/sdapi/v1/txt2img", dict(STAR, prompt="a <b> lora:c")).status == 200
        for more, word in (({"alwayson_scripts": {"controlnet": {"args": [{"enabled": True}]}}}, "controlnet"),
                           ({"alwayson_scripts": {"ADetailer": {"args": [False]}}}, "ADetailer"),
                           ({"script_name": "X/Y/Z plot"}, "X/Y/Z plot")):
            a = s.post("/sdapi/v1/txt2img", dict(STAR, **more))
            assert a.status == 422 and word in a.json()["detail"] and "not found" in a.json()["detail"], a
        assert s.post("/sdapi/v1/txt2img", dict(STAR, sampler_name="DPM++ 2M SDE Karras")).status == 200
        a = s.post("/sdapi/v1/txt2img", dict(STAR, sampler_name="no such"))
        assert a.status == 400 and "Sampler not found" in a.json()["detail"], a
        refused(s.post("/sdapi/v1/txt2img", dict(STAR, override_settings={"sd_model_checkpoint": "none"})),
                "sd_model_checkpoint")
        # Values that ask for nothing.
        a = s.post("/sdapi/v1/txt2img", dict(STAR, enable_hr=False, styles=[], alwayson_scripts={}, script_name=None,
                                             subseed=-1, subseed_strength=0, restore_faces=None, tiling=False,
                                             refiner_checkpoint="", clip_skip=1, hr_scale=2, sampler_name="DPM++ 2M",
                                             scheduler="karras", eta=0.5, override_settings={"sd_vae": "Automatic"}))
        assert a.status == 200 and "DPM++ 2M was asked for" in json.loads(a.json()["info"])["comments"], a


def test_extras(program):
    small = encode(20, 10, 3, lambda x, y: (255, 0, 0) if x < 10 else (0, 0, 255))
    with Server(program) as s:
        def enlarge(**more):
            return s.post("/sdapi/v1/extra-single-image", {"image": b64(small), **more})
        for upscaler in ("Lanczos", "Nearest"):
            out = image_of(enlarge(upscaler_1=upscaler, upscaling_resize=3))
            assert (out.w, out.h) == (60, 30) and out.at(2, 2) == (255, 0, 0) and out.at(57, 20) == (0, 0, 255)
            out = image_of(enlarge(upscaler_1=upscaler, resize_mode=1, upscaling_resize_w=40, upscaling_resize_h=40))
            assert (out.w, out.h) == (40, 40)
            out = image_of(enlarge(upscaler_1=upscaler, resize_mode=1, upscaling_resize_w=40, upscaling_resize_h=40,
                                   upscaling_crop=False))
            assert (out.w, out.h) == (80, 40)
        assert image_of(enlarge(upscaler_1="None")).rows == Image(small).rows
        a = s.post("/sdapi/v1/extra-batch-images", {"imageList": [{"data": b64(small), "name": "a.png"}] * 2,
                                                    "upscaler_1": "Lanczos"})
        assert [Image(i).w for i in a.json()["images"]] == [40, 40], a
        refused(enlarge(upscaler_1="ESRGAN_4x"), "upscaler_1")
        refused(enlarge(upscaler_1="Lanczos", gfpgan_visibility=1), "gfpgan_visibility")
        refused(enlarge(upscaler_1="Lanczos", resize_mode=1, upscaling_resize_w=16384, upscaling_resize_h=16384),
                "upscaling_resize_w")


def image_of(a):
    assert a.status == 200, a
    return Image(a.json()["image"])


def test_sillytavern(program):
    """Connecting, the lists of its drop-downs, choosing a model, an image with its defaults, an interruption."""
    with Server(program) as s:
        assert s.get("/sdapi/v1/options").status == 200
        models = [m["title"] for m in s.get("/sdapi/v1/sd-models").json()]
        samplers = [m["name"] for m in s.get("/sdapi/v1/samplers").json()]
        schedulers = [m["name"] for m in s.get("/sdapi/v1/schedulers").json()]
        upscalers = [m["name"] for m in s.get("/sdapi/v1/upscalers").json()]
        assert [m["name"] for m in s.get("/sdapi/v1/latent-upscale-modes").json()] == []
        assert [m["model_name"] for m in s.get("/sdapi/v1/sd-vae").json()] == []
        assert "micro-klein" in models and samplers and schedulers and upscalers[0] == "None"
        assert s.post("/sdapi/v1/options", {"sd_model_checkpoint": models[0]}).status == 200
        state = s.get("/sdapi/v1/progress").json()
        assert state["progress"] == 0 and state["state"]["job_count"] == 0
        assert s.get("/sdapi/v1/options").json()["sd_model_checkpoint"] == models[0]
        asked = {"url": f"http://127.0.0.1:{s.port}", "auth": "", "prompt": "a red star", "negative_prompt": "lowres",
                 "sampler_name": "DDIM", "scheduler": "normal", "steps": 2, "cfg_scale": 7, "width": 128, "height": 128,
                 "restore_faces": False, "enable_hr": False, "hr_upscaler": "Latent", "hr_scale": 2,
                 "denoising_strength": 0.7, "hr_second_pass_steps": 0, "override_settings": {"CLIP_stop_at_last_layers": 1},
                 "override_settings_restore_afterwards": True, "clip_skip": 1, "save_images": True, "send_images": True,
                 "do_not_save_grid": False, "do_not_save_samples": False}
        a = s.post("/sdapi/v1/txt2img", asked)
        assert Image(a.json()["images"][0]).w == 128 and "auth" not in a.json()["parameters"], a
        got = []
        long = threading.Thread(target=lambda: got.append(s.post("/sdapi/v1/txt2img", dict(asked, steps=500))))
        long.start()
        until(lambda: s.get("/sdapi/v1/progress").json()["state"]["sampling_step"])
        assert s.request("POST", "/sdapi/v1/interrupt").status == 200
        long.join()
        assert got[0].status == 200 and got[0].json()["images"] == [], got


def test_interrupted_gives_what_is_finished(program):
    with Server(program) as s:
        whole = s.post("/sdapi/v1/txt2img", dict(STAR, steps=40)).json()["images"][0]
        got = []
        asked = dict(STAR, n_iter=15, batch_size=4, steps=40)
        long = threading.Thread(target=lambda: got.append(s.post("/sdapi/v1/txt2img", asked)))
        long.start()
        until(lambda: s.get("/sdapi/v1/progress").json()["state"]["job_no"] >= 2)
        assert s.post("/sdapi/v1/interrupt").json() == {}
        long.join()
        a = got[0].json()
        info = json.loads(a["info"])
        n = len(a["images"])
        assert got[0].status == 200 and 2 <= n < 60 and a["images"][0] == whole, (got[0].status, n)
        assert info["all_seeds"] == list(range(1, n + 1)) and len(info["infotexts"]) == n, info
        assert f"interrupted: {n} of 60" in info["comments"] and info["sd_model_name"] == "micro-klein", info
        job = s.get("/v1/jobs/" + info["job"]).json()
        assert job["state"] == "cancelled" and len(job["result"]["images"]) == n, job
        # A batch that waits behind another job has nothing yet.
        blocker = s.post("/v1/generate", {"prompt": "x", "steps": 1000}).json()["id"]
        s.wait_for(blocker, ("running",))
        got.clear()
        waiting = threading.Thread(target=lambda: got.append(s.post("/sdapi/v1/txt2img", asked)))
        waiting.start()
        until(lambda: len(s.get("/v1/jobs?state=queued").json()["jobs"]) == 1)
        s.request("DELETE", "/v1/jobs/" + s.get("/v1/jobs?state=queued").json()["jobs"][0]["id"])
        waiting.join()
        assert got[0].status == 200 and got[0].json()["images"] == [], got
        s.request("DELETE", "/v1/jobs/" + blocker)


def test_unload_and_reload(program):
    def is_open():
        return s.get("/v1/models/micro-klein").json()["open"]
    with Server(program) as s:
        assert s.post("/sdapi/v1/reload-checkpoint").json() == {} and is_open()
        assert s.post("/sdapi/v1/unload-checkpoint", {}).json() == {} and not is_open()
        assert s.post("/sdapi/v1/unload-checkpoint").json() == {} and not is_open()
        job = s.post("/v1/generate", {"prompt": "x", "steps": 1000}).json()["id"]
        s.wait_for(job, ("running",))
        until(is_open)
        # Behind a running job: answered at once, done after it; the last wish counts.
        for what in ("unload", "reload", "unload"):
            assert s.post(f"/sdapi/v1/{what}-checkpoint").json() == {}
        assert s.get("/v1/jobs/" + job).json()["state"] == "running"
        s.request("DELETE", "/v1/jobs/" + job)
        until(lambda: not is_open())
        assert s.post("/sdapi/v1/txt2img", STAR).status == 200 and is_open()


def test_open_webui(program):
    """Both of its engines."""
    with Server(program) as s:
        options = s.get("/sdapi/v1/options", headers={"authorization": ""}).json()
        assert options["sd_model_checkpoint"] == "micro-klein"
        # It sends all options back with another model.
        options["sd_model_checkpoint"] = "micro-klein"
        assert s.post("/sdapi/v1/options", options, headers={"authorization": ""}).status == 200
        assert [m["title"] for m in s.get("/sdapi/v1/sd-models").json()][0] == "micro-klein"
        a = s.post("/sdapi/v1/txt2img", {"prompt": "a red star", "batch_size": 2, "width": 128, "height": 128, "steps": 2,
                                         "negative_prompt": "text"}, headers={"authorization": ""}).json()
        assert len(a["images"]) == 2 and json.loads(a["info"])["all_seeds"]
        key = {"Authorization": "Bearer none"}
        a = s.post("/v1/images/generations", {"model": "gpt-image-1", "prompt": "a red star", "n": 1, "size": "128x128",
                                              "response_format": "b64_json"}, headers=key).json()
        assert Image(a["data"][0]["b64_json"]).w == 128
        boundary = "openwebui"
        parts = [("model", b"gpt-image-1"), ("prompt", b"make it green"), ("n", b"1"), ("size", b"128x128"),
                 ("response_format", b"b64_json")]
        body = b"".join(b"--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n"
                        % (boundary.encode(), k.encode(), v) for k, v in parts)
        for name in ("a.png", "b.png"):
            body += (b"--%s\r\nContent-Disposition: form-data; name=\"image[]\"; filename=\"%s\"\r\nContent-Type: "
                     b"image/png\r\n\r\n" % (boundary.encode(), name.encode())) + read(EDIT) + b"\r\n"
        body += b"--%s--\r\n" % boundary.encode()
        a = s.post("/v1/images/edits", body, headers={"Content-Type": "multipart/form-data; boundary=" + boundary, **key})
        assert a.status == 200 and Image(a.json()["data"][0]["b64_json"]).w == 128, a


def test_photoshop_plugin(program):
    """Auto-Photoshop-StableDiffusion-Plugin: its start, txt2img, inpainting with its mask, upscaling."""
    with Server(program) as s:
        assert s.get("/internal/ping").json() == {}
        assert s.get("/sdapi/v1/sd-models").json()[0]["title"]
        assert s.get("/sdapi/v1/samplers").json()[0]["name"] == "Euler"
        assert "Lanczos" in [u["name"] for u in s.get("/sdapi/v1/upscalers").json()]
        assert s.get("/sdapi/v1/loras").json() == [] and s.get("/sdapi/v1/embeddings").json()["loaded"] == {}
        assert s.get("/sdapi/v1/scripts").json() == {"txt2img": [], "img2img": []}
        options = s.get("/sdapi/v1/options").json()
        assert options["inpainting_mask_weight"] == 1 and options["CLIP_stop_at_last_layers"] == 1
        assert s.post("/sdapi/v1/options", {"inpainting_mask_weight": 1.0}).status == 200
        for path in ("cmd-flags", "memory", "prompt-styles", "script-info", "face-restorers", "hypernetworks"):
            assert s.get("/sdapi/v1/" + path).status == 200, path
        assert s.get("/sdapi/v1/memory").json()["ram"]["total"] > 0
        for path in ("refresh-checkpoints", "refresh-vae", "refresh-loras"):
            assert s.post("/sdapi/v1/" + path, {}).status == 200, path
        common = {"selection_info": {"left": 0, "right": 128}, "alwayson_scripts": {}, "prompt": "a red star",
                  "negative_prompt": "", "original_prompt": "a red star", "original_negative_prompt": "", "clip_skip": 1,
                  "steps": 2, "sampler_index": "Euler a", "width": 128, "height": 128, "denoising_strength": 0.7,
                  "batch_size": 1, "cfg_scale": 7, "seed": "-1", "mask_blur": 4, "use_sharp_mask": False,
                  "use_prompt_shortcut": False, "prompt_shortcut_ui_dict": {}, "uniqueDocumentId": "a-b", "mode": "txt2img",
                  "restore_faces": False, "tiling": False}
        made = s.post("/sdapi/v1/txt2img", common)
        assert made.status == 200, made
        picture = made.json()["images"][0]
        # It reads the seed out of the text.
        text = s.post("/sdapi/v1/png-info", {"image": "data:image/png;base64," + picture}).json()["info"]
        settings = dict(p.strip().split(": ", 1) for p in text[text.rindex("\n") + 1:].split(",") if ": " in p)
        assert int(settings["Seed"]) == json.loads(made.json()["info"])["seed"], text
        mask = mask_of(box(32, 32, 96, 96))
        inpaint = dict(common, mode="inpaint", inpaint_full_res=False, inpaint_full_res_padding=32, inpainting_fill=1,
                       mask_expansion=0, mask=mask, expanded_mask=mask, init_images=[picture], denoising_strength=1)
        out = s.post("/sdapi/v1/img2img", inpaint)
        assert out.status == 200 and out.json()["parameters"]["expanded_mask"] is None, out
        far = box(20, 20, 108, 108)
        assert same(Image(picture), Image(out.json()["images"][0]), lambda x, y: not far(x, y)) == 1
        assert s.get("/sdapi/v1/progress?skip_current_image=false").json()["textinfo"] is None
        assert s.request("POST", "/sdapi/v1/interrupt", headers={"Content-Type": "application/json"}).json() == {}
        assert s.post("/sdapi/v1/skip").status == 200
        large = s.post("/sdapi/v1/extra-single-image", {
            "resize_mode": 0, "show_extras_results": 0, "gfpgan_visibility": 0, "codeformer_visibility": 0,
            "codeformer_weight": 0, "upscaling_resize": 2, "upscaling_resize_w": 256.0, "upscaling_resize_h": 256.0,
            "upscaling_crop": True, "upscaler_1": "Lanczos", "upscaler_2": "None", "extras_upscaler_2_visibility": 0,
            "upscale_first": False, "image": picture})
        assert image_of(large).w == 256
        said = s.post("/sdapi/v1/interrogate", {"image": picture, "model": "clip"})
        # The embedded model was never taught to describe; that is told, too.
        assert (said.status == 200 and said.json()["caption"]) or "cannot describe" in said.json()["detail"], said
        refused(s.post("/sdapi/v1/interrogate", {"image": picture, "model": "deepdanbooru"}), "model")


if __name__ == "__main__":
    run_all(globals())
