#!/usr/bin/python3
# label: spine
# timeout: 120
# stores: sqlite postgres
"""The wall clock jumps under the daemon, an hour and a day, back and forth: a retry comes after its pause, what was put off
until a time doesn't come before it, new messages go at once, and the feed goes on."""

import os
import time

from parley_test import Daemon, Recorder, Reply, expect, faketime_library, run, test, wait_until

RETRY_MAX_S = 8  # the first pause is at most 5 s, the clock is looked at each second
LATER_S = 7200


def faketime(folder):
    """The environment under which the daemon's wall clock is the real one plus what `clock` says."""
    return {"LD_PRELOAD": faketime_library(), "FAKETIME_TIMESTAMP_FILE": clock_path(folder), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}


def clock_path(folder):
    return os.path.join(folder, "clock")


def set_clock(folder, offset):
    with open(clock_path(folder) + ".new", "w", encoding="ascii") as file:
        file.write(offset)
    os.rename(clock_path(folder) + ".new", clock_path(folder))


def in_two_hours():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + LATER_S))


def a_jump(folder, offset, put_off_stays):
    set_clock(folder, "+0")
    with Recorder(answer=Reply(status=503)) as shop, Recorder() as other, Recorder() as desk:
        def config(conf):
            conf["subscriptions"] = {"desk": desk.subscription("message.status")}

        with Daemon(folder, channels={"hook": shop.channel(), "other": other.channel()}, config=config,
                    env=faketime(folder)) as daemon:
            retried = daemon.send("again", channels=["hook"])
            put_off = daemon.send("later", channels=["other"], send_at=in_two_hours())
            wait_until(lambda: daemon.message_state(retried)["attempts"], "the first try is stored")
            set_clock(folder, offset)
            shop.answer = Reply()
            fresh = daemon.send("at once", channels=["other"])
            daemon.wait_status(fresh, "sent", timeout_s=3)
            daemon.wait_status(retried, "sent", timeout_s=RETRY_MAX_S)
            desk.wait_for(lambda request: fresh in request.text)
            daemon.wait_status(put_off, "queued" if put_off_stays else "sent", timeout_s=3)
            set_clock(folder, "+0")
            again = daemon.send("set right again", channels=["other"])
            daemon.wait_status(again, "sent", timeout_s=3)
            expect(daemon.metric("parley_messages_add_up"), 1.0)
            daemon.restart()
            daemon.wait_status(daemon.send("after a restart", channels=["other"]), "sent")
            arrived = [len(other.matching(lambda request, text=text: text in request.text)) for text in ("at once", "later")]
            expect(arrived, [1, 0 if put_off_stays else 1], "how often each arrived")


@test
def an_hour_back(folder):
    a_jump(folder, "-1h", True)


@test
def a_day_back(folder):
    a_jump(folder, "-1d", True)


@test
def an_hour_ahead(folder):
    a_jump(folder, "+1h", True)


@test
def three_hours_ahead_what_was_put_off_for_two_is_due(folder):
    a_jump(folder, "+3h", False)


run()
