#!/usr/bin/python3
# label: sms
# timeout: 120
"""Phone numbers against what is not written here: the example numbers of all regions and kinds, as google-libphonenumber (JavaScript,
with newer tables than Debian's) writes them in ten ways, become the same E.164; and a table of mobile numbers that needs no peer."""

import json
import os
import subprocess
from collections import Counter

from parley_peers import peer_env
from parley_test import BUILD_DIR, TOP, expect, expect_true, need_tool, run, test

PHONE_DIGITS_MIN = 7
PLAN_IS_NEWER = {"BJ"}  # two digits more since 2024, which Debian 12's tables don't know in national format
NEWER_TABLES_SHARE_MAX = 0.01  # numbering plans change: what the two editions read differently, for want of the other's tables


def ours(rows):
    path = os.path.join(BUILD_DIR, "tests", "phone_lines")
    lines = "".join(f"{country}\t{raw}\n" for country, raw in rows)
    return subprocess.run([path], input=lines, capture_output=True, text=True, check=True).stdout.splitlines()


@test
def a_mobile_number_of_each_region_is_read_in_three_formats():
    with open(os.path.join(TOP, "tests/vectors/phone/mobile_examples.tsv"), encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
    expect_true(len(rows) > 240, f"all regions: {len(rows)}")
    for form in (1, 2, 3):
        for row, got in zip(rows, ours([(row[0], row[form]) for row in rows])):
            if form == 1 and row[0] in PLAN_IS_NEWER:
                continue
            expect(got, row[3], f"{row[0]} '{row[form]}'")


@test
def the_corpus_is_read_as_by_google_libphonenumber():
    made = subprocess.run([need_tool("node"), os.path.join(TOP, "tests/contract/phone_numbers.cjs")], env=peer_env("numbers"),
                          capture_output=True, text=True, check=True).stdout
    rows = [json.loads(line) for line in made.splitlines()]
    got = ours([(row["country"], row["raw"]) for row in rows])
    expect(len(got), len(rows))
    compared, differs = Counter(), []
    for row, answer in zip(rows, got):
        number = None if answer.startswith("!") else answer
        wanted = row["e164"] if row["e164"] and len(row["e164"]) > PHONE_DIGITS_MIN else None  # shorter ones we don't take
        compared[row["style"]] += 1
        if number != wanted:
            differs.append(f"{row['of']} {row['style']} '{row['raw']}' in {row['country']}: {answer}, theirs {row['e164']}")
    print("# " + ", ".join(f"{style} {count}" for style, count in compared.items()) + f"; {len(differs)} read differently")
    for line in differs:
        print(f"#   {line}")
    expect_true(len(rows) > 5000 and min(compared.values()) > 200, f"a corpus of all regions: {compared}")
    expect_true(len(differs) <= len(rows) * NEWER_TABLES_SHARE_MAX, f"{len(differs)} of {len(rows)} differ: {differs[:5]}")


if __name__ == "__main__":
    run()
