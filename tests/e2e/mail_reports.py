#!/usr/bin/python3
# label: email
# timeout: 180
"""What comes back by mail: a delivery report after `sent`, a complaint whose recipient is blacked out, forged ones; answers to the token's
address; an agent's answer that names its conversation; a robot that answers robots."""

import re

from parley_mail import granted
from parley_mail_in import channel, codes, mail, messages
from parley_smtp import Mail
from parley_test import Daemon, expect, expect_true, free_port, run, test, wait_until

REPORT = """From: Mail Delivery System <mailer-daemon@mx.example.test>
To: {to}
Subject: Undelivered Mail Returned to Sender
Message-ID: <{name}@mx.example.test>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type={kind}; boundary="b"

--b
Content-Type: text/plain

It could not be delivered, or was not wanted.

--b
Content-Type: message/{kind}

{fields}
--b
Content-Type: text/rfc822-headers

From: Shop <orders@shop.example>
Message-ID: <{message}@shop.example>
{trace}
--b--
"""
FAILED = "Reporting-MTA: dns; mx.example.test\n\nFinal-Recipient: rfc822; {who}\nAction: failed\nStatus: {code}\n" \
         "Diagnostic-Code: smtp; 550 {code} {words}\n"
ABUSE = "Feedback-Type: abuse\nUser-Agent: Provider/1.0\nVersion: 1\nOriginal-Rcpt-To: redacted@provider.example\n"


def report(port, to, message, kind="delivery-status", fields="", trace="", name="r1"):
    text = REPORT.format(to=to, kind=kind, fields=fields, message=message, trace=f"X-Parley-Ref: {trace}\n" if trace else "", name=name)
    return codes(port, text.replace("\n", "\r\n").encode(), to=[to], sender="")


def sent(daemon, box, name, through="mail", **more):
    """A message to name@example.org that has left: its id, and the mail as its receiver has it."""
    message = daemon.send("Order 1042", to={"email": f"{name}@example.org"}, channels=[through], **more)
    while True:
        got = box.next()
        if got["event"] == "mail" and got["message_id"].strip("<>").startswith(message):
            daemon.wait_status(message, "sent")
            return message, {key.lower(): value for key, value in got["headers"]}, got


def suppressed(daemon):
    return {row["identity"].removeprefix("email:"): row["reason"] for row in daemon.get("/v1/suppressions").json["items"]}


@test
def a_report_makes_what_was_sent_failed_and_a_complaint_finds_its_message_without_an_address(folder):
    port = free_port()
    with Mail() as box, Daemon(folder, channels={"mail": channel(port, smtp=box.port)}) as daemon:
        late, headers, _ = sent(daemon, box, "late")
        angry, angry_headers, _ = sent(daemon, box, "angry")
        fine, _, _ = sent(daemon, box, "fine")
        token = headers["x-parley-ref"]
        expect(report(port, f"bounce+{token}@shop.example", late, fields=FAILED.format(who="late@example.org", code="5.1.1", words="gone")),
               [250])
        state = daemon.message_state(late)
        expect(state["status"], "failed")
        expect(report(port, "orders@shop.example", angry, "feedback-report", ABUSE, angry_headers["x-parley-ref"], "r2"), [250])
        expect(suppressed(daemon), {"late@example.org": "hard_bounce", "angry@example.org": "complaint"})
        expect([entry["id"] for entry in messages(daemon, "late@example.org")], [late], "a report is no message of the customer's")
        expect(daemon.message_state(fine)["status"], "sent")


@test
def what_is_forged_fails_suppresses_and_withdraws_nothing(folder):
    port = free_port()
    with Mail() as box, Daemon(folder, channels={"mail": channel(port, smtp=box.port)}) as daemon:
        message, headers, _ = sent(daemon, box, "ana")
        made_up = headers["x-parley-ref"][:-1] + ("0" if headers["x-parley-ref"][-1] != "0" else "1")
        gone = FAILED.format(who="ana@example.org", code="5.1.1", words="gone")
        report(port, f"bounce+{made_up}@shop.example", message, fields=gone)
        expect(daemon.message_state(message)["status"], "sent")
        expect(report(port, "orders@shop.example", message, fields=gone, name="r2"), [250], "the Message-ID alone")
        expect(report(port, "orders@shop.example", message, "feedback-report", ABUSE, name="r3"), [250], "the Message-ID alone")
        expect((daemon.message_state(message)["status"], suppressed(daemon)), ("sent", {}))
        consents = daemon.get("/v1/customers?identity=email:ana@example.org").json["items"][0]["consents"]
        expect(consents, [], "nor is a topic withdrawn")
        expect(len(messages(daemon, "mailer-daemon@mx.example.test")), 2, "what they are is to be read in the inbox")


def tokens_of(headers):
    """What stands in a mail: the tokens of its reply address, of its mailto: to unsubscribe, and of the mail itself."""
    return (re.search(r"reply\+([0-9a-z]{29})@", headers["reply-to"]).group(1),
            re.search(r"unsubscribe\+([0-9a-z]{29})@", headers.get("list-unsubscribe", "unsubscribe+" + 29 * "0" + "@")).group(1),
            headers["x-parley-ref"])


def wants(daemon, address="ana@example.org"):
    consents = daemon.get(f"/v1/customers?identity=email:{address}").json["items"][0]["consents"]
    return next(one["granted"] for one in consents if one["topic"] == "newsletter")


