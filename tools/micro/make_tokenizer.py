"""Makes the byte-level BPE tokenizer both models share: the pre-tokenizer and special tokens of Qwen, 613 entries from our captions.

    python3 make_tokenizer.py --out tokenizer"""

import argparse
import json
import random

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

import scenes
import words

VOCABULARY = 998  # at most; the captions hold fewer distinct words
SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>",
    "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
]  # fmt: skip
PLAIN = [
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>",
    "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>",
]  # fmt: skip
CHAT_TEMPLATE = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"
)
# The layered pipeline cuts the first 34 tokens of its prompt: with these words as whole tokens its fixed prefix is 34 long here too.
PREFIX = (
    "system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial relationships of the objects "
    "and background:\nuser\nassistant\n"
)


def corpus(seed=5):
    rng = random.Random(seed)
    for _ in range(6000):
        scene = scenes.random_scene(rng)
        yield words.caption(rng, scene)[0]
        edit = scenes.random_edit(rng, scene)
        if edit:
            yield words.instruction(rng, scene, *edit[1:])[0]
    yield from [PREFIX] * 400
    more = ["You are a helpful assistant.", "move the bigger smaller to left right up down swap shapes icon scene two three one four"]
    for text in words.LAYER_PROMPTS + more:
        yield from [text] * 200


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--out", required=True)
    a = ap.parse_args()
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), "isolated")
    t.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    t.train_from_iterator(
        corpus(), trainers.BpeTrainer(vocab_size=VOCABULARY, min_frequency=2, initial_alphabet=alphabet, show_progress=False)
    )
    bpe = json.loads(t.to_str())["model"]
    merges = [tuple(m) for m in bpe["merges"]]
    tokenizer = Qwen2Tokenizer(
        vocab=bpe["vocab"], merges=merges, eos_token="<|im_end|>", pad_token="<|endoftext|>", unk_token=None, model_max_length=131072
    )
    tokenizer.add_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    tokenizer.add_tokens([AddedToken(s, special=False, normalized=False) for s in PLAIN])
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(a.out)
    # the older file pair, for readers that do not know tokenizer.json
    with open(f"{a.out}/vocab.json", "w") as f:
        json.dump(bpe["vocab"], f, ensure_ascii=False)
    with open(f"{a.out}/merges.txt", "w") as f:
        f.write("#version: 0.2\n" + "".join(" ".join(m) + "\n" for m in merges))
    print(len(bpe["vocab"]), "entries")


if __name__ == "__main__":
    main()
