"""What PyTorch and diffusers take for the same work on the same card, with random weights of the real dimensions in bf16.

    python3 bench/gpu_peer.py [--compile] [--json FILE] [--model DIR] [klein-4b klein-9b decode text layered prompt]

prompt: from a prompt to a PNG at 1024 x 1024 in 4 steps, with the model of DIR (one that `veetance bench` made will do).

Needs PyTorch, transformers, and diffusers (or $DIFFUSERS: a folder that holds its package). Prints milliseconds, the median
of several runs; bench/gpu.sh puts them beside ours."""
import argparse
import json
import os
import sys

if os.environ.get("DIFFUSERS"):
    sys.path.insert(0, os.environ["DIFFUSERS"])

import torch

DEV, BF = "cuda", torch.bfloat16
KLEIN = {"klein-4b": dict(heads=24, text=7680, double=5, single=20), "klein-9b": dict(heads=32, text=12288, double=8, single=24)}
TEXT_TOKENS = 512


def median_ms(f, n=8, warm=3):
    for _ in range(warm):
        f()
    torch.cuda.synchronize()
    times = []
    for _ in range(n):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        f()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return sorted(times)[n // 2]


def with_random_weights(cls, *args, **kw):
    """The model on the card; weights as large as keeps activations near one."""
    with torch.device("meta"):
        model = cls(*args, **kw)
    model = model.to(BF).to_empty(device=DEV).eval().requires_grad_(False)
    for p in model.parameters():
        if p.dim() > 1:
            p.normal_(0, p[0].numel() ** -0.5)
        else:
            p.fill_(1)
    return model


def rand(*shape):
    return torch.randn(*shape, device=DEV, dtype=BF)


def klein_model(name):
    from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel

    d = KLEIN[name]
    return with_random_weights(
        Flux2Transformer2DModel, patch_size=1, in_channels=128, num_layers=d["double"], num_single_layers=d["single"], attention_head_dim=128,
        num_attention_heads=d["heads"], joint_attention_dim=d["text"], timestep_guidance_channels=256, mlp_ratio=3.0,
        axes_dims_rope=(32, 32, 32, 32), rope_theta=2000, guidance_embeds=False)


def klein(name, sizes, compiled, found):
    d, model = KLEIN[name], klein_model(name)

    def inputs(side):
        s = side // 16
        image_ids, text_ids = torch.zeros(s * s, 4, device=DEV), torch.zeros(TEXT_TOKENS, 4, device=DEV)
        rows, columns = torch.meshgrid(torch.arange(s, device=DEV), torch.arange(s, device=DEV), indexing="ij")
        image_ids[:, 1], image_ids[:, 2] = rows.flatten(), columns.flatten()
        text_ids[:, 3] = torch.arange(TEXT_TOKENS, device=DEV)
        return dict(hidden_states=rand(1, s * s, 128), encoder_hidden_states=rand(1, TEXT_TOKENS, d["text"]),
                    timestep=torch.tensor([0.5], device=DEV, dtype=BF), img_ids=image_ids[None], txt_ids=text_ids[None], guidance=None,
                    return_dict=False)

    for side in sizes:
        a = inputs(side)
        found[f"{name} step {side}"] = median_ms(lambda: model(**a))
    if compiled:
        for block in [*model.transformer_blocks, *model.single_transformer_blocks]:
            block.compile()
        for side in sizes:
            a = inputs(side)
            found[f"{name} step {side} compiled"] = median_ms(lambda: model(**a))


def decode(found):
    from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2

    model = with_random_weights(AutoencoderKLFlux2)
    for side in (512, 1024, 2048):
        z = rand(1, 32, side // 8, side // 8)
        found[f"decode {side}"] = median_ms(lambda: model.decode(z, return_dict=False), 5, 2)


def qwen3_config():
    from transformers import Qwen3Config

    return Qwen3Config(hidden_size=2560, intermediate_size=9728, num_hidden_layers=36, num_attention_heads=32, num_key_value_heads=8, head_dim=128,
                       vocab_size=151936, rms_norm_eps=1e-6, max_position_embeddings=40960)


def text(found):
    from transformers import Qwen3Model

    torch.set_default_dtype(BF)
    with torch.device(DEV):
        model = Qwen3Model(qwen3_config()).eval()
    torch.set_default_dtype(torch.float32)
    ids = torch.randint(0, 150000, (1, TEXT_TOKENS), device=DEV)
    mask = torch.ones_like(ids)
    found["text 512"] = median_ms(lambda: model(input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False), 5, 2)


def layered(found):
    from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel

    torch.set_default_dtype(BF)
    with torch.device(DEV):
        model = QwenImageTransformer2DModel(patch_size=2, in_channels=64, out_channels=16, num_layers=60, attention_head_dim=128,
                                            num_attention_heads=24, joint_attention_dim=3584, axes_dims_rope=(16, 56, 56),
                                            use_additional_t_cond=True, use_layer3d_rope=True).eval()
    torch.set_default_dtype(torch.float32)
    side, frames = 640 // 16, 6  # the composite, four layers, and the image that is taken apart
    a = dict(hidden_states=rand(1, side * side * frames, 64), encoder_hidden_states=rand(1, TEXT_TOKENS, 3584), encoder_hidden_states_mask=None,
             timestep=torch.tensor([0.5], device=DEV, dtype=BF), img_shapes=[[(1, side, side)] * frames],
             additional_t_cond=torch.zeros(1, device=DEV, dtype=torch.long), return_dict=False)
    found["layered pass 640 x 4"] = median_ms(lambda: model(**a), 4, 2)


def prompt(model, found):
    import io
    import time

    from diffusers import FlowMatchEulerDiscreteScheduler, Flux2KleinPipeline
    from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
    from transformers import AutoTokenizer, Qwen3ForCausalLM

    torch.set_default_dtype(BF)
    with torch.device(DEV):
        encoder = Qwen3ForCausalLM(qwen3_config()).eval()
    torch.set_default_dtype(torch.float32)
    pipe = Flux2KleinPipeline(scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True), text_encoder=encoder,
                              tokenizer=AutoTokenizer.from_pretrained(os.path.join(model, "tokenizer")), transformer=klein_model("klein-4b"),
                              vae=with_random_weights(AutoencoderKLFlux2), is_distilled=True)
    pipe.set_progress_bar_config(disable=True)
    if not pipe.tokenizer.chat_template:  # a small model's has none; how many tokens a prompt has does not matter
        pipe.tokenizer.chat_template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    times = []
    for i in range(4):
        torch.cuda.synchronize()
        start = time.perf_counter()
        image = pipe(prompt=f"a lighthouse {i}", height=1024, width=1024, num_inference_steps=4, guidance_scale=1.0).images[0]
        image.save(io.BytesIO(), "png")
        times.append((time.perf_counter() - start) * 1e3)
    found["prompt to PNG 1024, warm"] = min(times[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compile", action="store_true", help="klein-4b also compiled (takes a minute)")
    parser.add_argument("--json", help="write what was found here as well")
    parser.add_argument("--model", help="for prompt")
    parser.add_argument("what", nargs="*", default=["klein-4b", "klein-9b", "decode", "text", "layered"])
    options = parser.parse_args()
    works = {"klein-4b": lambda f: klein("klein-4b", (512, 1024), options.compile, f), "klein-9b": lambda f: klein("klein-9b", (1024,), False, f),
             "decode": decode, "text": text, "layered": layered, "prompt": lambda f: prompt(options.model, f)}
    print(f"PyTorch {torch.__version__}, {torch.cuda.get_device_name(0)}", flush=True)
    all_found, failed = {}, 0
    for what in options.what:
        found = {}
        try:
            with torch.inference_mode():
                works[what](found)
        except Exception as e:  # the others are still worth having
            print(f"{what}: {e}", flush=True)
            failed = 1
        for name, ms in found.items():
            print(f"{name:32} {ms:8.1f} ms", flush=True)
        all_found.update(found)
        torch.cuda.empty_cache()
    if options.json:
        with open(options.json, "w") as f:
            json.dump(all_found, f, indent=1)
    sys.exit(failed)


main()
