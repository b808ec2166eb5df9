#!/usr/bin/python3
# label: email
# timeout: 180
"""Mail that comes to nothing, on either store: a mailing of which one address is refused at once, one bounces later, one complains and
one arrives, told by the event webhooks of providers; then the timeline, the suppressions, and a next mailing that spares them."""

import base64
import datetime
import email.utils
import hashlib
import hmac
import json
import os
import subprocess
import time

from parley_smtp import Mail
from parley_test import Daemon, Recorder, expect, expect_true, need_tool, parley, post_inbound, run, test, wait_until

MAILGUN_KEY = "key-3ax6xnjp29jd6fds4gc373sgvjxteol0"
LOGIN = "shop:a-long-password"


def secrets(folder):
    """The options that must be references, as files, and SendGrid's key pair."""
    for name, text in {"mailgun": MAILGUN_KEY, "postmark": LOGIN}.items():
        path = os.path.join(folder, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, 0o600)
    key = os.path.join(folder, "sendgrid.pem")
    subprocess.run([need_tool("openssl"), "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key], check=True)
    der = subprocess.run(["openssl", "ec", "-in", key, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
    return {"mailgun": {"file": "mailgun"}, "postmark": {"file": "postmark"}, "sendgrid": base64.b64encode(der).decode()}


def mailgun(daemon, event, key=MAILGUN_KEY, token=None):
    stamp, token = str(int(time.time())), token or os.urandom(25).hex()
    signature = hmac.new(key.encode(), (stamp + token).encode(), hashlib.sha256).hexdigest()
    return daemon.post("/in/mail/mailgun", {"signature": {"timestamp": stamp, "token": token, "signature": signature},
                                            "event-data": event}).status


def sendgrid(daemon, folder, events, spoil=b""):
    stamp, body = str(int(time.time())), json.dumps(events).encode()
    made = subprocess.run(["openssl", "dgst", "-sha256", "-sign", os.path.join(folder, "sendgrid.pem")], input=stamp.encode() + body,
                          capture_output=True, check=True).stdout
    headers = {"X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(made).decode(),
               "X-Twilio-Email-Event-Webhook-Timestamp": stamp, "Content-Type": "application/json"}
    return daemon.post("/in/mail/sendgrid", body + spoil, headers=headers).status


def postmark(daemon, record, login=LOGIN):
    return daemon.post("/in/mail/postmark", record, headers={"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}).status


def mail_to(daemon, name, number=1, **more):
    return daemon.send(f"Spring news {number}", to={"email": f"{name}@example.org"}, channels=["mail"], **more)


def reasons(daemon, query=""):
    return {row["identity"]: row for row in daemon.get(f"/v1/suppressions{query}").json["items"]}


def named(message):
    return {"headers": {"message-id": f"{message}@shop.example"}}


def trace_of(mail, message_id):
    """The token that this mail's headers give to the providers, the same to each."""
    while True:
        got = mail.next()
        if got["event"] == "mail" and got["message_id"].strip("<>") == message_id:
            break
    headers = dict(got["headers"])
    token = headers["X-PM-Metadata-parley"]
    expect(json.loads(headers["X-SMTPAPI"]), {"unique_args": {"parley": token}})
    expect(json.loads(headers["X-Mailgun-Variables"]), {"parley": token})
    expect_true("X-SES-MESSAGE-TAGS" not in headers and len(token) == 29, headers)
    return token


@test
def what_a_sender_tells_its_provider_stands_in_one_header_with_what_we_tell_it(folder):
    """Two headers of that name are one too many: the provider reads the first, or neither."""
    def sent_with(own):
        return daemon.send("News", to={"email": "ana@example.org"}, channels=["mail"],
                           content={"text": "News", "channels": {"mail": {"headers": own}}})

    with Mail() as mail, Daemon(folder, channels={"mail": mail.channel(events=secrets(folder))}) as daemon:
        sent_with({"x-mailgun-variables": '{"shop": "Málaga"}', "X-PM-Metadata-shop": "1"})
        headers = mail.next()["headers"]
        values = [value for name, value in headers if name.lower() == "x-mailgun-variables"]
        expect(len(values), 1)
        expect(sorted(json.loads(values[0])), ["parley", "shop"])
        expect(json.loads(values[0])["shop"], "Málaga")
        expect(dict(headers)["X-PM-Metadata-shop"], "1")
        refused = sent_with({"X-Mailgun-Variables": "shop=1"})
        daemon.wait_status(refused, "failed")


@test
def a_mailing_spares_next_time_whom_it_did_not_reach(folder):
    with Mail("--fail-rcpt", "gone@*=550 5.1.1 no such user") as mail, \
            Daemon(folder, channels={"mail": mail.channel(events=secrets(folder))}) as daemon:
        sent = {name: mail_to(daemon, name) for name in ("gone", "late", "angry", "fine")}
        daemon.wait_status(sent["gone"], "failed")
        for name in ("late", "angry", "fine"):
            daemon.wait_status(sent[name], "sent")
        token = trace_of(mail, f"{sent['fine']}@shop.example")
        now = time.time()
        expect(mailgun(daemon, {"event": "failed", "severity": "permanent", "timestamp": now, "message": named(sent["late"]),
                                "delivery-status": {"code": 550, "enhanced-code": "5.1.1", "message": "no such user"}}), 200)
        expect(sendgrid(daemon, folder, [{"event": "spamreport", "timestamp": int(now), "smtp-id": f"<{sent['angry']}@shop.example>"}]), 200)
        expect(postmark(daemon, {"RecordType": "Delivery", "MessageID": "883953f4-6105-42a2", "Metadata": {"parley": token}}), 200)
        expect(daemon.message_state(sent["late"])["status"], "failed")
        expect(daemon.message_state(sent["fine"])["status"], "delivered")
        rows = reasons(daemon)
        expect({who: row["reason"] for who, row in rows.items()},
               {"email:gone@example.org": "hard_bounce", "email:late@example.org": "hard_bounce", "email:angry@example.org": "complaint"})
        late = rows["email:late@example.org"]
        expect((late["message"], late["code"], late["detail"]), (sent["late"], "5.1.1", "no such user"))
        expect(rows["email:gone@example.org"]["message"], sent["gone"])
        entry = daemon.get("/v1/customers?identity=email:late@example.org").json["items"][0]
        timeline = daemon.get(f"/v1/customers/{entry['id']}/timeline").json["items"]
        expect_true(any(row["type"] == "customer.suppressed" for row in timeline) or
                    any(row.get("message", {}).get("status") == "failed" for row in timeline), timeline)
        again = {name: mail_to(daemon, name, 2) for name in sent}
        daemon.wait_status(again["fine"], "sent", "delivered")
        for name in ("gone", "late", "angry"):
            state = daemon.message_state(again[name])
            expect((state["status"], state["reason"]), ("suppressed", "address_suppressed"))
        expect(daemon.metric("parley_messages_add_up"), 1.0)


@test
def what_is_not_signed_is_stored_nowhere(folder):
    with Mail() as mail, Daemon(folder, channels={"mail": mail.channel(events=secrets(folder))}) as daemon:
        message = mail_to(daemon, "ana")
        daemon.wait_status(message, "sent")
        failed = {"event": "failed", "severity": "permanent", "message": named(message),
                  "delivery-status": {"code": 550, "enhanced-code": "5.1.1"}}
        expect(mailgun(daemon, failed, key="another"), 401)
        expect(sendgrid(daemon, folder, [{"event": "spamreport", "smtp-id": f"<{message}@shop.example>"}], spoil=b" "), 401)
        expect(postmark(daemon, {"RecordType": "SpamComplaint", "MessageID": f"{message}@shop.example"}, login="shop:guess"), 401)
        expect(daemon.post("/in/mail/ses", {"Type": "Notification"}).status, 404)
        expect(daemon.message_state(message)["status"], "sent")
        expect(reasons(daemon), {})
        expect(mailgun(daemon, failed, token="t" * 50), 200)
        expect(mailgun(daemon, {**failed, "event": "complained"}, token="t" * 50), 200)
        expect(reasons(daemon)["email:ana@example.org"]["reason"], "hard_bounce", "a token does its work once")


@test
def five_full_mailboxes_in_a_row_suppress_and_a_command_lifts_it(folder):
    with Mail() as mail, Daemon(folder, channels={"mail": mail.channel(events=secrets(folder))}) as daemon:
        for number in range(5):
            expect(reasons(daemon), {})
            message = mail_to(daemon, "full", number)
            daemon.wait_status(message, "sent")
            expect(mailgun(daemon, {"event": "failed", "severity": "permanent", "message": named(message),
                                    "delivery-status": {"code": 552, "enhanced-code": "5.2.2", "message": "over quota"}}), 200)
        expect(reasons(daemon, "?reason=soft_bounce")["email:full@example.org"]["code"], "5.2.2")
        shown = parley(daemon, "suppression", "list", "--reason", "soft_bounce")
        expect((shown.returncode, "email:full@example.org" in shown.stdout, message in shown.stdout), (0, True, True), shown.stdout)
        expect(parley(daemon, "suppression", "remove", "email:full@example.org").returncode, 0)
        expect(reasons(daemon), {})
        expect_true("lifted_at" in reasons(daemon, "?lifted=true")["email:full@example.org"], "it is listed with those lifted")
        daemon.wait_status(mail_to(daemon, "full", 6), "sent")
        expect(parley(daemon, "suppression", "add", "email:full@example.org", "--detail", "a letter").returncode, 0)
        expect(reasons(daemon)["email:full@example.org"]["detail"], "a letter")
        expect(parley(daemon, "suppression", "remove", "email:nobody@example.org").returncode, 1)


@test
def a_mail_is_dated_when_it_was_first_handed_over_and_each_attempt_says_the_same(folder):
    with Mail("--drop-after-data", "--times", "1") as mail, Daemon(folder, channels={"mail": mail.channel()}) as daemon:
        at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
        mail_to(daemon, "ana", send_at=at.isoformat(timespec="milliseconds"))
        mails = [mail.next(), mail.next()]
        dates = [email.utils.parsedate_to_datetime(dict(one["headers"])["Date"]) for one in mails]
        expect([one.get("dropped", False) for one in mails], [True, False])
        expect_true(dates[0] >= at.replace(microsecond=0), f"{dates[0]} of a mail for {at}")
        expect(dates[1], dates[0])


@test
def an_answer_finds_the_closed_conversation_of_what_it_answers(folder):
    with Recorder() as chat, Daemon(folder, channels={"chat": chat.channel()}) as daemon:
        ana = {"email": "ana@example.org"}
        first = post_inbound(daemon, "chat", {"id": "c1", "from": ana, "text": "Where is it?"}).json["id"]
        conversation = daemon.message_state(first)["conversation"]
        expect(daemon.patch(f"/v1/conversations/{conversation}", {"state": "closed"}).status, 200)
        again = post_inbound(daemon, "chat", {"id": "c2", "from": ana, "text": "Still not here", "in_reply_to": "c1"}).json["id"]
        expect(daemon.message_state(again)["conversation"], conversation)
        expect(daemon.get(f"/v1/conversations/{conversation}").json["conversation"]["state"], "open")
        stranger = post_inbound(daemon, "chat", {"id": "c3", "from": {"email": "eve@example.net"}, "text": "me too",
                                                 "in_reply_to": "c1"}).json["id"]
        expect_true(daemon.message_state(stranger)["conversation"] != conversation, "a stranger's answer is a conversation of its own")
        wait_until(lambda: daemon.metric("parley_messages_add_up") == 1.0, "it adds up")


if __name__ == "__main__":
    run()
