"""Networks that look like those that are used, and for each the one that it looks like: headers of the published shapes with
one or two blocks, in sparse files.

    lookalikes.py FOLDER      writes impostors/NAME and originals/NAME below it
"""
import json
import os
import struct
import sys

WIDTH = {"F32": 4, "BF16": 2, "U32": 4}


def put(path, head, size):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(head)
        f.truncate(len(head) + size)


def safetensors(path, tensors):
    header, at = {}, 0
    for name, shape in tensors.items():
        dtype = "BF16"
        if isinstance(shape, tuple):
            dtype, shape = shape
        n = WIDTH[dtype]
        for s in shape:
            n *= s
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + n]}
        at += n
    text = json.dumps(header).encode()
    put(path, struct.pack("<Q", len(text)) + text, at)


def gguf(path, tensors, keys):
    def text(s):
        return struct.pack("<Q", len(s)) + s.encode()

    out, at = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(keys))], 0
    for k, v in keys.items():
        out.append(text(k) + (struct.pack("<I", 8) + text(v) if isinstance(v, str) else struct.pack("<If", 6, v)))
    for name, shape in tensors.items():
        n = 4
        for s in shape:
            n *= s
        out.append(text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", s) for s in reversed(shape)) +
                   struct.pack("<IQ", 0, at))
        at += n + -n % 32
    head = b"".join(out)
    put(path, head + b"\0" * (-len(head) % 32), at)


# ---- networks -----------------------------------------------------------------------------------------------------

def flux2(hidden, text, guidance=False):
    t = {"img_in.weight": [hidden, 128], "txt_in.weight": [hidden, text], "time_in.in_layer.weight": [hidden, 256],
         "time_in.out_layer.weight": [hidden, hidden], "final_layer.linear.weight": [128, hidden],
         "final_layer.adaLN_modulation.1.weight": [2 * hidden, hidden], "single_stream_modulation.lin.weight": [3 * hidden, hidden]}
    for s in ("img", "txt"):
        t[f"double_stream_modulation_{s}.lin.weight"] = [6 * hidden, hidden]
        p = f"double_blocks.0.{s}_"
        t.update({p + "attn.qkv.weight": [3 * hidden, hidden], p + "attn.proj.weight": [hidden, hidden],
                  p + "attn.norm.query_norm.scale": [128], p + "attn.norm.key_norm.scale": [128],
                  p + "mlp.0.weight": [6 * hidden, hidden], p + "mlp.2.weight": [hidden, 3 * hidden]})
    p = "single_blocks.0."
    t.update({p + "linear1.weight": [9 * hidden, hidden], p + "linear2.weight": [hidden, 4 * hidden],
              p + "norm.query_norm.scale": [128], p + "norm.key_norm.scale": [128]})
    if guidance:
        t.update({"guidance_in.in_layer.weight": [hidden, 256], "guidance_in.out_layer.weight": [hidden, hidden]})
    return t


def language(hidden, inner, heads, kv, vocabulary, norms, bias):
    d, p = 128, "model.layers.0."
    t = {"model.embed_tokens.weight": [vocabulary, hidden], "model.norm.weight": [hidden],
         p + "input_layernorm.weight": [hidden], p + "post_attention_layernorm.weight": [hidden],
         p + "self_attn.o_proj.weight": [hidden, heads * d], p + "mlp.down_proj.weight": [hidden, inner]}
    for k, n in (("q", heads), ("k", kv), ("v", kv)):
        t[p + f"self_attn.{k}_proj.weight"] = [n * d, hidden]
        if bias:
            t[p + f"self_attn.{k}_proj.bias"] = [n * d]
    for k in ("gate", "up"):
        t[p + f"mlp.{k}_proj.weight"] = [inner, hidden]
    if norms:
        t.update({p + "self_attn.q_norm.weight": [d], p + "self_attn.k_norm.weight": [d]})
    return t


def qwen3():
    return language(2560, 9728, 32, 8, 151936, True, False)


def qwen2_5():
    return language(3584, 18944, 28, 4, 152064, False, True)


