#!/usr/bin/python3
# label: sms
# timeout: 900
"""SMS segments against what is not written here: sms-segments-calculator (Twilio's), gsm and split-sms count and cut 10,000 texts as we
do; what they say of typographic characters is looked over as well."""

import json
import os
import random
import re
import subprocess

from parley_peers import Peer
from parley_test import BUILD_DIR, TOP, expect, expect_true, run, test

TEXTS = int(os.environ.get("PARLEY_TEXTS") or 10000)
WORDS = ["order", "1042", "is", "on", "its", "way", "Ana,", "thank", "you!", "https://shop.example/o/1042", "12:30", "(net)", "a-b"]
GSM = ["¿Qué", "café", "señor", "Müller", "Ærø", "ΔΦΓ", "£5", "à", "Ç", "ß", "§1"]
ESCAPED = ["€", "[", "]", "{", "}", "|", "~", "^", "\\"]
OTHERS = ["ž", "ó", "ç", "Привет", "日本", "مرحبا", "’", "“so”", "…", "–", "\u00a0", "`", "\t"]
WIDE = ["😀", "👩‍👩‍👧‍👦", "🇪🇸", "👍🏽", "𝒳", "e\u0301"]
EDGES = [70, 134, 160, 201, 306]
COMPOSED = re.compile("[\u0300-\u036f\u200d\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff]|\r\n")


class Ours:
    def __init__(self):
        path = os.path.join(BUILD_DIR, "tests", "segments_lines")
        expect_true(os.path.exists(path), "segments_lines is built")
        self.process = subprocess.Popen([path], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=10)
        self.process.stdout.close()


def random_text(draw):
    """Of one of five kinds of words, now and then with one of another; half of them end a few characters around an edge."""
    usual = draw.choice([WORDS, WORDS, WORDS + GSM, WORDS + GSM + ESCAPED, WORDS + OTHERS, WORDS + WIDE, ESCAPED, WIDE])
    rare = draw.choice([GSM, ESCAPED, OTHERS, WIDE])
    near = draw.random() < 0.5
    wanted = draw.choice(EDGES) + draw.randrange(-4, 5) if near else draw.randrange(1, 1000 if draw.random() < 0.03 else 200)
    text = ""
    while len(text) < wanted or text.isspace():  # blanks alone are no message
        text += draw.choice(rare if draw.random() < 0.01 else usual) + draw.choice(["", " ", " ", "\n", "\r\n"])
    return text[:wanted] if near else text


def utf16_units(text):
    return len(text.encode("utf-16-le")) // 2


def explained(name, text, got, want):
    """Where the others are not alike among themselves. Twilio's moves what is seen as one character into the next segment whole, which
    may take one more: networks and phones know nothing of that. gsm cuts through surrogate pairs, which may take one less."""
    if got["alphabet"] != want["alphabet"] or got["alphabet"] != "ucs2":
        return False
    if name == "twilio":
        return bool(COMPOSED.search(text)) and got["segments"] < want["segments"] <= got["segments"] + 2
    return name == "gsm" and len(text) < utf16_units(text) and want["segments"] == -(-utf16_units(text) // 67)


@test
def ten_thousand_texts_are_counted_and_cut_alike():
    seed = int(os.environ.get("PARLEY_SEED") or random.randrange(1 << 32))
    draw, counts, others = random.Random(seed), {}, {"twilio": 0, "gsm": 0}
    print(f"# PARLEY_SEED={seed}")
    with Peer("segments", "tests/contract/segments.cjs") as theirs, Ours() as ours:
        for _ in range(TEXTS):
            text = random_text(draw)
            got, want = ours.ask(text=text), theirs.ask({"text": text})
            counts[got["alphabet"]] = counts.get(got["alphabet"], 0) + 1
            expect("".join(got["texts"]), text, "nothing is lost")
            expect(got["whole"], got["segments"], f"sent whole: {text!r}")
            expect(got["units"], want["split"].pop("units"), f"units of each part, as split-sms: {text!r}")
            for name, said in want.items():
                if (got["alphabet"], got["segments"]) != (said["alphabet"], said["segments"]):
                    expect_true(explained(name, text, got, said), f"{name} says {said}, ours {got}: {text!r}")
                    others[name] += 1
    print(f"# {counts}; otherwise, and why is known: {others}")
    expect_true(min(counts.values()) > TEXTS / 10, "both alphabets")
    expect_true(sum(others.values()) < TEXTS / 20, "few are otherwise")


@test
def the_empty_text_is_no_message():
    """Twilio's and split-sms count one segment, gsm none: it is refused before it comes to that."""
    with Peer("segments", "tests/contract/segments.cjs") as theirs, Ours() as ours:
        expect(ours.ask(text=""), {"error": "nothing_left"})
        expect([theirs.ask({"text": ""})[name]["segments"] for name in ("twilio", "gsm", "split")], [1, 0, 1])


@test
def what_both_make_plain_becomes_the_same():
    """All that we replace, and whatever of it Twilio's smart encoding replaces. That has two blanks for a wide one, and a blank for a line
    separator; it knows less of what nobody sees, and more letters and signs that we leave alone."""
    alike, otherwise = [], []
    with Peer("segments", "tests/contract/segments.cjs") as theirs, Ours() as ours:
        for code in [0x09, *range(0x20, 0x300), *range(0x2000, 0x2070), *range(0x2200, 0x2240), *range(0x2580, 0x2780), 0x3000, 0x301D,
                     0x301E, 0xFEFF, 0xFF02, 0xFF07]:
            text = f"a{chr(code)}b"
            got = "".join(ours.ask(text=text, simplify=True)["texts"])
            if got == text:
                continue
            want = theirs.ask({"text": text, "simplify": True})["plain"]
            if got == want:
                alike.append(code)
            elif want != text and got.split() != want.split():
                otherwise.append((hex(code), got, want))
    print(f"# {len(alike)} are alike")
    expect(otherwise, [], "both make it plain, each its own way")
    expect_true(len(alike) >= 40, alike)


if __name__ == "__main__":
    run()
