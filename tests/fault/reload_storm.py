#!/usr/bin/python3
# label: spine
# timeout: 120
# build: asan
"""SIGHUPs under load: channels come, change and go, broken files come between, and nothing is lost, doubled or left over."""

import signal
import threading

from parley_test import (FULL, Daemon, Ledger, Load, Recorder, Reply, expect, expect_true, judge, post_inbound, run, test,
                         wait_until)

RELOADS = 400 if FULL else 40
ANSWER_S = 0.01
PACE_S = 0.01
GAP_S = 0.05
STOPS = 40 if FULL else 6


def write_next(daemon, round_number, channels):
    """Each round another configuration: one channel renamed, another's window changed, a topic more or less."""
    daemon.config["channels"] = dict(channels)
    daemon.config["channels"][f"extra-{round_number % 3}"] = {"plugin": "sink"}
    daemon.config["channels"]["hook"]["options"]["in_flight"] = 8 + round_number % 5
    daemon.config["topics"][f"topic-{round_number % 4}"] = {"class": "transactional"}
    daemon.config["plans"]["default"] = [{"channel": "hook"}]
    daemon.write_config()


def break_config(daemon, round_number):
    with open(daemon.config_path, "wb") as file:
        file.write([b"", b"\xff\xfe\x00", b"version: 1\nchannels: [", b"version: 2\n", b"{" * 5000][round_number % 5])


@test
def reloads_under_load_lose_and_double_nothing_and_leave_no_memory(folder):
    with Recorder(answer=Reply(delay_s=ANSWER_S)) as shop, Recorder() as desk:
        channels = {"hook": shop.channel(), "hook2": shop.channel(), "quiet": {"plugin": "sink"},
                    "mail": {"plugin": "email", "options": {"smtp": "smtp://127.0.0.1:9", "from": "a@shop.example"}}}

        def config(conf):
            conf["plans"]["default"] = [{"channel": "hook"}]
            conf["subscriptions"] = {"desk": desk.subscription("message.received", "message.status")}
            conf["server"]["drain"] = "5s"

        with Daemon(folder, channels=channels, config=config) as daemon:
            ledger = Ledger("storm")
            pause = threading.Event()
            with Load(daemon, ledger, threads=4, pace_s=PACE_S):
                for number in range(RELOADS):
                    if number % 5 == 4:
                        break_config(daemon, number // 5)
                    else:
                        write_next(daemon, number, channels)
                    daemon.signal(signal.SIGHUP)
                    post_inbound(daemon, "hook", {"id": f"in-{number}", "from": {"email": "ana@example.org"}, "text": "hi"})
                    daemon.get("/metrics")
                    daemon.post(f"/v1/channels/hook/{'pause' if number % 7 == 3 else 'resume'}")
                    pause.wait(GAP_S)
                write_next(daemon, 0, channels)
                daemon.signal(signal.SIGHUP)
                daemon.post("/v1/channels/hook/resume")
            expect_true("event=reload_refused" in daemon.log(), "broken files are refused")
            counts = judge(daemon, shop, ledger)
            expect(counts["duplicates"], 0, "messages that arrived twice")
            desk.wait_for(lambda request: request.json["type"] == "message.received", count=RELOADS)
            wait_until(lambda: daemon.metric("parley_messages_add_up") == 1.0, "the states add up")
            expect(daemon.stop(), 0, "the exit code, every handle closed and no leak")
            print(f"# {RELOADS} reloads, {counts}")


@test
def a_stop_with_outcomes_on_their_way_touches_no_closed_channel(folder):
    daemon = Daemon(folder)
    try:
        for number in range(STOPS):
            daemon.start()
            for index in range(number * 3):
                daemon.send(f"on its way {index}")
            expect(daemon.stop(), 0, "the exit code, every handle closed and no leak")
            daemon.drop_client()
    finally:
        if daemon.process is not None:
            daemon.kill()


run()
