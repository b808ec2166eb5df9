#!/usr/bin/python3
# label: sms
# timeout: 240
"""SMS over SMPP to a message centre that is not ours (npm's smpp): long texts and their receipts, in whatever order and spelling; a
centre that is slow, lost, silent, or lets nobody in; what customers write; the process border and TLS."""

import json
import os
import signal

from parley_smpp import Centre, password_file
from parley_test import Daemon, expect, expect_true, media_bytes, parley, run, test, wait_until
from parley_tls import Authority

ANA = {"phone": "+34600111222"}
LONG = ("Thank you, Ana. " * 25).strip()  # three segments of 153


def attempts(daemon, message):
    return [(row["number"], row["outcome"]) for row in daemon.message_state(message)["attempts"]]


def channel_state(daemon, name="sms"):
    return daemon.get(f"/v1/channels/{name}").json


def wait_bound(daemon, centre, count=1):
    wait_until(lambda: centre.seen()["live"] >= count, lambda: f"{count} binds: {centre.seen()['binds']}\n{daemon.log_end()}")


def receipt(centre, ident, state, **more):
    """Sends one receipt and says what it was answered with."""
    text = f"id:{ident} sub:001 dlvrd:001 submit date:2611271842 done date:2611271843 stat:{state} err:000 text:Thank you"
    return centre.reply(centre.message(text, esm_class=4, **more))["status"]


def said_by(daemon, who=ANA):
    found = daemon.get(f"/v1/customers?identity=phone:{who['phone'].replace('+', '%2B')}").json["items"]
    timeline = daemon.get(f"/v1/customers/{found[0]['id']}/timeline").json["items"] if found else []
    return [entry["message"]["content"] for entry in timeline if entry.get("message", {}).get("direction") == "in"]


def texts_of(daemon, who=ANA):
    return [content["text"] for content in said_by(daemon, who)]


# --- out ---

@test
def a_long_text_is_delivered_when_all_its_segments_are(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder)}) as daemon:
        message = daemon.send(LONG, to=ANA)
        daemon.wait_status(message, "sent")
        submits = centre.submits(3)
        expect(len(submits), 3)
        expect([row["hex"][:10] for row in submits], ["050003" + row["hex"][6:8] + "03" for row in submits])
        expect([row["hex"][10:12] for row in submits], ["01", "02", "03"])
        expect("".join(row["text"] for row in submits), LONG)
        expect({row["registered"] for row in submits}, {1}, "a receipt is asked for each")
        for row in (submits[2], submits[0]):
            expect(receipt(centre, row["id"], "DELIVRD"), 0)
            expect(daemon.message_state(message)["status"], "sent")
        expect(receipt(centre, submits[1]["id"], "DELIVRD"), 0)
        daemon.wait_status(message, "delivered")
        expect(receipt(centre, submits[1]["id"], "DELIVRD"), 0, "twice")
        expect(daemon.metric("parley_messages_add_up"), 1.0)


@test
def a_long_text_of_which_a_segment_fails_has_failed_when_the_others_are_told(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder)}) as daemon:
        message = daemon.send(LONG, to=ANA)
        daemon.wait_status(message, "sent")
        submits = centre.submits(3)
        expect([receipt(centre, submits[n]["id"], state) for n, state in ((2, "DELIVRD"), (1, "UNDELIV"), (0, "DELIVRD"))], [0, 0, 0])
        state = daemon.wait_status(message, "failed")
        parts = state["deliveries"][0]["parts"]
        expect([part["provider_id"] for part in parts], [row["id"].lower().lstrip("0") for row in submits])
        expect([part["status"] for part in parts], ["delivered", "failed", "delivered"])


@test
def a_receipt_that_is_earlier_than_its_answer_is_joined(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder)}) as daemon:
        centre.tell("receipts", state="DELIVRD", early=True)
        daemon.wait_status(daemon.send(LONG, to=ANA), "delivered")


@test
def an_id_is_known_in_both_spellings_and_after_a_restart(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder)}) as daemon:
        centre.tell("receipts", state="DELIVRD", spelling="decimal")
        daemon.wait_status(daemon.send("one", to=ANA), "delivered")
        expect_true("event=message_ids_learned ids=hex-decimal" in daemon.log(), daemon.log_end())
        centre.tell("receipts", state=None)
        message = daemon.send("two", to=ANA)
        daemon.wait_status(message, "sent")
        ident = centre.submits(2)[1]["id"]
        daemon.kill()
        daemon.start()
        wait_bound(daemon, centre)
        expect(receipt(centre, int(ident, 16), "UNDELIV"), 0)
        daemon.wait_status(message, "failed")


