"""Makes the text encoders.

    python3 train_text.py klein --tokenizer tokenizer --out text_encoder --steps 800
    python3 train_text.py layered --tokenizer tokenizer --out text_encoder --processor processor

klein: a Qwen3 of 28 thin layers. The first nine learn to parse the prompt: from the hidden states after them, at the four template
tokens that follow the prompt, linear heads must read off what was asked for (words.SLOTS). The others stay as drawn, with small
outputs, so the taps after layers 18 and 27 are noisy copies of the first. It is no language model.
layered: a Qwen2.5-VL of four layers, left as drawn; the prompt hardly matters there."""

import argparse
import math
import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer, Qwen2VLImageProcessor
from transformers import Qwen2VLProcessor, Qwen2VLVideoProcessor, Qwen3Config, Qwen3ForCausalLM

import encoders
import scenes
import words

VOCABULARY = 640
TRAINED = encoders.TAPS[0]
HEADS = [words.SLOTS[:3]] + [words.OBJECT_SLOTS] * 3  # read at the first, second, ... token after the prompt


def build_klein(tokenizer):
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=28,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=4096,
        rope_theta=1000000.0,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen3ForCausalLM(config).float()
    with torch.no_grad():
        model.model.embed_tokens.weight.normal_(0, 1)
        for i, layer in enumerate(model.model.layers):
            for name, p in layer.named_parameters():
                if p.ndim == 2:
                    outward = "o_proj" in name or "down_proj" in name
                    p.normal_(0, (0.5 if i < TRAINED else 0.25) ** outward / math.sqrt(p.shape[1]))
    return model


def first_tap(model, ids, attention):
    """Hidden states after the trained layers, without running the rest"""
    inner, layers, norm = model.model, model.model.layers, model.model.norm
    inner.layers, inner.norm, inner.config.num_hidden_layers = layers[:TRAINED], nn.Identity(), TRAINED
    out = inner(input_ids=ids, attention_mask=attention, use_cache=False).last_hidden_state
    inner.layers, inner.norm, inner.config.num_hidden_layers = layers, norm, len(layers)
    return out


def said(rng, want_held_out):
    """-> (text, slots)"""
    if rng.random() < 0.02:
        return "", [words.OPERATIONS.index("empty")] + [0] * (len(words.SLOTS) - 1)
    scene = scenes.draw_where(rng, scenes.random_scene, want_held_out)
    edit = scenes.random_edit(rng, scene) if rng.random() < 0.4 else None
    return words.instruction(rng, scene, *edit[1:]) if edit else words.caption(rng, scene)


def slot_loss(model, heads, tokenizer, examples, device):
    """-> (sum of the cross-entropies of all slots, share of examples with every slot right)"""
    ids, attention = (t.to(device) for t in encoders.klein_ids(tokenizer, [t for t, _ in examples]))
    slots = torch.tensor([s for _, s in examples], device=device)
    hidden = first_tap(model, ids, attention)
    end = (ids == tokenizer.convert_tokens_to_ids("<|im_end|>")).float().argmax(1)
    loss, right, slot = 0, torch.ones(len(ids), dtype=torch.bool, device=device), 0
    for k, (head, sizes) in enumerate(zip(heads, HEADS)):
        scores = head(hidden[torch.arange(len(ids)), (end + k).clamp(max=ids.shape[1] - 1)])
        for part in scores.split(sizes, 1):
            loss = loss + F.cross_entropy(part, slots[:, slot])
            right &= part.argmax(1) == slots[:, slot]
            slot += 1
    return loss, right.float().mean()


def train_klein(a):
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = Qwen2Tokenizer.from_pretrained(a.tokenizer)
    model = build_klein(tokenizer).to(device)
    heads = nn.ModuleList([nn.Linear(64, sum(sizes)) for sizes in HEADS]).to(device)
    params = [*model.model.layers[:TRAINED].parameters(), model.model.embed_tokens.weight, *heads.parameters()]
    opt = torch.optim.AdamW(params, lr=a.lr, betas=(0.9, 0.98), weight_decay=0.01)
    rng, held = random.Random(42), random.Random(77)
    held = [said(held, True) for _ in range(256)]
    for step in range(a.steps):
        for g in opt.param_groups:
            g["lr"] = a.lr * min((step + 1) / 50, 1 - step / a.steps)
        loss, right = slot_loss(model, heads, tokenizer, [said(rng, False) for _ in range(a.batch)], device)
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        if (step + 1) % 100 == 0:
            with torch.no_grad():
                held_loss, held_right = slot_loss(model, heads, tokenizer, held, device)
            print(f"step {step + 1}  loss {loss.item():.3f}  held out {held_loss.item():.3f}, all slots right {held_right.item():.3f}")
    model.to(torch.bfloat16).save_pretrained(a.out)


def make_layered(a):
    torch.manual_seed(1)
    tokenizer = Qwen2Tokenizer.from_pretrained(a.tokenizer)
    token = tokenizer.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(
        text_config=dict(
            vocab_size=VOCABULARY,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=4,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=4096,
            rope_theta=1000000.0,
            rope_scaling=dict(type="mrope", rope_type="default", mrope_section=[4, 6, 6]),
            tie_word_embeddings=False,
            pad_token_id=token("<|endoftext|>"),
            eos_token_id=token("<|im_end|>"),
            bos_token_id=token("<|endoftext|>"),
        ),
        vision_config=dict(
            depth=2,
            hidden_size=32,
            intermediate_size=64,
            num_heads=2,
            patch_size=14,
            spatial_merge_size=2,
            temporal_patch_size=2,
            window_size=112,
            out_hidden_size=64,
            fullatt_block_indexes=[1],
            hidden_act="silu",
        ),
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=False,
    )
    model = Qwen2_5_VLForConditionalGeneration(config).float()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "embed_tokens" in name:
                p.normal_(0, 1)
            elif p.ndim == 2 and "language_model" in name:
                outward = "o_proj" in name or "down_proj" in name
                p.normal_(0, 0.4**outward / math.sqrt(p.shape[1]))
    model.to(torch.bfloat16).save_pretrained(a.out)
    pictures = Qwen2VLImageProcessor(min_pixels=3136, max_pixels=12845056, patch_size=14, temporal_patch_size=2, merge_size=2)
    Qwen2VLProcessor(
        image_processor=pictures, tokenizer=tokenizer, video_processor=Qwen2VLVideoProcessor(), chat_template=tokenizer.chat_template
    ).save_pretrained(a.processor)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("kind", choices=["klein", "layered"])
    ap.add_argument("--tokenizer", required=True)
    ap.add_argument("--out", required=True)
    ap.add_argument("--processor", default="processor", help="layered: where the image processor goes")
    ap.add_argument("--steps", type=int, default=800)
    ap.add_argument("--batch", type=int, default=96)
    ap.add_argument("--lr", type=float, default=3e-3)
    a = ap.parse_args()
    train_klein(a) if a.kind == "klein" else make_layered(a)


if __name__ == "__main__":
    main()
