#!/usr/bin/python3
# label: email
# timeout: 120
"""Templates against what is not written here: every case of the official Mustache specification (its JSON files, in the folder
that PARLEY_MUSTACHE_SPEC names or in shared/vectors/mustache above the sources), and mustache.js on random templates."""

import json
import os
import random
import subprocess

from parley_peers import Peer
from parley_test import BUILD_DIR, TOP, Skip, expect, expect_true, run, test

OPTIONAL = {"dynamic-names.json", "inheritance.json"}
RANDOM_TEMPLATES = 3000


class Ours:
    def __init__(self):
        path = os.path.join(BUILD_DIR, "tests", "mustache_lines")
        expect_true(os.path.exists(path), "mustache_lines is built")
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


def spec_folder():
    named = os.environ.get("PARLEY_MUSTACHE_SPEC")
    if named:
        return named
    above = TOP
    while os.path.dirname(above) != above:
        above = os.path.dirname(above)
        found = os.path.join(above, "shared", "vectors", "mustache")
        if os.path.isdir(found):
            return found
    raise Skip("the Mustache specification is not here: name its folder in PARLEY_MUSTACHE_SPEC")


@test
def every_case_of_the_specification_comes_out_as_it_says():
    folder, counts = spec_folder(), {}
    with Ours() as ours:
        for name in sorted(os.listdir(folder)):
            if not name.endswith(".json") or name in OPTIONAL or name.startswith("~"):
                continue
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                cases = json.load(file)["tests"]
            for case in cases:
                got = ours.ask(template=case["template"], data=case["data"], partials=case.get("partials", {}))
                expect(got.get("result", got), case["expected"], f"{name}: {case['name']}: {case['desc']}")
            counts[name] = len(cases)
    print("# " + ", ".join(f"{name} {count}" for name, count in counts.items()) + f": {sum(counts.values())} cases")
    expect_true(sum(counts.values()) >= 120, f"all files are there: {counts}")


# --- random templates ---

WORDS = ["order", "name", "items", "note", "total", "zero", "empty", "nothing", "yes", "no", "person", "deep"]
TEXTS = ["Dear ", "\n", " ", "  ", "\n\n", "<b>", "</b>", "& \"so\" 'on'", "}", "{ ", "ü€😀", ".", "\t"]
LEAVES = ["Ana", "", "<&\"'>", 0, 7, 1.5, True, False, None, "two\nlines"]


def random_value(draw, depth):
    roll = draw.random()
    if depth == 0 or roll < 0.5:
        return draw.choice(LEAVES)
    if roll < 0.8:
        return {name: random_value(draw, depth - 1) for name in draw.sample(WORDS, 4)}
    return [random_value(draw, depth - 1) for _ in range(draw.randrange(4))]


def random_tag(draw, inside):
    """Alone in its line, or within words: of lines with several tags and nothing else mustache.js has its own opinion."""
    if draw.random() < 0.5:
        return f"\n{draw.choice(['', ' ', '   '])}{{{{{inside}}}}}{draw.choice(['', ' '])}\n"
    return f"|{{{{{inside}}}}}|"


def random_template(draw, depth, partials):
    parts = []
    for _ in range(draw.randrange(1, 7)):
        roll, word = draw.random(), draw.choice(WORDS)
        if roll < 0.4:
            parts.append(draw.choice(TEXTS))
        elif roll < 0.6:
            parts.append("." + draw.choice(["{{%s}}", "{{{%s}}}", "{{&%s}}", "{{ %s }}"]) % word)
        elif roll < 0.85 and depth > 0:
            body = random_template(draw, depth - 1, partials)
            parts.append(random_tag(draw, draw.choice("#^") + word) + body + random_tag(draw, "/" + word))
        elif roll < 0.9:
            parts.append(random_tag(draw, f"! {word} "))
        elif partials:
            parts.append(f"\n{draw.choice(['', '  '])}{{{{>{draw.choice(partials)}}}}}\n")
    return "".join(parts)


def comparable(ours, theirs):
    """mustache.js writes an object or a list somehow, where ours says which value it is; and it stumbles over a null in a list."""
    return ours.get("error") != "wrong_type" and "Cannot read properties" not in theirs.get("error", "")


@test
def random_templates_come_out_as_from_mustache_js():
    seed = int(os.environ.get("PARLEY_SEED") or random.randrange(1 << 32))
    draw = random.Random(seed)
    compared = 0
    print(f"# PARLEY_SEED={seed}")
    with Peer("mustache", "tests/contract/mustache.cjs") as theirs, Ours() as ours:
        for _ in range(RANDOM_TEMPLATES):
            partials = {"row": random_template(draw, 1, []), "foot": random_template(draw, 1, [])}
            case = {"template": random_template(draw, 3, sorted(partials)), "partials": partials,
                    "data": {name: random_value(draw, 3) for name in draw.sample(WORDS, 9)}}
            got, want = ours.ask(**case), theirs.ask(case)
            if not comparable(got, want):
                continue
            compared += 1
            expect(got, want, json.dumps(case))
    print(f"# {compared} of {RANDOM_TEMPLATES} compared")
    expect_true(compared > RANDOM_TEMPLATES / 3, "most can be compared")


if __name__ == "__main__":
    run()