@test
def an_account_knows_nothing_of_another_ones_ids(folder):
    with Centre() as one, Centre() as other, \
            Daemon(folder, channels={"one": one.channel(folder), "other": other.channel(folder)}) as daemon:
        message = daemon.send("hello", to=ANA, channels=["one"])
        daemon.wait_status(message, "sent")
        ident = one.submits()[0]["id"]
        wait_bound(daemon, other)
        expect(receipt(other, ident, "DELIVRD"), 0)
        expect(receipt(other, f"{int(ident, 16)}", "DELIVRD"), 0)
        expect(receipt(one, "id: stat: err:", "NONSENSE"), 0)
        expect(daemon.message_state(message)["status"], "sent")
        expect(receipt(one, ident, "DELIVRD"), 0)
        daemon.wait_status(message, "delivered")


@test
def slower_is_a_pause_and_no_attempt(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder, throttle_pause="200ms")}) as daemon:
        centre.tell("submit", rules=[{"status": 0x58, "times": 3}, {"status": 0x14, "times": 2}])
        message = daemon.send("hello", to=ANA)
        daemon.wait_status(message, "sent")
        expect([row["status"] for row in centre.seen()["submits"] if "status" in row], [0x58] * 3 + [0x14] * 2)
        expect(daemon.message_state(message)["deliveries"][0]["attempts"], 1)
        expect(daemon.message_state(message)["possible_duplicate"], False)


@test
def a_number_that_nobody_has_is_not_written_to_again(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder, bad_address_errors=["001"])}) as daemon:
        centre.tell("submit", rules=[{"status": 0x0b}])
        message = daemon.send("hello", to=ANA)
        state = daemon.wait_status(message, "failed")
        expect((state["attempts"][0]["outcome"], state["attempts"][0]["code"]), ("bad_address", "ESME_RINVDSTADR 0x0b"))
        expect(daemon.message_state(daemon.send("again", to=ANA))["reason"], "address_suppressed")
        eve = {"phone": "+34600333444"}
        late = daemon.send("hello", to=eve)
        daemon.wait_status(late, "sent")
        ident = centre.submits(2)[1]["id"]
        expect(centre.reply(centre.message(f"id:{ident} stat:UNDELIV err:001", esm_class=4))["status"], 0)
        daemon.wait_status(late, "failed")
        expect(daemon.message_state(daemon.send("again", to=eve))["reason"], "address_suppressed")


@test
def what_the_centre_refuses_for_good_is_told_with_its_code(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder)}) as daemon:
        centre.tell("submit", rules=[{"status": 0x0a}])
        state = daemon.wait_status(daemon.send("hello", to=ANA), "failed")
        expect((state["attempts"][0]["outcome"], state["attempts"][0]["code"]), ("rejected", "ESME_RINVSRCADR 0x0a"))


# --- the centre is lost ---

@test
def what_was_sent_and_not_answered_is_proved_by_its_receipt(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder, message_ids="number")}) as daemon:
        centre.tell("submit", rules=[{"drop": True}])
        message = daemon.send("hello", to=ANA)
        reference = centre.submits()[0]["reference"]
        wait_until(lambda: len(centre.seen()["binds"]) == 2, "it binds again")
        expect(receipt(centre, "77", "DELIVRD", user_message_reference=reference), 0)
        state = daemon.wait_status(message, "delivered")
        expect(len(centre.seen()["submits"]), 1, "it is not sent again")
        expect(attempts(daemon, message)[0], (1, "unknown"))
        expect(state["provider_id"], "77")


@test
def what_nothing_proves_goes_again_and_is_marked(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder, proof_wait="0s")}) as daemon:
        centre.tell("submit", rules=[{"drop": True}])
        message = daemon.send("hello", to=ANA)
        state = daemon.wait_status(message, "sent")
        expect(state["possible_duplicate"], True)
        expect(len(centre.seen()["submits"]), 2)
        expect(daemon.metric("parley_messages_add_up"), 1.0)


@test
def messages_wait_for_a_centre_that_is_away(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder, reconnect_max="1s")}) as daemon:
        wait_bound(daemon, centre)
        centre.tell("stop")
        wait_until(lambda: channel_state(daemon)["state"] == "down", lambda: json.dumps(channel_state(daemon)))
        messages = [daemon.send(f"hello {n}", to={"phone": f"+3460011{n:04}"}) for n in range(20)]
        centre.listen(centre.port)
        for message in messages:
            daemon.wait_status(message, "sent")
        expect(daemon.message_state(messages[0])["deliveries"][0]["attempts"], 1)


