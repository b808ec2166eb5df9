#!/usr/bin/python3
# label: sms
# timeout: 240
"""SMPP with two that know nothing of ours: libsmpp34 reads our PDUs and we read its (smpp_oracle.c), and Net::SMPP is a message centre
that the daemon binds to."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from parley_smpp import FROM, password_file  # noqa: E402
from parley_test import BUILD_DIR, FULL, TOP, Daemon, Failure, expect, expect_true, need_tool, run, skip, test  # noqa: E402

PDUS = 200000 if FULL else 20000


@test
def libsmpp34_and_we_read_the_same_in_each_others_pdus():
    program = os.path.join(BUILD_DIR, "tests", "smpp_oracle")
    if not os.path.exists(program):
        skip("missing libsmpp34-dev")
    done = subprocess.run([program, str(PDUS)], capture_output=True, text=True, timeout=200)
    expect(done.stdout.count("ok - ") - done.stdout.count("not ok"), 3, done.stdout[-1000:] + done.stderr)
    expect(done.returncode, 0)


class NetSmpp:
    def __enter__(self):
        need_tool("perl")
        if subprocess.run(["perl", "-MNet::SMPP", "-e", "1"], capture_output=True).returncode != 0:
            skip("missing libnet-smpp-perl")
        self.process = subprocess.Popen(["perl", os.path.join(TOP, "tests", "contract", "smpp_netsmpp.pl")], stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.port = self.next("port")["port"]
        return self

    def next(self, member):
        """The next line that has this member."""
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise Failure(f"Net::SMPP ended with {self.process.wait()}")
            said = json.loads(line)
            if member in said:
                return said

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def channel(folder, port, **options):
    return {"plugin": "smpp", "options": {"url": f"smpp://127.0.0.1:{port}", "user": "shop", "from": FROM,
                                          "password": {"file": password_file(folder)}, **options}}


@test
def a_second_message_centre_takes_receipts_and_answers_as_the_first(folder):
    with NetSmpp() as centre, Daemon(folder, channels={"sms": channel(folder, centre.port)}) as daemon:
        message = daemon.send("Größe {1} €", to={"phone": "+34600111222"})
        got = centre.next("text")
        expect((bytes.fromhex(got["text"]), got["to"], got["coding"], got["registered"]), (b"Gr\x7c\x1ee \x1b\x281\x1b\x29 \x1be", "34600111222", 0, 1))
        expect_true(got["validity"].endswith("000R"), got["validity"])
        daemon.wait_status(message, "delivered")
        daemon.wait_status(daemon.send("Привет", to={"phone": "+34600111222"}), "delivered")
        got = centre.next("text")
        expect((bytes.fromhex(got["text"]).decode("utf-16-be"), got["coding"]), ("Привет", 8))
        daemon.wait_status(daemon.send("echo where is it?", to={"phone": "+34600111222"}), "delivered")
        expect(centre.next("reply")["reply"], 0)
        conversation = daemon.get("/v1/conversations").json["items"]
        expect(len(conversation), 1)
        expect(daemon.stop(), 0)


@test
def a_transmitter_of_a_second_message_centre(folder):
    with NetSmpp() as centre, Daemon(folder, channels={"sms": channel(folder, centre.port, bind="transmitter")}) as daemon:
        daemon.wait_status(daemon.send("hello", to={"phone": "+34600111222"}), "sent")
        expect(daemon.stop(), 0)


if __name__ == "__main__":
    raise SystemExit(run())
