#!/usr/bin/python3
# label: spine email
# timeout: 240
# stores: sqlite postgres
"""A customer's mail comes in by LMTP and SMTP: history, files, feed; what must not come in; the submission port; the capture
address; an address to unsubscribe."""

import base64
import re
import smtplib
import sys
import threading

from parley_mail_in import KEY_OF_OLD_SHOP, channel, codes, crlf, mail, messages, old_shop
from parley_smtp import Mail
from parley_test import Daemon, Recorder, expect, expect_true, free_port, parley, run, test, wait_until


def desk_of(desk):
    return lambda config: config.update(subscriptions={"desk": desk.subscription("message.received")})


@test
def a_mail_is_in_the_history_and_in_the_feed_before_it_is_acknowledged(folder):
    port = free_port()
    with Recorder() as desk, Daemon(folder, channels={"mail": channel(port)}, config=desk_of(desk)) as daemon:
        made = mail("Yes, the blue one.\n\nOn Friday Shop <orders@shop.example> wrote:\n> Which one?\n")
        made.add_attachment(b"\x89PNG" + bytes(2000), maintype="image", subtype="png", filename="../../etc/photo.png")
        made.set_boundary("the-same-each-time")
        expect(codes(port, made), [250])
        kept = messages(daemon)[0]
        expect((kept["direction"], kept["content"]["subject"], kept["content"]["text"]), ("in", "Order 1042", "Yes, the blue one."))
        expect(kept["provider_id"], "a1@example.org")
        media = kept["content"]["media"][0]
        expect((media["name"], media["type"]), ("photo.png", "image/png"))
        file = daemon.get(f"/v1/media/{media['id']}")
        expect_true(file.status == 200 or "link" in file.text, "the file is kept")
        expect(codes(port, made), [250], "a second time, as after a lost answer")
        expect(len(messages(daemon)), 1)
        expect(desk.wait_for()[0].json["data"]["message"]["id"], kept["id"])
        whole = daemon.get(f"/v1/messages/{kept['id']}").json
        expect_true("> Which one?" in whole["quoted"], f"the quotation is kept: {whole}")
        expect(whole["fields"]["to"], "support@shop.example")


@test
def html_alone_is_read_as_text_without_its_history(folder):
    port = free_port()
    with Daemon(folder, channels={"mail": channel(port, protocol="smtp")}) as daemon:
        made = mail(sender="Ana <ana@example.org>")
        made.set_content("<p>Yes, <b>please</b></p><div class=\"gmail_quote\">On Friday, Shop wrote: x</div>", subtype="html")
        expect(codes(port, made, client=smtplib.SMTP), [250])
        kept = messages(daemon)[0]["content"]
        expect(kept["text"], "Yes, please")
        expect_true("gmail_quote" in kept["html"], "the HTML is whole")


@test
def a_large_mail_with_large_files_comes_in_whole(folder):
    port = free_port()
    with Daemon(folder, channels={"mail": channel(port)}) as daemon:
        made = mail()
        for n in range(3):
            made.add_attachment(bytes([n]) * (5 << 20), maintype="application", subtype="octet-stream", filename=f"f{n}.bin")
        expect(codes(port, made), [250])
        media = messages(daemon)[0]["content"]["media"]
        expect([part["name"] for part in media], ["f0.bin", "f1.bin", "f2.bin"])
        expect(codes(port, mail("x\n" * 14_000_000, message_id="<big@example.org>")), [552])


@test
def strangers_domains_and_unknown_addresses_are_refused_one_by_one(folder):
    port = free_port()
    with Daemon(folder, channels={"mail": channel(port, addresses=["support"])}) as daemon:
        to = ("support@shop.example", "nobody@shop.example", "ana@other.example", "Support@SHOP.example", "postmaster@shop.example")
        expect(codes(port, mail(), to=to), [250, 550, 550, 250, 250])
        expect(len(messages(daemon)), 1, "one mail, whoever of us it was for")


