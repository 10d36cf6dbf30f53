"""packets.py [--cut] FILE [PROMPT] - prints the IPTC term in the XMP packet of a PNG, JPEG, WebP or PSD; nothing where the
file has no packet. The recipe in it must begin with the prompt; with --cut it must have been cut, which is said behind the
term. Files are taken apart by their formats' rules, and not by searching."""

import struct
import sys
import xml.etree.ElementTree as xml
import zlib

IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
RECIPE = "{urn:veetance:image:}recipe"
TERMS = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def of_png(data):
    at = 8
    while at < len(data):
        n, name = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + n]
        assert struct.unpack(">I", data[at + 8 + n:at + 12 + n])[0] == zlib.crc32(name + body)
        if name == b"iTXt" and body.startswith(b"XML:com.adobe.xmp\0"):
            assert body[18:22] == b"\0\0\0\0", body[:24]  # not packed, no language, no translation
            yield body[22:]
        at += 12 + n


def of_jpeg(data):
    at = 2
    while data[at + 1] != 0xDA:
        n = struct.unpack(">H", data[at + 2:at + 4])[0]
        body = data[at + 4:at + 2 + n]
        if data[at + 1] == 0xE1 and body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            yield body[29:]
        at += 2 + n


def of_webp(data):
    assert len(data) == 8 + struct.unpack("<I", data[4:8])[0]
    at = 12
    while at < len(data):
        name, n = struct.unpack("<4sI", data[at:at + 8])
        if name == b"VP8X":
            flags = data[at + 8]
        if name == b"XMP ":
            assert flags & 4
            yield data[at + 8:at + 8 + n]
        at += 8 + n + n % 2


def of_psd(data):
    at = 26
    at += 4 + struct.unpack(">I", data[at:at + 4])[0]
    end = at + 4 + struct.unpack(">I", data[at:at + 4])[0]
    at += 4
    while at < end:
        assert data[at:at + 4] == b"8BIM"
        kind, name = struct.unpack(">HB", data[at + 4:at + 7])
        at += 7 + name + (name + 1) % 2
        n = struct.unpack(">I", data[at:at + 4])[0]
        if kind == 1060:
            yield data[at + 4:at + 4 + n]
        at += 4 + n + n % 2
    assert at == end


def packets(data):
    for magic, reader in ((b"\x89PNG", of_png), (b"\xff\xd8", of_jpeg), (b"RIFF", of_webp), (b"8BPS", of_psd)):
        if data.startswith(magic):
            return list(reader(data))
    raise ValueError("no file of a kind that is known here")


def main(arguments):
    cut = arguments[0] == "--cut"
    path, prompt = (arguments[cut:] + [""])[:2]
    with open(path, "rb") as f:
        found = packets(f.read())
    assert len(found) <= 1, found
    for packet in found:
        assert packet.startswith(b"<?xpacket begin=\"\xef\xbb\xbf\"") and packet.endswith(b"<?xpacket end=\"w\"?>")
        assert len(packet) <= 65504
        root = xml.fromstring(packet)
        recipe = root.find(f".//{RECIPE}").text or ""
        assert recipe.startswith(prompt), recipe
        assert ("[cut]\nSteps: " in recipe) == cut, recipe[-200:]
        term = root.find(f".//{IPTC}").text
        assert term.startswith(TERMS), term
        print(term[len(TERMS):] + (" cut" if cut else ""))


if __name__ == "__main__":
    main(sys.argv[1:])
