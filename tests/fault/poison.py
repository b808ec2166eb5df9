#!/usr/bin/python3
# label: border
# timeout: 300
# build: debug asan
# stores: sqlite postgres
"""One of 64 messages in the hands of a plugin's own process kills it, with kill -9 of the daemon in between: that one is held as
poison after three deaths, the 63 others are sent with one death each at most, and another channel sees nothing of it."""

import os

from parley_test import PLUGIN_DIR, Daemon, expect, expect_true, run, test, wait_until

BATCH = 64
DEATHS = 3
SENT_S = 180       # the pauses of three attempts, 5 s and 30 s, and 63 messages one at a time
CALM_P99_S = 2     # a second channel's message, from accept to sent; usual are some milliseconds
VENOM_DIR = os.path.join(os.path.dirname(PLUGIN_DIR), "fault", "venom")


def with_venom(config):
    config["plugins"]["dirs"].append(VENOM_DIR)
    config["plans"]["calm"] = [{"channel": "calm"}]


def send_batch(daemon, killer):
    items = [daemon.message("venom" if number == killer else f"harmless {number}", to={"email": f"m{number}@example.org"})
             for number in range(BATCH)]
    answer = daemon.post("/v1/messages/batch", {"items": items})
    expect(answer.status, 200, answer.text[:300])
    return [item["message"]["id"] for item in answer.json["items"]]


def is_over(daemon, ids, killer):
    """Whether each has ended; meanwhile a message on the other channel comes through."""
    daemon.wait_status(daemon.send("calm", plan="calm"), "sent", timeout_s=CALM_P99_S)
    return all(daemon.message_state(one)["status"] == ("held" if one == ids[killer] else "sent") for one in ids)


def expect_one_to_blame(daemon, ids, killer):
    for number, one in enumerate(ids):
        state = daemon.message_state(one)
        deaths = state["deliveries"][0].get("deaths", 0)
        if number == killer:
            expect((state["status"], state["reason"], deaths), ("held", "poison", DEATHS))
            died = [attempt for attempt in state["attempts"] if attempt["code"] == "plugin_died"]
            expect(len(died), DEATHS, "attempts that died")
            continue
        expect(state["status"], "sent")
        expect_true(deaths <= 1, f"a neighbour has {deaths} deaths: {state['attempts']}")
        if deaths:
            expect_true(state["possible_duplicate"], "what was in a dead process's hands is marked")
    expect(daemon.metric("parley_messages_add_up"), 1)


@test
def the_one_that_kills_its_plugin_is_held_and_its_neighbours_are_sent(folder):
    killer = 40
    channels = {"bite": {"plugin": "venom", "isolation": "process"}, "calm": {"plugin": "sink"}}
    with Daemon(folder, channels=channels, config=with_venom) as daemon:
        daemon.wait_status(daemon.send("harmless"), "sent")
        ids = send_batch(daemon, killer)
        wait_until(lambda: daemon.metric("parley_attempts_died_total", '{channel="bite"}') >= BATCH // 2, "it has died")
        wait_until(lambda: daemon.message_state(ids[killer])["deliveries"][0].get("deaths", 0) == 1, "that is stored")
        daemon.restart()
        wait_until(lambda: is_over(daemon, ids, killer), "all have ended", timeout_s=SENT_S)
        expect_one_to_blame(daemon, ids, killer)
        expect_true("event=message_held why=poison" in daemon.log(), "an operator is told")
        answer = daemon.post(f"/v1/messages/{ids[killer]}/resolve", {"as": "discard"})
        expect((answer.status, answer.json["status"]), (200, "failed"))
        daemon.wait_status(daemon.send("harmless again"), "sent")
        expect(daemon.stop(), 0)


run()
