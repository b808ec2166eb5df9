#!/usr/bin/python3
# label: email
# timeout: 240
"""What is wrong with mail on its way in, row by row (tests/vectors/bad_mail.json): over a real socket, against parleyd. Each row says
what is sent, which codes are answered, whether the connection ends, and what is stored."""

import json
import os
import re
import socket
import sys
import time

from parley_mail_in import channel
from parley_test import TOP, Daemon, expect, expect_true, free_port, run, test, wait_until

QUIET_S = 0.1   # nothing more is said
ANSWER_S = 10
MIB = 1 << 20


def expand(text):
    """{{x*1000}} is x a thousand times; latin-1 stands for bytes."""
    return re.sub(r"\{\{(.*?)\*(\d+)\}\}", lambda found: found.group(1) * int(found.group(2)), text, flags=re.S).encode("latin-1")


class Talk:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S)
        self.buffer, self.ended = b"", False

    def close(self):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            self.ended = True

    def read(self, wait_s):
        self.socket.settimeout(wait_s)
        try:
            got = self.socket.recv(65536)
            self.ended = self.ended or not got
            self.buffer += got
            return bool(got)
        except (TimeoutError, socket.timeout):
            return False
        except OSError:
            self.ended = True
            return False

    def codes(self, count):
        """The codes of `count` replies, or of all that come before the end."""
        end = time.monotonic() + ANSWER_S
        while len(self.replies()) < count and not self.ended and time.monotonic() < end:
            self.read(ANSWER_S)
        self.read(QUIET_S)
        found, self.buffer = self.replies(), b""
        return found

    def replies(self):
        return [int(line[:3]) for line in self.buffer.split(b"\r\n")[:-1] if line[3:4] == b" "]

    def is_over(self):
        end = time.monotonic() + ANSWER_S
        while not self.ended and time.monotonic() < end:
            self.read(0.2)
        return self.ended


def stored(daemon):
    items = daemon.get("/v1/messages?direction=in&limit=200").json["items"]
    return [daemon.get(f"/v1/messages/{item['id']}").json for item in items]


def check_content(row, kept):
    whole = json.dumps(kept, ensure_ascii=False)
    for word in row.get("holds", []):
        expect_true(word in whole, f"{word!r} in {whole[:600]}")
    for word in row.get("lacks", []):
        expect_true(word not in whole, f"{word!r} not in {whole[:600]}")


def say(row, talk):
    for step, codes in row["talk"]:
        talk.send(expand(step))
        expect(talk.codes(len(codes)), codes, f"after {step[-60:]!r}")


def check_row(row, ports, daemon):
    before = {message["id"] for message in stored(daemon)}
    talk = Talk(ports[row.get("protocol", "lmtp")])
    try:
        expect(talk.codes(1), [220])
        say(row, talk)
        if row.get("drop"):
            expect_true(talk.is_over(), "the connection ends")
        else:
            talk.send(b"NOOP\r\n")
            expect(talk.codes(1), [250], "the connection goes on")
    finally:
        talk.close()
    new = [message for message in stored(daemon) if message["id"] not in before]
    expect(len(new), row.get("stored", 0), "mails stored")
    if new:
        check_content(row, new[0])


@test
def every_row_is_answered_as_listed(folder):
    with open(os.path.join(TOP, "tests/vectors/bad_mail.json"), encoding="utf-8") as file:
        rows = json.load(file)
    ports = {"lmtp": free_port(), "smtp": free_port()}
    channels = {"lmtp": channel(ports["lmtp"], addresses=["support", "sales"]), "smtp": channel(ports["smtp"], protocol="smtp")}
    wrong = []
    with Daemon(folder, channels=channels) as daemon:
        for row in rows:
            try:
                check_row(row, ports, daemon)
            except Exception as error:  # all rows are tried
                wrong.append(f"{row['b']} {row['name']}: {error}")
        wait_until(lambda: daemon.get("/healthz").status == 200, "parleyd is well")
    expect_true(not wrong, f"{len(wrong)} of {len(rows)} rows:\n" + "\n".join(wrong))


if __name__ == "__main__":
    sys.exit(run())