@test
def a_mail_from_nobody_or_about_nothing_is_refused(folder):
    port = free_port()
    with Daemon(folder, channels={"mail": channel(port)}) as daemon:
        expect(codes(port, b"Subject: x\r\n\r\nHi", sender=""), [554])
        expect(codes(port, b"no header at all"), [554])
        expect(codes(port, mail(Auto_Submitted="auto-replied")), [250])
        kept = messages(daemon)[0]
        expect((kept["automatic"], kept["conversation"]), (True, None), "a vacation note opens nothing")


@test
def two_mails_with_one_message_id_are_two(folder):
    port = free_port()
    with Daemon(folder, channels={"mail": channel(port)}) as daemon:
        expect(codes(port, mail("one\n")), [250])
        expect(codes(port, mail("two\n")), [250])
        expect(sorted(message["content"]["text"] for message in messages(daemon)), ["one", "two"])


@test
def a_copy_to_the_capture_address_is_filed_as_sent_and_nothing_is(folder):
    port = free_port()
    with Mail() as sink, Daemon(folder, channels={"mail": channel(port, smtp=sink.port)}) as daemon:
        shown = parley(daemon, "key", "capture", "tests")
        expect(shown.returncode, 0, shown.stderr)
        token = shown.stdout.strip()
        expect_true(token.startswith("log+") and len(token) == 33, token)
        sent = mail("Thank you, Ana.\n", to="Ana <ana@example.org>", sender="Shop <orders@shop.example>")
        expect(codes(port, sent, to=(token + "@shop.example",), sender="orders@shop.example"), [250])
        kept = messages(daemon)[0]
        expect((kept["direction"], kept["status"], kept["echo"], kept["content"]["text"]), ("out", "sent", True, "Thank you, Ana."))
        expect(kept["conversation"], None)
        forged = token[:-1] + ("0" if token[-1] != "0" else "1")
        expect(codes(port, mail(message_id="<a2@example.org>"), to=(forged + "@shop.example",)), [550])
        key = daemon.post("/v1/keys", {"name": "gone", "scopes": ["messages:send"]}).json
        gone = parley(daemon, "key", "capture", key["id"]).stdout.strip()
        expect(daemon.delete(f"/v1/keys/{key['id']}").status, 204)
        expect(codes(port, mail(message_id="<a3@example.org>"), to=(gone + "@shop.example",)), [550], "a revoked key files nothing")
        expect(len(messages(daemon)), 1)


@test
def a_captured_mail_is_filed_for_a_hundred_customers_and_says_when_there_were_more(folder):
    port = free_port()
    with Daemon(folder, channels={"mail": channel(port)}) as daemon:
        address = parley(daemon, "key", "capture", "tests").stdout.strip() + "@shop.example"
        shop = "orders@shop.example"
        for name, n in (("few", 99), ("many", 130)):
            people = [f"{name}{i}@example.org" for i in range(n)]
            sent = mail("News.\n", message_id=f"<{name}@shop.example>", to=", ".join(people[:50]), sender=shop, Cc=", ".join(people[50:]))
            expect(codes(port, sent, to=(address,), sender=shop), [250])
            filed = [messages(daemon, person) for person in people]
            expect([len(each) for each in filed], [1] * min(n, 100) + [0] * max(n - 100, 0))
            expect({each[0]["fields"].get("limited") for each in filed if each}, {"true" if n > 100 else None})
        expect(re.findall(r"event=capture_limited filed=(\d+) left_out=(\d+)", daemon.log()), [("100", "30")])