@test
def a_wrong_password_is_told_to_the_operator_and_costs_no_message(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder, reconnect_max="1s")}) as daemon:
        wait_bound(daemon, centre)
        centre.tell("bind", statuses=[0x0e] * 3)
        centre.tell("drop")
        state = wait_until(lambda: (lambda now: now if now["state"] == "down" else None)(channel_state(daemon)), "it is down")
        expect_true("wrong password" in json.dumps(state) and "check user and password" in json.dumps(state), json.dumps(state))
        message = daemon.send("hello", to=ANA)
        daemon.wait_status(message, "sent")
        expect(channel_state(daemon)["state"], "up")
        expect(daemon.message_state(message)["deliveries"][0]["attempts"], 1)


# --- in ---

@test
def what_a_customer_writes_is_one_conversation_in_every_coding(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder)}) as daemon:
        wait_bound(daemon, centre)
        replies = [centre.message("¿Dónde está? €"), centre.message("Где заказ 😀", data_coding=8)]
        replies.append(centre.tell("send", pdu={"source_addr_ton": 1, "source_addr": "34600111222", "destination_addr": "34600999888",
                                                "data_coding": 3}, hex="e4f6fc")["sequence"])
        replies.append(centre.tell("send", pdu={"source_addr_ton": 1, "source_addr": "34600111222", "destination_addr": "34600999888",
                                                "data_coding": 0x18}, hex="00480069")["sequence"])
        for sequence in replies:
            expect(centre.reply(sequence)["status"], 0)
        expect(sorted(texts_of(daemon)), sorted(["¿Dónde está? €", "Где заказ 😀", "äöü", "Hi"]))
        conversations = daemon.get("/v1/conversations").json["items"]
        expect(len(conversations), 1)
        answer = daemon.post(f"/v1/conversations/{conversations[0]['id']}/replies", {"content": {"text": "On its way"}})
        expect(answer.status // 100, 2, answer.text)
        expect(centre.submits()[0]["to"], "34600111222")


@test
def bytes_are_kept_as_media(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder)}) as daemon:
        wait_bound(daemon, centre)
        sequence = centre.tell("send", pdu={"source_addr_ton": 1, "source_addr": "34600111222", "destination_addr": "34600999888",
                                            "data_coding": 4}, hex="010203ff")["sequence"]
        expect(centre.reply(sequence)["status"], 0)
        expect(daemon.metric("parley_inbound_received_total"), 1.0)
        media = said_by(daemon)[0]["media"]
        expect([one["type"] for one in media], ["application/octet-stream"])
        expect(media_bytes(daemon, media[0]["id"]), b"\x01\x02\x03\xff")


BEN = {"phone": "+34600333444"}


def piece(centre, who, header, text, **more):
    """One piece of a long text; what it was answered with."""
    octets = header + text.encode("utf-16-be" if more.get("data_coding") == 8 else "ascii")
    sequence = centre.tell("send", pdu={"source_addr_ton": 1, "source_addr": who["phone"][1:], "destination_addr": "34600999888",
                                        "esm_class": 0x40 if header else 0, **more}, hex=octets.hex())["sequence"]
    return centre.reply(sequence)["status"]


@test
def pieces_of_long_texts_are_joined_whatever_their_order_and_width(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder)}) as daemon:
        wait_bound(daemon, centre)

        def narrow(index):
            return bytes([5, 0, 3, 7, 3, index])

        said = [piece(centre, ANA, narrow(3), "order"), piece(centre, BEN, narrow(1), "Thank "), piece(centre, ANA, narrow(1), "Where "),
                piece(centre, ANA, narrow(1), "Where "), piece(centre, BEN, narrow(3), " much"), piece(centre, BEN, narrow(2), "you very"),
                piece(centre, ANA, narrow(2), "is my ")]
        expect(set(said), {0})
        wait_until(lambda: texts_of(daemon) == ["Where is my order"] and texts_of(daemon, BEN) == ["Thank you very much"],
                   lambda: f"{texts_of(daemon)} {texts_of(daemon, BEN)}")
        for index, text in ((2, "да?"), (1, "Где ")):
            expect(piece(centre, ANA, bytes([6, 8, 4, 1, 7, 2, index]), text, data_coding=8), 0)
        for index, text in ((2, "parameters"), (1, "By ")):
            expect(piece(centre, ANA, b"", text, sar_msg_ref_num=7, sar_total_segments=2, sar_segment_seqnum=index), 0)
        wait_until(lambda: sorted(texts_of(daemon)) == ["By parameters", "Where is my order", "Где да?"], lambda: texts_of(daemon))