@test
def who_sees_a_reply_address_can_answer_and_nothing_else(folder):
    port = free_port()
    both = channel(port)
    with Mail() as box:
        both["options"] |= {"smtp": f"smtp://127.0.0.1:{box.port}", "reply": "reply@shop.example"}
        with Daemon(folder, channels={"mail": both}) as daemon:
            sent(daemon, box, "ana")
            granted(daemon)
            message, headers, _ = sent(daemon, box, "ana", topic="newsletter")
            reply, leave, whole = tokens_of(headers)
            expect_true(len({reply, leave, whole}) == 3, headers)
            gone = FAILED.format(who="ana@example.org", code="5.1.1", words="gone")
            for n, token in enumerate((reply, leave)):
                report(port, f"bounce+{token}@shop.example", message, fields=gone, name=f"f{n}")
            away = f"unsubscribe+{reply}@shop.example"
            codes(port, mail("Enough\n", to=away, sender="eve@example.net", message_id="<e1@example.net>"), to=[away], sender="eve@example.net")
            expect((daemon.message_state(message)["status"], suppressed(daemon)), ("sent", {}))
            expect(wants(daemon), True)
            for n, token in enumerate((reply, leave)):
                to = f"reply+{token}@shop.example"
                asks = mail("Mine?\n", to=to, message_id=f"<e2.{n}@example.net>", sender="eve@example.net")
                expect(codes(port, asks, to=[to], sender="eve@example.net"), [250])
            expect([one.get("foreign_reply", False) for one in messages(daemon, "eve@example.net")], [False, True], "one names the message")
            away = f"unsubscribe+{leave}@shop.example"
            expect(codes(port, mail("Enough\n", to=away, sender="ana@example.org", message_id="<a3@example.org>"), to=[away]), [250])
            expect(wants(daemon), False)


@test
def what_comes_back_to_another_channel_of_its_kind_finds_its_message(folder):
    port = free_port()
    with Mail() as box, Daemon(folder, channels={"mail": channel(port, smtp=box.port), "news": channel(0, smtp=box.port)}) as daemon:
        gone, gone_headers, _ = sent(daemon, box, "gone", through="news")
        _, tired_headers, _ = sent(daemon, box, "tired", through="news")
        expect(report(port, f"bounce+{gone_headers['x-parley-ref']}@shop.example", gone,
                      fields=FAILED.format(who="gone@example.org", code="5.1.1", words="gone")), [250])
        expect((daemon.message_state(gone)["status"], suppressed(daemon)), ("failed", {"gone@example.org": "hard_bounce"}))
        leave = f"unsubscribe+{tired_headers['x-parley-ref']}@shop.example"
        expect(codes(port, mail("Enough\n", to=leave, sender="tired@example.org"), to=[leave]), [250])
        consents = daemon.get("/v1/customers?identity=email:tired@example.org").json["items"][0]["consents"]
        expect([(one["channel_kind"], one["granted"], one["source"]) for one in consents], [("email", False, "mailto")])


@test
def an_answer_finds_its_conversation_and_is_answered_within_it(folder):
    port = free_port()
    with Mail() as box, Daemon(folder, channels={"mail": channel(port, smtp=box.port)}) as daemon:
        order, headers, _ = sent(daemon, box, "ana")
        answer = mail("Where is it?\n", sender="Ana <ana@example.org>", In_Reply_To=f"<{order}@shop.example>",
                      References=f"<{order}@shop.example>")
        expect(codes(port, answer), [250])
        first = messages(daemon)[0]
        conversation = first["conversation"]
        reply = daemon.post(f"/v1/conversations/{conversation}/replies", {"content": {"text": "Today."}}).json["id"]
        got = box.next()
        out = {key.lower(): value for key, value in got["headers"]}
        expect(out["in-reply-to"], "<a1@example.org>")
        expect(out["references"].split(), [f"<{order}@shop.example>", "<a1@example.org>"])
        expect(daemon.patch(f"/v1/conversations/{conversation}", {"state": "closed"}).status, 200)
        token = out["x-parley-ref"]
        again = mail("It is not here\n", message_id="<a2@example.org>", to=f"reply+{token}@shop.example")
        expect(codes(port, again, to=[f"reply+{token}@shop.example"]), [250])
        expect(messages(daemon)[0]["conversation"], conversation)
        expect(daemon.get(f"/v1/conversations/{conversation}").json["conversation"]["state"], "open")
        stranger = mail("Mine, too\n", message_id="<e1@example.net>", to=f"reply+{token}@shop.example", sender="eve@example.net")
        expect(codes(port, stranger, to=[f"reply+{token}@shop.example"], sender="eve@example.net"), [250])
        eve = messages(daemon, "eve@example.net")[0]
        expect_true(eve["foreign_reply"] and eve["conversation"] != conversation, eve)
        wait_until(lambda: daemon.message_state(reply)["status"] == "sent", "the reply has left")


@test
def a_robot_is_filed_opens_nothing_again_and_is_refused_when_it_goes_on(folder):
    port = free_port()
    with Mail() as box, Daemon(folder, channels={"mail": channel(port, smtp=box.port)}) as daemon:
        expect(codes(port, mail()), [250])
        conversation = messages(daemon)[0]["conversation"]
        expect(daemon.patch(f"/v1/conversations/{conversation}", {"state": "closed"}).status, 200)
        answers = []
        for number in range(22):
            note = mail("I am away\n", message_id=f"<note{number}@example.org>", Auto_Submitted="auto-replied", In_Reply_To="<a1@example.org>")
            answers += codes(port, note)
        expect((answers[:20], [code // 100 for code in answers[20:]]), ([250] * 20, [5, 5]))
        expect(daemon.get(f"/v1/conversations/{conversation}").json["conversation"]["state"], "closed")
        expect(messages(daemon)[0]["automatic"], True)
        expect(daemon.metric("parley_inbound_loops_total"), 2)


if __name__ == "__main__":
    run()