def eyes(gated):
    p, d = "visual.blocks.0.", 1280
    t = {"visual.patch_embed.proj.weight": [d, 3, 2, 14, 14], "visual.merger.ln_q.weight": [d],
         "visual.merger.mlp.0.weight": [5120, 5120], "visual.merger.mlp.0.bias": [5120],
         "visual.merger.mlp.2.weight": [3584, 5120], "visual.merger.mlp.2.bias": [3584], p + "norm1.weight": [d],
         p + "norm2.weight": [d], p + "attn.qkv.weight": [3 * d, d], p + "attn.qkv.bias": [3 * d],
         p + "attn.proj.weight": [d, d], p + "attn.proj.bias": [d]}
    for k, shape in ((("gate_proj", [3420, d]), ("up_proj", [3420, d]), ("down_proj", [d, 3420])) if gated else
                     (("fc1", [5120, d]), ("fc2", [d, 5120]))):
        t.update({p + f"mlp.{k}.weight": shape, p + f"mlp.{k}.bias": shape[:1]})
    return t


GGUF_NAMES = (("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("model.layers.", "blk."),
              ("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm"), ("self_attn.q_norm", "attn_q_norm"),
              ("self_attn.k_norm", "attn_k_norm"), ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"),
              ("self_attn.v_proj", "attn_v"), ("self_attn.o_proj", "attn_output"), ("mlp.gate_proj", "ffn_gate"),
              ("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"))


def llama_names(t):
    out = {}
    for name, shape in t.items():
        for a, b in GGUF_NAMES:
            name = name.replace(a, b)
        out[name] = shape
    return out


def language_gguf(path, t, arch, name, base=1e6):
    gguf(path, llama_names(t), {"general.architecture": arch, "general.name": name, arch + ".rope.freq_base": base})


def qwen_image(layered):
    d, p = 3072, "transformer_blocks.0."
    t = {"img_in.weight": [d, 64], "txt_in.weight": [d, 3584], "txt_norm.weight": [3584], "proj_out.weight": [64, d],
         "norm_out.linear.weight": [2 * d, d], "time_text_embed.timestep_embedder.linear_1.weight": [d, 256],
         "time_text_embed.timestep_embedder.linear_2.weight": [d, d]}
    for k in ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"):
        t[p + f"attn.{k}.weight"] = [d, d]
    for k in ("norm_q", "norm_k", "norm_added_q", "norm_added_k"):
        t[p + f"attn.{k}.weight"] = [128]
    for s in ("img", "txt"):
        t.update({p + s + "_mod.1.weight": [6 * d, d], p + s + "_mlp.net.0.proj.weight": [4 * d, d],
                  p + s + "_mlp.net.2.weight": [d, 4 * d]})
    for k in [k for k in t if not k.endswith(("norm_q.weight", "norm_k.weight", "norm_added_q.weight", "norm_added_k.weight",
                                              "txt_norm.weight"))]:
        t[k.replace(".weight", ".bias")] = t[k][:1]
    if layered:
        t["time_text_embed.addition_t_embedding.weight"] = [2, d]
    return t


def wan_vae(channels):
    t = {"conv1.weight": [32, 32, 1, 1, 1], "conv2.weight": [16, 16, 1, 1, 1], "encoder.conv1.weight": [96, channels, 3, 3, 3],
         "decoder.conv1.weight": [384, 16, 3, 3, 3], "decoder.head.2.weight": [channels, 96, 3, 3, 3],
         "decoder.head.0.gamma": [96, 1, 1, 1], "encoder.head.0.gamma": [384, 1, 1, 1], "encoder.head.2.weight": [32, 384, 3, 3, 3]}
    for side in ("encoder", "decoder"):
        for i in (0, 2):
            p = f"{side}.middle.{i}.residual."
            t.update({p + "0.gamma": [384, 1, 1, 1], p + "2.weight": [384, 384, 3, 3, 3], p + "3.gamma": [384, 1, 1, 1],
                      p + "6.weight": [384, 384, 3, 3, 3]})
        p = f"{side}.middle.1."
        t.update({p + "norm.gamma": [384, 1, 1], p + "to_qkv.weight": [1152, 384, 1, 1], p + "proj.weight": [384, 384, 1, 1]})
    return t


def flux2_vae(bn):
    t = {"encoder.conv_in.weight": [128, 3, 3, 3], "encoder.conv_out.weight": [64, 512, 3, 3], "decoder.conv_in.weight": [512, 32, 3, 3],
         "decoder.conv_out.weight": [3, 128, 3, 3], "encoder.quant_conv.weight": [64, 64, 1, 1],
         "decoder.post_quant_conv.weight": [32, 32, 1, 1]}
    for side in ("encoder", "decoder"):
        for k in ("q", "k", "v", "proj_out"):
            t[f"{side}.mid.attn_1.{k}.weight"] = [512, 512, 1, 1]
        t[f"{side}.mid.attn_1.norm.weight"] = [512]
        for i in (1, 2):
            for k in (1, 2):
                t[f"{side}.mid.block_{i}.conv{k}.weight"] = [512, 512, 3, 3]
                t[f"{side}.mid.block_{i}.norm{k}.weight"] = [512]
    if bn:
        t.update({"bn.running_mean": [128], "bn.running_var": [128]})
    return t


def config(folder, **values):
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(values, f)


# ---- what is written -------------------------------------------------------------------------------------------------

def originals(d):
    safetensors(d + "/flux-2-klein-4b.safetensors", flux2(3072, 7680))
    safetensors(d + "/qwen_3_4b.safetensors", qwen3())
    language_gguf(d + "/Qwen3-4B.gguf", qwen3(), "qwen3", "Qwen3-4B")
    safetensors(d + "/Qwen3-4B/model.safetensors", qwen3())
    config(d + "/Qwen3-4B", model_type="qwen3", rope_theta=1000000)
    safetensors(d + "/qwen_2.5_vl_7b.safetensors", dict(qwen2_5(), **eyes(True)))
    language_gguf(d + "/Qwen2.5-VL-7B.gguf", qwen2_5(), "qwen2vl", "Qwen2.5 VL 7B Instruct")
    safetensors(d + "/qwen_image_layered.safetensors", qwen_image(True))
    safetensors(d + "/qwen_image_layered_vae.safetensors", wan_vae(4))
    safetensors(d + "/flux2-vae.safetensors", flux2_vae(True))


def impostors(d):
    safetensors(d + "/FLUX.2-dev.safetensors", flux2(6144, 15360, True))
    safetensors(d + "/qwen3vl_4b.safetensors", dict(qwen3(), **{"visual.blocks.0.attn.qkv.weight": [3072, 1024]}))
    safetensors(d + "/qwen3vl_4b-hf.safetensors", dict(qwen3(), **{"model.visual.blocks.0.attn.qkv.weight": [3072, 1024]}))
    language_gguf(d + "/Qwen3-VL-4B.gguf", qwen3(), "qwen3vl", "Qwen3-VL-4B-Instruct", 5e6)
    language_gguf(d + "/Qwen3-4B-Instruct-2507.gguf", qwen3(), "qwen3", "Qwen3-4B-Instruct-2507", 5e6)
    safetensors(d + "/Qwen3-4B-Thinking-2507/model.safetensors", qwen3())
    config(d + "/Qwen3-4B-Thinking-2507", model_type="qwen3", rope_theta=5000000)
    language_gguf(d + "/Qwen3-Embedding-4B.gguf", qwen3(), "qwen3", "Qwen3 Embedding 4B")
    safetensors(d + "/Qwen2.5-7B.safetensors", qwen2_5())
    language_gguf(d + "/Qwen2.5-7B.gguf", qwen2_5(), "qwen2", "Qwen2.5 7B Instruct")
    safetensors(d + "/Qwen2-VL-7B.safetensors", dict(qwen2_5(), **eyes(False)))
    language_gguf(d + "/Qwen2-VL-7B.gguf", qwen2_5(), "qwen2vl", "Qwen2-VL-7B-Instruct")
    safetensors(d + "/qwen_image.safetensors", qwen_image(False))
    safetensors(d + "/qwen_image_vae.safetensors", wan_vae(3))
    safetensors(d + "/ae-without-bn.safetensors", flux2_vae(False))
    safetensors(d + "/mlx-4bit.safetensors", {"transformer_blocks.0.attn.to_q.weight": ("U32", [3072, 384]),
                                              "transformer_blocks.0.attn.to_q.scales": [3072, 48],
                                              "x_embedder.weight": [3072, 128]})


originals(sys.argv[1] + "/originals")
impostors(sys.argv[1] + "/impostors")