@test
def a_text_whose_piece_never_comes_is_shown_without_it_even_after_a_restart(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder, join_wait="2s")}) as daemon:
        wait_bound(daemon, centre)
        expect(piece(centre, ANA, bytes([5, 0, 3, 9, 3, 1]), "Where "), 0)
        expect(piece(centre, ANA, bytes([5, 0, 3, 9, 3, 3]), "order"), 0)
        daemon.restart()
        found = wait_until(lambda: texts_of(daemon), "what is there is shown")
        expect(len(found), 1)
        expect_true(found[0].startswith("Where ") and found[0].endswith("order"), found)


@test
def stop_is_heard_and_the_next_message_says_why_it_does_not_go(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder)}) as daemon:
        daemon.wait_status(daemon.send("hello", to=ANA), "sent")
        expect(centre.reply(centre.message("STOP"))["status"], 0)
        state = daemon.wait_status(daemon.send("again", to=ANA), "suppressed")
        expect(state["reason"], "opted_out")
        expect(centre.reply(centre.message("Start"))["status"], 0)
        daemon.wait_status(daemon.send("at last", to=ANA), "sent")


# --- around it ---

@test
def it_works_in_a_process_of_its_own_and_over_tls(folder):
    authority = Authority(folder)
    with open(authority.make("smsc"), encoding="ascii") as file:
        pem = file.read()
    os.chmod(authority.ca, 0o600)
    with Centre(key=pem, cert=pem) as centre:
        channel = centre.channel(folder, scheme="smpps", host="localhost", ca={"file": authority.ca})
        with Daemon(folder, channels={"sms": {**channel, "isolation": "process"}}) as daemon:
            message = daemon.send("hello", to=ANA)
            daemon.wait_status(message, "sent")
            expect(receipt(centre, centre.submits()[0]["id"], "DELIVRD"), 0)
            daemon.wait_status(message, "delivered")
            checked = parley(daemon, "channel", "check", "sms")
            expect(checked.returncode, 0, checked.stdout + checked.stderr)


@test
def a_reload_takes_its_leave_and_loses_nothing(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder)}) as daemon:
        centre.tell("submit", rules=[{"hold": True, "times": 5}])
        messages = [daemon.send(f"hello {n}", to={"phone": f"+3460011{n:04}"}) for n in range(5)]
        centre.submits(5)
        daemon.config["channels"]["sms"]["options"]["window"] = 20
        daemon.write_config()
        daemon.signal(signal.SIGHUP)
        wait_bound(daemon, centre, 2)
        centre.tell("release")
        for message in messages:
            daemon.wait_status(message, "sent")
        wait_until(lambda: centre.seen()["unbinds"] == 1, "the older instance has taken its leave")
        expect(len(centre.seen()["submits"]), 5)


@test
def separate_binds_of_two_pairs_do_the_same(folder):
    password_file(folder)
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder, bind="separate", binds=2, window=2)}) as daemon:
        wait_bound(daemon, centre, 4)
        centre.tell("receipts", state="DELIVRD", tlv=True)
        messages = [daemon.send(f"hello {n}", to={"phone": f"+3460011{n:04}"}) for n in range(30)]
        for message in messages:
            daemon.wait_status(message, "delivered")
        expect(len({row["session"] for row in centre.seen()["submits"]}), 2)
        expect(daemon.stop(), 0)
        expect(centre.seen()["unbinds"], 4)


@test
def the_configuration_is_checked_before_anything_binds(folder):
    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder)}) as daemon:
        def said(**options):
            daemon.config["channels"]["sms"]["options"] = {**centre.channel(folder)["options"], **options}
            daemon.write_config()
            checked = parley(daemon, "config", "check", daemon.config_path)
            return checked.stderr if checked.returncode != 0 else ""

        expect(said(), "")
        expect_true("options.url: must begin with smpp:// or smpps://" in said(url="http://127.0.0.1:2775"), "a URL of HTTP")
        expect_true("'Shop of Ana and Bob' is no sender" in said(**{"from": "Shop of Ana and Bob"}), "a long name")
        expect_true("options.receipt_time: " in said(receipt_time="local"), "a clock that is none")
        expect_true("options.ca: is for smpps:// only" in said(ca={"file": password_file(folder)}), "an authority without TLS")
        expect_true("'0,04' is no price" in said(prices=[{"price": "0,04", "currency": "EUR"}]), "a price with a comma")


if __name__ == "__main__":
    raise SystemExit(run())
