#!/usr/bin/python3
# label: email
# timeout: 600
"""A shop's mail from end to end, with programs that are not ours: Postfix sends and takes in, Dovecot keeps the mailboxes, IMAP reads
them. An order confirmation and a mailing to a thousand; an answer that lands in its conversation, with the order in its history, and is
answered from the support mailbox; an address that bounces and is suppressed; one click that ends the newsletter."""

import contextlib
import email
import email.message
import email.policy
import imaplib
import re
import smtplib
import urllib.parse

from parley_dovecot import PASSWORD, Dovecot
from parley_postfix import Postfix
from parley_test import Client, Daemon, expect, expect_true, free_port, parley, run, test, wait_until
from parley_tls import Authority

PEOPLE = 1000  # of the mailing: "ana", who has ordered, "gone", who has no mailbox, and others
BATCH_MAX = 500
MAILING_S = 300  # for a thousand mails through two mail servers; 15 on a quiet machine
POLICY = email.policy.default.clone(refold_source="none")  # long headers are read as they came
WORDS = "Thank you, Ana. Order 1042 is on its way."


class Town:
    """The mail servers around a shop, and the shop's Parley between them, configured as the documentation says."""

    def __init__(self, folder):
        self.folder, self.stack = folder, contextlib.ExitStack()
        self.names = ["ana", "gone"] + [f"r{number:03}" for number in range(PEOPLE - 2)]
        self.lmtp = free_port()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            users = ["support", "owner"] + [name for name in self.names if name != "gone"]
            self.boxes = stack.enter_context(Dovecot(Authority(self.folder).make("dovecot"), users=users))
            self.post = stack.enter_context(Postfix({
                "relay_domains": "in.shop.example",
                "relay_transport": f"lmtp:inet:127.0.0.1:{self.lmtp}",
                "virtual_mailbox_domains": "shop.example, customers.example",
                "virtual_mailbox_maps": "static:all",
                "virtual_transport": f"lmtp:inet:127.0.0.1:{self.boxes.lmtp}"}))
            self.daemon = stack.enter_context(Daemon(self.folder, channels={"mail": self.channel()}, config=self.desk))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *what):
        return self.stack.__exit__(*what)

    def channel(self):
        return {"plugin": "email", "options": {
            "smtp": f"smtp://127.0.0.1:{self.post.port}", "from": "Shop <orders@shop.example>", "reply": "reply@in.shop.example",
            "return_path": "bounce@in.shop.example", "listen": {"address": f"127.0.0.1:{self.lmtp}", "domains": ["in.shop.example"]}}}

    @staticmethod
    def desk(config):
        config["bridges"] = {"desk": {"channel": "mail", "to": "support@shop.example", "owners": ["owner@shop.example"]}}

    # Mailboxes.
    def mails(self, user):
        client = self.boxes.client(user)
        try:
            count = int(client.select("INBOX", readonly=True)[1][0])
            rows = client.fetch("1:*", "(BODY.PEEK[])")[1] if count else []
            return [email.message_from_bytes(row[1], policy=POLICY) for row in rows if isinstance(row, tuple)]
        except imaplib.IMAP4.error:
            return []
        finally:
            client.logout()

    def mail(self, user, count=1):
        """The newest of `count` mails in this mailbox."""
        return wait_until(lambda: (lambda all: all[-1] if len(all) >= count else None)(self.mails(user)), f"{count} mails for {user}")

    def answer(self, mail, sender, text):
        """As a mail program answers: quotation beneath, its own Message-ID, the thread in its headers."""
        made = email.message.EmailMessage()
        made["From"], made["To"], made["Subject"] = sender, mail["Reply-To"], "Re: " + mail["Subject"]
        made["Message-ID"] = f"<{sender.partition('@')[0]}.1@programs.example>"
        made["In-Reply-To"] = mail["Message-ID"]
        made["References"] = f"{mail['References'] or ''} {mail['Message-ID']}".strip()
        quoted = "".join(f"> {line}\n" for line in plain(mail).splitlines())
        made.set_content(f"{text}\n\nOn Friday Shop <orders@shop.example> wrote:\n{quoted}")
        with smtplib.SMTP("127.0.0.1", self.post.port, timeout=20) as session:
            session.send_message(made)
        return made["Message-ID"]

    # Parley.
    def customers(self):
        for name in self.names:
            body = {"identities": {"email": f"{name}@customers.example"}, "name": name.capitalize()}
            expect_true(self.daemon.put(f"/v1/customers/external:{name}", body).status in (200, 201), name)
            answer = self.daemon.put(f"/v1/customers/external:{name}/consents/newsletter/email", {"granted": True, "source": "till"})
            expect(answer.status, 200, answer.text)

    def mailing(self, title, names):
        """Ids of the messages by name."""
        items = [{"to": {"external": name}, "topic": "newsletter", "content": {"subject": title, "text": f"Dear {name}: {title}.",
                                                                             "html": f"<p>Dear {name}: <b>{title}</b></p>"}} for name in names]
        ids = []
        for at in range(0, len(items), BATCH_MAX):
            answer = self.daemon.post("/v1/messages/batch", {"items": items[at:at + BATCH_MAX]})
            expect(answer.status, 200, answer.text[:300])
            ids += [item["message"]["id"] for item in answer.json["items"] if item["status"] == 202]
        expect(len(ids), len(items))
        return dict(zip(names, ids))

    def timeline(self, name):
        """(direction, status, text) of its messages, oldest first."""
        items = self.daemon.get(f"/v1/customers/external:{name}/timeline").json["items"]
        rows = [row["message"] for row in reversed(items) if "message" in row]
        return [(row["direction"], row["status"], row["content"].get("text", "")) for row in rows]