def submission(folder, isolation):
    port = free_port()
    with Mail() as sink:
        with Daemon(folder, channels={"mail": channel(0, smtp=sink.port, submission={"listen": f"127.0.0.1:{port}"},
                                                      isolation=isolation)}, config=old_shop(folder)) as daemon:
            made = mail("Thank you, Ana.\n", to="ana@example.org", sender="Old shop <shop@shop.example>")
            made.add_alternative("<p>Thank you, Ana.</p>", subtype="html")
            made.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename="invoice.pdf")
            made.set_boundary("one")
            raw = crlf(made)
            with smtplib.SMTP("127.0.0.1", port, timeout=20) as session:
                expect(session.docmd("EHLO", "old.example")[0], 250)
                expect(session.docmd("MAIL", "FROM:<shop@shop.example>")[0], 530, "nothing without a key")
                for wrong in ("no-such-key", KEY_OF_OLD_SHOP + "-reads"):
                    expect(session.docmd("AUTH PLAIN", base64.b64encode(f"\0any\0{wrong}".encode()).decode())[0], 535)
                session.ehlo()
                session.login("any", KEY_OF_OLD_SHOP)
                expect(session.sendmail("shop@shop.example", ["ana@example.org", "bob@example.org"], raw), {})
                expect(session.sendmail("shop@shop.example", ["ana@example.org"], raw), {}, "again: the answer was lost")
                expect(session.mail("shop@shop.example")[0], 250)
                expect(session.rcpt("no address")[0], 553, "one that is none is refused alone")
                expect(session.rcpt("eva@example.org")[0], 250)
                session.rset()
                nameless = b"\r\n".join(line for line in raw.split(b"\r\n") if not line.lower().startswith((b"message-id:", b"date:")))
                for date, who in ((b"Date: Fri, 27 Nov 2026 10:00:00 +0000\r\n", "kim@example.org"), (b"", "lou@example.org")):
                    for _ in range(2):
                        expect(session.sendmail("shop@shop.example", [who], date + nameless), {})
                session.mail("shop@shop.example")
                expect([session.rcpt(who)[0] for who in ("ana@example.org", "eva@1.2")], [250, 250])
                expect(session.docmd("DATA")[0], 354)
                session.send(raw + b"\r\n.\r\n")
                expect(session.getreply()[0], 554, "one of them gets nothing: the sender hears it")
            received = {}
            for _ in range(5):
                one = sink.next()
                received.setdefault(one["to"][0], []).append(one)
            expect({who: len(mails) for who, mails in received.items()},
                   {"ana@example.org": 1, "bob@example.org": 1, "kim@example.org": 1, "lou@example.org": 2},
                   "without a Date nothing tells the same mail from another one of its words")
            sent = wait_until(lambda: [one for one in messages(daemon) if one["status"] == "sent"], "sent")
            expect(len(messages(daemon)), 1, "once")
            expect((sent[0]["topic"], sent[0]["content"]["subject"]), ("orders", "Order 1042"))
            expect_true("<p>Thank you" in sent[0]["content"]["html"], "HTML is kept")
            expect(sent[0]["content"]["media"][0]["name"], "invoice.pdf")


@test
def old_shop_software_sends_through_the_submission_port(folder):
    submission(folder, "inline")


@test
def the_submission_port_works_from_a_process_of_its_own(folder):
    submission(folder, "process")


@test
def twenty_clients_at_once_each_find_their_mails(folder):
    port, errors = free_port(), []

    def client(n):
        try:
            with smtplib.LMTP("127.0.0.1", port, timeout=30) as session:
                for i in range(20):
                    made = mail(f"{n} {i}\n", message_id=f"<{n}.{i}@example.org>", sender=f"c{n}@example.org")
                    session.sendmail(f"c{n}@example.org", ["support@shop.example"], crlf(made))
        except (OSError, smtplib.SMTPException) as error:
            errors.append(error)

    with Daemon(folder, channels={"mail": channel(port)}) as daemon:
        threads = [threading.Thread(target=client, args=(n,)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expect(errors, [])
        for n in range(20):
            expect(len(messages(daemon, f"c{n}@example.org")), 20)


sys.exit(run())
