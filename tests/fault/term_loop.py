#!/usr/bin/python3
# label: spine
# timeout: 300
# stores: sqlite postgres
"""SIGTERM under load: what settles while the daemon drains is neither lost nor marked, and the daemon ends in time."""

import random
import socketserver
import threading
import time

from parley_test import FULL, Daemon, Ledger, Load, Recorder, Reply, expect, judge, run, test

ROUNDS = 200 if FULL else 20
ANSWER_MAX_S = 0.05
DRAIN_S = 12
PACE_S = 0.004
GOODBYE_S = 0.3


class SlowGoodbye(socketserver.StreamRequestHandler):
    """An SMTP server that takes mails and thinks about QUIT before it answers."""

    def answer(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        self.answer("220 slow.example")
        while line := self.rfile.readline().strip().upper():
            if line.startswith(b"DATA"):
                self.answer("354 go on")
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
            elif line.startswith(b"QUIT"):
                time.sleep(GOODBYE_S)
                self.answer("221 bye")
                return
            self.answer("250 ok")



@test
def a_clean_stop_under_load_loses_and_marks_nothing(folder):
    slow = lambda request: Reply(delay_s=random.uniform(0, ANSWER_MAX_S))
    with Recorder(answer=slow) as shop:
        daemon = Daemon(folder, channels={"hook": shop.channel()})
        ledger = Ledger("term")
        pause = threading.Event()
        daemon.start()
        try:
            with Load(daemon, ledger, pace_s=PACE_S):
                for _ in range(ROUNDS):
                    pause.wait(random.uniform(0.05, 0.5))
                    expect(daemon.stop(DRAIN_S), 0, "the exit code after SIGTERM")
                    daemon.start()
            counts = judge(daemon, shop, ledger)
            expect(counts["duplicates"], 0, "messages that arrived twice")
            marked = [message_id for message_id in ledger.accepted_ids().values()
                      if daemon.message_state(message_id).get("possible_duplicate")]
            expect(marked[:5], [], "messages marked possible_duplicate by a clean stop")
            print(f"# {ROUNDS} stops, {counts}")
        finally:
            if daemon.process is not None:
                daemon.kill()


@test
def a_mail_server_that_says_goodbye_late_does_not_keep_the_daemon(folder):
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), SlowGoodbye)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    mail = {"plugin": "email", "options": {"smtp": f"smtp://127.0.0.1:{server.server_address[1]}", "from": "orders@shop.example"}}
    try:
        with Daemon(folder, channels={"mail": mail}) as daemon:
            sent = daemon.send("on an open connection", to={"email": "ana@example.org"})
            daemon.wait_status(sent, "sent")
            expect(daemon.stop(DRAIN_S), 0, "the exit code after SIGTERM")
    finally:
        server.shutdown()
        server.server_close()


run()
