#!/usr/bin/python3
# label: email
# timeout: 300
# build: debug asan
"""A mailbox as help desk: what customers write on any channel becomes mail by SMTP to the support mailbox, once, and what an owner
answers there leaves on the customer's channel. The owner's mail comes in by a program of the exec plugin, which says what a mail server
would: the token of the address that it came to, who it is from, what is quoted."""

import base64
import json
import os
import queue
import re
import subprocess
import threading

from parley_mail_in import codes
from parley_test import (TOP, WAIT_S, Daemon, Failure, Recorder, Reply, expect, expect_true, free_port, post_inbound, run, test, wait_until)

PUPPET = ["/usr/bin/python3", os.path.join(TOP, "tests/support/exec_puppet.py")]
OWNER = "owner@shop.example"
MAILBOX = "support@shop.example"
ADDRESS = re.compile(r"reply\+([0-9a-z]{29})@in\.shop\.example")


class Mailbox:
    """An SMTP server (aiosmtpd) that keeps what comes."""

    def __init__(self, *options):
        self.process = subprocess.Popen(["/usr/bin/python3", os.path.join(TOP, "tests/support/smtp_sink.py"), "--port", "0", *options],
                                        stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.process.stdout.readline())["port"]
        self.lines = queue.Queue()
        self.mails = []
        threading.Thread(target=self.follow, daemon=True).start()

    def follow(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def look(self):
        while not self.lines.empty():
            line = self.lines.get()
            if line["event"] == "mail":
                self.mails.append(line)
        return self.mails

    def wait(self, count):
        wait_until(lambda: len(self.look()) >= count, lambda: f"{count} mails, there are {[m['subject'] for m in self.mails]}")
        return self.mails[count - 1]

    def channel(self, **options):
        return {"plugin": "email", "options": {"smtp": f"smtp://127.0.0.1:{self.port}", "from": "Shop <shop@shop.example>",
                                               "reply": "reply@in.shop.example", **options}}


class Shop:
    """A daemon whose customers are on `chat` (a webhook), whose mailbox is behind `mail`, and whose owner's mails come by `back`."""

    def __init__(self, folder, mailbox, chat, config=None, mail=None, **bridge):
        def change(conf):
            conf["bridges"] = {"desk": {"channel": "mail", "to": MAILBOX, "owners": [OWNER], **bridge}}
            if config:
                config(conf)

        back = {"plugin": "exec", "isolation": "inline", "options": {"command": PUPPET, "address_kind": "phone"}}
        self.daemon = Daemon(folder, channels={"mail": mailbox.channel(**(mail or {})), "chat": chat.channel(), "back": back}, config=change)

    def __enter__(self):
        self.daemon.__enter__()
        return self

    def __exit__(self, *what):
        return self.daemon.__exit__(*what)

    def say(self, number, text, who=None, **more):
        answer = post_inbound(self.daemon, "chat", {"id": number, "from": who or {"phone": "+34600111222", "name": "Ana"}, "text": text,
                                                    **more})
        expect(answer.status, 200, answer.text)
        return answer.json["id"]

    def answer(self, mail_id, token, text=None, sender=OWNER, **more):
        """The owner's mail server hands a mail in; returns the verdict as the plugin hears it."""
        words = {"id": mail_id, "from": {"email": sender}, "token": token, **({"text": text} if text else {}), **more}
        program = (f"say('inbound', **json.loads({json.dumps(words)!r})); done = wait_for('done');"
                   "settle('accepted', code=done['status'], detail=done.get('reason') or done.get('message') or 'none')")
        message = self.daemon.send(program, to={"phone": "+34600999999"}, channels=["back"])
        attempt = self.daemon.wait_status(message, "sent")["attempts"][0]
        return attempt["code"], attempt["detail"]


def header(mail, name):
    return next((value for key, value in mail["headers"] if key.lower() == name.lower()), None)


def token_of(mail):
    found = ADDRESS.search(header(mail, "Reply-To") or "")
    expect_true(found, f"Reply-To has the conversation's address: {header(mail, 'Reply-To')}")
    return found.group(1)


def texts(chat):
    return [request.json["data"]["content"].get("text") for request in chat.requests]


@test
def a_customers_words_become_one_mail_and_the_owners_answer_comes_back(folder):
    with Mailbox() as box, Recorder() as chat, Shop(folder, box, chat) as shop:
        shop.daemon.wait_status(shop.daemon.send("Order 1042 is on its way.", to={"phone": "+34600111222"}, channels=["chat"]), "sent")
        first = shop.say("c1", "Where is order 1042?\nI am waiting.")
        mail = box.wait(1)
        expect(mail["to"], [MAILBOX])
        expect(mail["subject"].endswith(": Where is order 1042?"), True, mail["subject"])
        expect_true("I am waiting." in mail["text"] and "Order 1042 is on its way." in mail["text"], "the words, and what was before")
        conversation = shop.daemon.get(f"/v1/messages/{first}").json["conversation"]
        root = f"<{conversation}@bridge.parley.invalid>"
        expect((header(mail, "References"), header(mail, "In-Reply-To")), (root, root))
        shop.say("c2", "Hello?")
        second = box.wait(2)
        expect((header(second, "References"), second["subject"]), (root, mail["subject"]))
        token = token_of(mail)
        expect(token_of(second), token)

        quoted = "On Friday Shop wrote:\n> Where is order 1042?"
        done = shop.answer("<a1@shop.example>", token, parts=[{"kind": "text", "text": "It arrives today."},
                                                              {"kind": "text", "text": quoted, "quoted": True},
                                                              {"kind": "text", "text": "-- \nThe owner", "quoted": True}])
        expect(done[0], "ok", done[1])
        chat.wait_for(lambda request: "It arrives today." in request.text)
        expect(texts(chat)[-1], "It arrives today.")
        reply = shop.daemon.get(f"/v1/messages/{done[1]}").json
        expect((reply["conversation"], reply["topic"]), (conversation, "support"))
        again = shop.answer("<a1@shop.example>", token, "It arrives today.")
        expect(again, done)
        expect(texts(chat).count("It arrives today."), 1, "a Message-ID is one answer")
        shop.say("c3", "Thank you!")
        box.wait(3)
        expect(shop.daemon.get(f"/v1/conversations/{conversation}").json["conversation"]["channel"], "chat")
        expect(len(box.look()), 3, "what the mailbox writes is not bridged")


@test
def what_others_wrote_is_shown_as_it_was_written(folder):
    with Mailbox() as box, Recorder() as chat, Shop(folder, box, chat) as shop:
        news = "Spring. Unsubscribe: {{unsubscribe_url}}"
        shop.daemon.wait_status(shop.daemon.send(news, to={"phone": "+34600111222"}, channels=["chat"]), "sent")
        shop.say("c1", "What is {{preferences_url}}?")
        text = box.wait(1)["text"]
        expect_true("What is {{preferences_url}}?" in text and news in text and "/p/" not in text, text)


@test
def what_a_program_quotes_without_a_mark_ends_at_the_line(folder):
    with Mailbox() as box, Recorder() as chat, Shop(folder, box, chat) as shop:
        shop.say("c1", "Is it open on Sunday?")
        mail = box.wait(1)
        body = "Yes, from ten.\n\n" + mail["text"]
        expect(shop.answer("<a1@x>", token_of(mail), body)[0], "ok")
        chat.wait_for(lambda request: "Yes, from ten." in request.text)
        expect(texts(chat), ["Yes, from ten."])


@test
def files_come_as_links_and_go_with_the_answer(folder):
    with Mailbox() as box, Recorder() as chat, Shop(folder, box, chat) as shop:
        stored = shop.daemon.post("/v1/media?name=photo.png", b"\x89PNG of a broken lamp", headers={"Content-Type": "image/png"})
        expect(stored.status, 201, stored.text)
        post = post_inbound(shop.daemon, "chat", {"id": "c1", "from": {"phone": "+34600111222"}, "content": {
            "text": "It is broken", "media": [{"url": "https://pictures.example/lamp.jpg", "type": "image/jpeg", "name": "lamp.jpg"},
                                              {"data": base64.b64encode(b"%PDF of a bill").decode(), "type": "application/pdf",
                                               "name": "bill.pdf"}]}})
        expect(post.status, 200, post.text)
        mail = box.wait(1)
        link = re.search(r"bill\.pdf  http://[^/]*(/media/\S+)", mail["text"])
        expect_true(link, mail["text"])
        expect(shop.daemon.get(link.group(1)).body, b"%PDF of a bill")
        expect_true("lamp.jpg  https://pictures.example/lamp.jpg" in mail["text"], mail["text"])
        expect(shop.answer("<a1@x>", token_of(mail), parts=[
            {"kind": "text", "text": "Like this one?"},
            {"kind": "media", "url": "https://shop.example/new.jpg", "media_type": "image/jpeg", "name": "new.jpg"},
            {"kind": "media", "data": base64.b64encode(b"%PDF of an offer").decode(), "media_type": "application/pdf", "name": "offer.pdf"}
        ])[0], "ok")
        sent = chat.wait_for(lambda request: "Like this one?" in request.text)[0].json
        link, offer = sent["data"]["content"]["media"]
        expect((link["url"], link["name"], offer["name"]), ("https://shop.example/new.jpg", "new.jpg", "offer.pdf"))
        expect(shop.daemon.get(offer["url"][offer["url"].index("/media/"):]).body, b"%PDF of an offer")


@test
def whoever_is_no_owner_reaches_nobody(folder):
    with Mailbox() as box, Recorder() as chat, Shop(folder, box, chat) as shop:
        message = shop.say("c1", "Hello")
        token = token_of(box.wait(1))
        status, reason = shop.answer("<a1@x>", token, "Send your card's number.", sender="stranger@evil.example")
        expect((status, "owners" in reason), ("rejected", True), reason)
        conversation = shop.daemon.get(f"/v1/messages/{message}").json["conversation"]
        items = shop.daemon.get(f"/v1/conversations/{conversation}").json["items"]
        notes = [item for item in items if "note" in item["type"]]
        expect_true(len(notes) == 1 and "stranger@evil.example" in json.dumps(notes), f"it is noted: {items}")
        other = token[:-1] + ("0" if token[-1] != "0" else "1")
        expect(shop.answer("<a2@x>", other, "Guessed.", sender="guesser@evil.example")[0], "ok", "a token of nobody is none")
        expect(shop.answer("<a3@x>", token, "I am on holiday.", automatic=True)[0], "ok")
        expect(shop.answer("<a4@x>", token, "Still here.")[0], "ok")
        chat.wait_for(lambda request: "Still here." in request.text)
        expect(texts(chat), ["Still here."])
        expect([shop.daemon.metric(f"parley_bridge_{name}_total") for name in ("refused", "automatic", "answered")], [1.0, 1.0, 1.0])


@test
def what_the_owner_or_a_robot_writes_is_not_bridged(folder):
    with Mailbox() as box, Recorder() as chat, Shop(folder, box, chat) as shop:
        for number, sender in enumerate((OWNER, MAILBOX.upper(), OWNER.title())):
            expect(shop.answer(f"<o{number}@x>", "", "A new mail of ours", sender=sender)[0], "ok")
        expect(shop.answer("<o9@x>", "", "Out of office", sender="ana@example.org", automatic=True)[0], "ok")
        shop.say("c1", "Last of all")
        mail = box.wait(1)
        expect(mail["subject"].endswith(": Last of all"), True, mail["subject"])


@test
def only_the_channels_that_are_named(folder):
    with Mailbox() as box, Recorder() as chat, Shop(folder, box, chat, only=["back"]) as shop:
        shop.say("c1", "On chat")
        expect(shop.answer("<o1@x>", "", "By the other one", sender="ana@example.org")[0], "ok")
        expect(box.wait(1)["subject"].endswith(": By the other one"), True, box.mails)


@test
def an_answer_that_cannot_be_delivered_is_told_to_the_mailbox(folder):
    with Mailbox() as box, Recorder() as chat, Shop(folder, box, chat) as shop:
        shop.say("c1", "Hello")
        mail = box.wait(1)
        chat.answer = Reply(400)
        expect(shop.answer("<a1@x>", token_of(mail), "Lost words")[0], "ok")
        told = box.wait(2)
        expect_true("was not delivered: failed" in told["text"] and "Lost words" in told["text"], told["text"])
        expect((token_of(told), header(told, "References")), (token_of(mail), header(mail, "References")))
        expect(shop.answer("<a2@x>", token_of(mail), parts=[{"kind": "text", "text": "> only this", "quoted": True}])[0], "ok")
        expect_true("it is empty" in box.wait(3)["text"], box.mails[-1]["text"])


@test
def an_answer_to_a_channel_that_is_gone_is_told_after_a_reload(folder):
    with Mailbox() as box, Recorder() as chat, Shop(folder, box, chat) as shop:
        shop.say("c1", "Hello")
        mail = box.wait(1)
        shop.daemon.config["channels"]["other"] = shop.daemon.config["channels"].pop("chat")
        shop.daemon.config["plans"] = {"default": [{"channel": "mail"}]}
        shop.daemon.write_config()
        shop.daemon.signal(1)
        wait_until(lambda: "event=reloaded" in shop.daemon.log(), "it has reloaded")
        expect(shop.answer("<a1@x>", token_of(mail), "Anybody?")[0], "ok")
        expect_true("not configured any more" in box.wait(2)["text"], box.mails[-1]["text"])


@test
def a_mailbox_that_refuses_is_an_error_in_the_log(folder):
    with Mailbox("--fail-rcpt", MAILBOX) as box, Recorder() as chat, Shop(folder, box, chat) as shop:
        shop.say("c1", "Hello")
        wait_until(lambda: "event=bridge_mail_lost bridge=desk" in shop.daemon.log(), "it is said")
        expect(shop.daemon.metric("parley_messages_add_up"), 1.0)


def bounce(mail, to, trace=True):
    """What a mail server says hours after it has taken a mail to the mailbox, which it names by what stands in it."""
    lines = ["From: Mail Delivery System <mailer-daemon@mx.example.test>", f"To: {to}", "Subject: Undelivered Mail Returned to Sender",
             "Message-ID: <dsn@mx.example.test>", "Auto-Submitted: auto-replied", "MIME-Version: 1.0",
             'Content-Type: multipart/report; report-type=delivery-status; boundary="b"', "",
             "--b", "Content-Type: message/delivery-status", "", "Reporting-MTA: dns; mx.example.test", "",
             f"Final-Recipient: rfc822; {MAILBOX}", "Action: failed", "Status: 5.1.1", "Diagnostic-Code: smtp; 550 5.1.1 no such mailbox", "",
             "--b", "Content-Type: text/rfc822-headers", "",
             *(f"{name}: {value}" for name, value in mail["headers"] if trace or name.lower() != "x-parley-ref"), "", "--b--", ""]
    return "\r\n".join(lines).encode()


def bounced_later(folder, way):
    """A customer's words are mailed, and the mail server's report comes afterwards, by its return path or to no token's address."""
    port = free_port()
    listens = {"listen": {"address": f"127.0.0.1:{port}", "domains": ["in.shop.example"]}, "return_path": "bounce@in.shop.example"}
    with Mailbox() as box, Recorder() as chat, Shop(folder, box, chat, mail=listens) as shop:
        shop.say("c1", "Where is order 1042?")
        mail = box.wait(1)
        message = next(row for row in shop.daemon.get("/v1/messages?topic=support").json["items"] if row["channel"] == "mail")["id"]
        shop.daemon.wait_status(message, "sent")
        expect_true(mail["from"] == f"bounce+{header(mail, 'X-Parley-Ref')}@in.shop.example", f"its own token: {mail['from']}")
        expect_true(token_of(mail) not in (mail["from"], header(mail, "X-Parley-Ref")), "which is not the conversation's")
        to = mail["from"] if way == "return path" else "bounces@in.shop.example"
        expect(codes(port, bounce(mail, to, trace=way != "return path"), to=[to], sender=""), [250])
        state = shop.daemon.wait_status(message, "failed")
        expect(state["reason"], "receipt_failed")
        suppressed = shop.daemon.get("/v1/suppressions").json["items"]
        expect([(row["identity"], row["reason"]) for row in suppressed], [(f"email:{MAILBOX}", "hard_bounce")])
        wait_until(lambda: f"event=bridge_mail_lost bridge=desk msg={message} status=failed why=receipt_failed code=5.1.1" in shop.daemon.log(),
                   "the operator hears of it")
        shop.say("c2", "Hello?")
        wait_until(lambda: "status=suppressed why=address_suppressed" in shop.daemon.log(), "and of each word that is not mailed")
        expect(shop.daemon.metric("parley_bridge_lost_total"), 2.0)
        expect(len(box.look()), 1)
        expect(shop.daemon.delete(f"/v1/suppressions/email:{MAILBOX}").status, 204)
        shop.say("c3", "Is anybody there?")
        box.wait(2)


@test
def a_mail_server_that_bounces_later_is_heard_by_its_return_path(folder):
    bounced_later(folder, "return path")


@test
def a_mail_server_that_bounces_later_is_heard_by_the_trace_header(folder):
    bounced_later(folder, "trace header")


@test
def too_many_answers_within_an_hour_are_a_loop(folder):
    with Mailbox() as box, Recorder() as chat, Shop(folder, box, chat) as shop:
        shop.say("c1", "Hello")
        token = token_of(box.wait(1))
        verdicts = [shop.answer(f"<a{number}@x>", token, f"Robot {number}")[0] for number in range(62)]
        expect((verdicts[:60].count("ok"), verdicts[60:]), (60, ["rejected", "rejected"]))


@test
def killed_at_any_moment_each_word_is_mailed_once(folder):
    rounds, each = 6, 12
    with Mailbox() as box, Recorder() as chat, Shop(folder, box, chat) as shop:
        wanted = []
        for turn in range(rounds):
            for number in range(each):
                name = f"word-{turn}-{number}"
                customer = {"phone": f"+3460011{1000 + number}"}
                shop.say(name, f"~{name}~", who=customer)
                wanted.append(f"~{name}~")
            shop.daemon.restart()

        def seen():
            return [re.search(r"~word-\d+-\d+~", mail["text"]).group(0) for mail in box.look()]

        def own(mail):
            return mail["message_id"]

        wait_until(lambda: set(seen()) >= set(wanted), lambda: f"missing {sorted(set(wanted) - set(seen()))}", 60)
        expect(len(shop.daemon.get("/v1/messages?topic=support&limit=200").json["items"]), len(wanted),
               "each event was handed in once")
        ids = {}
        for mail in box.look():
            ids.setdefault(re.search(r"~word-\d+-\d+~", mail["text"]).group(0), set()).add(own(mail))
        expect([word for word, names in ids.items() if len(names) != 1], [], "sent again only as the same mail")


@test
def answers_survive_a_kill_and_are_handed_in_once(folder):
    with Mailbox() as box, Recorder() as chat, Shop(folder, box, chat) as shop:
        shop.say("c1", "Hello")
        token = token_of(box.wait(1))
        for number in range(4):
            first = shop.answer(f"<a{number}@x>", token, f"Answer {number}")
            expect(first[0], "ok", first[1])
            shop.daemon.restart()
            expect(shop.answer(f"<a{number}@x>", token, f"Answer {number}"), first)
        chat.wait_for(lambda request: "Answer 3" in request.text)
        bodies = {(request.headers["webhook-id"], request.json["data"]["content"]["text"]) for request in chat.requests}
        expect(sorted(text for _, text in bodies), [f"Answer {number}" for number in range(4)])


@test
def a_bridge_that_cannot_work_is_refused_with_the_place(folder):
    with Mailbox() as box, Recorder() as chat:
        for change, words in (({"channel": "chat"}, "channel 'chat' sends no e-mail"), ({"channel": "none"}, "there is no channel 'none'"),
                              ({"owners": []}, "nobody could answer"), ({"to": "support"}, "is no address"),
                              ({"topic": "none"}, "there is no topic 'none'"), ({"only": ["fax"]}, "there is no channel 'fax'")):
            shop = Shop(folder, box, chat, **change)
            shop.daemon.write_config()
            checked = subprocess.run([os.path.join(os.environ.get("PARLEY_BIN_DIR") or
                                                   os.path.join(os.environ["PARLEY_BUILD_DIR"], "bin"), "parleyd"),
                                      "--check", "-c", shop.daemon.config_path], capture_output=True, text=True, timeout=WAIT_S,
                                     env=dict(os.environ, PARLEY_KEY="k" * 40, HOOK_SECRET="whsec_" + "a" * 32, FEED_SECRET="x"))
            if checked.returncode == 0 or words not in checked.stderr or "bridges.desk" not in checked.stderr:
                raise Failure(f"{change}: {checked.stderr}")


run()