def plain(mail):
    return mail.get_body(("plain",)).get_content()


def order_is_read(town):
    answer = town.daemon.post("/v1/messages", {"to": {"external": "ana"}, "topic": "orders",
                                               "content": {"subject": "Order 1042", "text": WORDS}}, idempotency_key="order-1042")
    expect(answer.status, 202, answer.text)
    mail = town.mail("ana")
    expect((mail["Subject"], plain(mail).strip(), mail["From"]), ("Order 1042", WORDS, "Shop <orders@shop.example>"))
    expect_true(mail["Return-Path"].startswith("<bounce+") and mail["Reply-To"].addresses[0].addr_spec.startswith("reply+"), mail)
    return mail


def answer_comes_back(town, order):
    """The customer's question, the support mailbox's answer, and what everybody sees of it."""
    sent = town.answer(order, "ana@customers.example", "When will it arrive?")
    asked = town.mail("support")
    expect(asked["Subject"], "Ana: Order 1042")
    body = plain(asked)
    expect_true("When will it arrive?" in body and f"shop: {WORDS}" in body.partition("Earlier")[2], body)
    town.answer(asked, "owner@shop.example", "Tomorrow before noon.")
    got = town.mail("ana", 2)
    expect((plain(got).strip(), got["Subject"], got["In-Reply-To"]), ("Tomorrow before noon.", "Re: Order 1042", sent))
    expect_true(order["Message-ID"] in got["References"] and sent in got["References"], got["References"])
    question = wait_until(lambda: [row for row in town.daemon.get("/v1/conversations?state=open").json["items"]], "a conversation")
    expect(len(question), 1, question)
    shown = town.daemon.get(f"/v1/conversations/{question[0]['id']}").json
    expect((shown["conversation"]["subject"], shown["conversation"]["channel"]), ("Order 1042", "mail"))
    expect(town.timeline("ana"), [("out", "sent", WORDS), ("in", "received", "When will it arrive?"),
                                  ("out", "sent", "Tomorrow before noon.")])


def mailing_arrives(town, first):
    def delivered():
        done = town.post.log().count("@customers.example>, relay=127.0.0.1")
        return done >= PEOPLE + 2  # and the two that ana had

    wait_until(delivered, lambda: f"{PEOPLE} deliveries: {town.post.log()[-300:]}", timeout_s=MAILING_S)
    for name in ("r000", "r500", town.names[-1]):
        mail = town.mail(name)
        expect((mail["Subject"], plain(mail).strip()), ("Spring news", f"Dear {name}: Spring news."))
        expect((len(town.mails(name)), mail["List-Unsubscribe-Post"]), (1, "List-Unsubscribe=One-Click"))
    counts = {}
    for name in ("ana", "r000", "r500"):
        counts[town.daemon.message_state(first[name])["status"]] = True
    expect(counts, {"sent": True})
    expect(town.daemon.metric("parley_messages_add_up"), 1.0)


def bounce_is_suppressed(town, first):
    state = town.daemon.wait_status(first["gone"], "failed")
    expect_true(re.search(r"dsn=5\.1\.1, status=bounced", town.post.log()), "postfix took the mail, and reported that it bounced")
    rows = town.daemon.get("/v1/suppressions").json["items"]
    expect([(row["identity"], row["reason"], row["message"], row["code"]) for row in rows],
           [("email:gone@customers.example", "hard_bounce", first["gone"], "5.1.1")], str(state))
    listed = parley(town.daemon, "suppression", "list")
    expect_true("email:gone@customers.example" in listed.stdout and "hard_bounce" in listed.stdout, listed.stdout + listed.stderr)


def one_click_unsubscribes(town, name):
    links = re.findall(r"<([^>]+)>", town.mail(name)["List-Unsubscribe"])
    web = urllib.parse.urlsplit(next(link for link in links if link.startswith("http")))
    expect_true(any(link.startswith("mailto:unsubscribe+") for link in links), links)
    with contextlib.closing(Client(town.daemon.port, key=None)) as client:
        answer = client.post(web.path, b"List-Unsubscribe=One-Click", headers={"Content-Type": "application/x-www-form-urlencoded"})
    expect((answer.status, answer.headers["Location"], answer.headers["Set-Cookie"]), (200, None, None))
    consents = town.daemon.get(f"/v1/customers/external:{name}/consents").json["items"]
    expect([(each["granted"], each["source"]) for each in consents][:1], [(False, "one_click")])


@test
def an_order_a_mailing_an_answer_a_bounce_and_an_unsubscribe(folder):
    with Town(folder) as town:
        town.customers()
        order = order_is_read(town)
        answer_comes_back(town, order)
        first = town.mailing("Spring news", town.names)
        mailing_arrives(town, first)
        bounce_is_suppressed(town, first)
        one_click_unsubscribes(town, "r007")
        second = town.mailing("Summer news", ["ana", "gone", "r006", "r007"])
        expect(town.mail("r006", 2)["Subject"], "Summer news")
        expect(town.mail("ana", 4)["Subject"], "Summer news")
        for name, reason in (("gone", "address_suppressed"), ("r007", "no_consent")):
            state = town.daemon.wait_status(second[name], "suppressed")
            expect(state["reason"], reason)
        expect([mail["Subject"] for mail in town.mails("r007")], ["Spring news"])
        expect(town.daemon.metric("parley_messages_add_up"), 1.0)


if __name__ == "__main__":
    run()
