"""add_tokenizer.py IN.gguf TOKENIZER.json OUT.gguf: writes a tokenizer into a GGUF file's metadata, as llama.cpp's
converter does."""
import json
import struct
import sys


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def strings(key, values):
    return text(key) + struct.pack("<IIQ", 9, 8, len(values)) + b"".join(map(text, values))


def integers(key, values):
    return text(key) + struct.pack("<IIQ", 9, 5, len(values)) + struct.pack(f"<{len(values)}i", *values)


class Reader:
    SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def __init__(self, data):
        self.data, self.at = data, 24

    def number(self, form):
        value = struct.unpack_from("<" + form, self.data, self.at)[0]
        self.at += struct.calcsize("<" + form)
        return value

    def skip_text(self):
        length = self.number("Q")
        self.at += length

    def skip_value(self, kind):
        if kind == 8:
            self.skip_text()
        elif kind == 9:
            inner, count = self.number("I"), self.number("Q")
            for _ in range(count):
                self.skip_value(inner)
        else:
            self.at += self.SIZES[kind]


def main():
    source, tokenizer_path, target = sys.argv[1:]
    with open(source, "rb") as file:
        data = file.read()
    with open(tokenizer_path, encoding="utf-8") as file:
        tokenizer = json.load(file)
    tensors, keys = struct.unpack_from("<QQ", data, 8)
    reader = Reader(data)
    for _ in range(keys):
        reader.skip_text()
        reader.skip_value(reader.number("I"))
    for _ in range(tensors):
        reader.skip_text()
        dims = reader.number("I")
        reader.at += 8 * dims + 12
    vocab = dict(tokenizer["model"]["vocab"])
    kinds = {}
    for added in tokenizer["added_tokens"]:
        vocab[added["content"]] = added["id"]
        kinds[added["id"]] = 3 if added["special"] else 4
    tokens = sorted(vocab, key=vocab.get)
    merges = [m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]]
    extra = [
        text("tokenizer.ggml.model") + struct.pack("<I", 8) + text("gpt2"),
        text("tokenizer.ggml.pre") + struct.pack("<I", 8) + text("qwen2"),
        strings("tokenizer.ggml.tokens", tokens),
        integers("tokenizer.ggml.token_type", [kinds.get(vocab[t], 1) for t in tokens]),
        strings("tokenizer.ggml.merges", merges),
        text("tokenizer.ggml.padding_token_id")
        + struct.pack("<II", 4, vocab["<|endoftext|>"]),
    ]
    head = data[:16] + struct.pack("<Q", keys + len(extra)) + b"".join(extra) + data[24:reader.at]
    payload = data[(reader.at + 31) // 32 * 32:]
    with open(target, "wb") as file:
        file.write(head + bytes(-len(head) % 32) + payload)


main()
