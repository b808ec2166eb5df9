#!/usr/bin/python3
# label: email
# timeout: 300
# stores: sqlite postgres
"""Mail of a hosted mailbox comes in by IMAP, from a real Dovecot over TLS: at once by IDLE, or by looking now and then; what becomes of
it there; servers that end and begin, mailboxes numbered anew, mail that cannot be taken; and kill -9 of parleyd at any time."""

import json
import os
import random
import time

from parley_dovecot import PASSWORD, USER, Dovecot
from parley_imap_script import ImapScript
from parley_mail_in import crlf, mail, messages
from parley_oauth import OAuth
from parley_smtp import Mail
from parley_test import Daemon, Recorder, Reply, expect, expect_true, parley, run, test, wait_until
from parley_tls import Authority

SHUT_S = 90  # a process of Dovecot's that sleeps in IDLE may see only after 20 s that its master has ended


def channel(dovecot, url=None, isolation=None, **imap):
    options = {"from": "Shop <orders@shop.example>",
               "imap": {"url": url or f"imaps://localhost:{dovecot.imaps}", "user": USER, "password": {"env": "IMAP_PASSWORD"}, **imap}}
    return {"plugin": "email", "options": options, **({"isolation": isolation} if isolation else {})}


def daemon_of(place, dovecot, authority, password=PASSWORD, **more):
    return Daemon(place, channels={"mail": channel(dovecot, **more)}, env={"SSL_CERT_FILE": authority.ca, "IMAP_PASSWORD": password})


def texts(daemon, address="ana@example.org"):
    return sorted(message["content"]["text"].strip() for message in messages(daemon, address))


def wait_texts(daemon, *want):
    wait_until(lambda: texts(daemon) == sorted(want), lambda: f"{sorted(want)} came in: {texts(daemon)}\n{daemon.log_end()}")


def one(number, **headers):
    return mail(f"{number}\n", message_id=f"<{number}@example.org>", **headers)


@test
def a_mail_is_in_the_history_soon_after_its_delivery(folder):
    authority = Authority(folder)
    with Dovecot(authority.make("dovecot")) as dovecot, daemon_of(folder, dovecot, authority) as daemon:
        dovecot.deliver(one("first"))
        wait_texts(daemon, "first")
        time_of = time.monotonic()
        dovecot.deliver(one("second"))
        wait_texts(daemon, "first", "second")
        expect_true(time.monotonic() - time_of < 5, "by IDLE, not by looking now and then")
        kept = messages(daemon)[0]
        expect((kept["direction"], kept["channel"]), ("in", "mail"))
        expect(dovecot.mails(), [[], []])
        whole = daemon.get(f"/v1/messages/{kept['id']}").json
        expect(whole["content"]["subject"], "Order 1042")


@test
def what_was_read_before_the_first_start_is_left_alone(folder):
    authority = Authority(folder)
    with Dovecot(authority.make("dovecot")) as dovecot:
        for name in ("read", "unread"):
            dovecot.deliver(one(name))
        client = dovecot.client()
        client.select("INBOX")
        client.store("1", "+FLAGS", "\\Seen")
        client.logout()
        with daemon_of(folder, dovecot, authority) as daemon:
            wait_texts(daemon, "unread")
            dovecot.deliver(one("new"))
            wait_texts(daemon, "unread", "new")


@test
def after_says_what_becomes_of_it_there(folder):
    authority = Authority(folder)
    for after, more, here, there in (("seen", {}, [[b"\\Seen"]], None), ("move", {"folder": "Archiv.Übersicht & Rest"}, [], [[]]),
                                     ("delete", {}, [], None)):
        with Dovecot(authority.make(after)) as dovecot:
            with daemon_of(folder, dovecot, authority, after=after, **more) as daemon:
                dovecot.deliver(one(after, to=f"{after}@shop.example"))
                wait_until(lambda: dovecot.mails() == here, lambda: f"{after}: {dovecot.mails()} {daemon.log_end()}")
                expect_true(after in texts(daemon), f"{after}: it was taken first")
                if there is not None:
                    expect(dovecot.mails('"Archiv.&ANw-bersicht &- Rest"'), there)


@test
def without_idle_and_move_it_looks_now_and_then_and_copies(folder):
    authority = Authority(folder)
    with Dovecot(authority.make("dovecot"), more="imap_capability = IMAP4rev1 UIDPLUS STARTTLS") as dovecot:
        with daemon_of(folder, dovecot, authority, url=f"imap://localhost:{dovecot.imap}", tls="required", poll="1s", after="move",
                       folder="Done") as daemon:
            for name in ("one", "two"):
                dovecot.deliver(one(name))
                wait_until(lambda: name in texts(daemon), lambda: f"{name}: {daemon.log_end()}")
            wait_until(lambda: dovecot.mails() == [] and len(dovecot.mails("Done") or []) == 2, "both were moved")


@test
def a_mail_that_cannot_be_taken_is_passed_over_told_and_counted(folder):
    authority = Authority(folder)
    with Dovecot(authority.make("dovecot")) as dovecot:
        dovecot.deliver(one("before"))
        dovecot.put(b"no header at all, and nobody who wrote it", "100.M1P1.x")
        dovecot.put(b"From: ana@example.org\r\n\r\n" + b"x" * 78 + b"\r\n" + bytes(range(32, 127)) * 290_000, "101.M1P1.x")
        with daemon_of(folder, dovecot, authority, after="delete") as daemon:
            dovecot.deliver(one("after"))
            wait_texts(daemon, "before", "after")
            wait_until(lambda: len(dovecot.mails()) == 2, "those that were not taken stay where they are")
            expect(daemon.metric("parley_plugin_email_imap_mails", '{channel="mail",what="passed_over"}'), 2)
            expect(daemon.log().count("event=imap_mail_passed_over"), 2)


@test
def mails_that_the_server_gives_to_nobody_hold_up_no_other(folder):
    with ImapScript({uid: crlf(one(f"m{uid}")) for uid in range(1, 7)}) as server:
        server.refused, server.fatal = {2, 3}, {5}
        imap = {"url": f"imap://127.0.0.1:{server.port}", "user": USER, "password": {"env": "IMAP_PASSWORD"}, "after": "delete",
                "poll": "1s"}
        options = {"from": "Shop <orders@shop.example>", "imap": imap}
        with Daemon(folder, channels={"mail": {"plugin": "email", "options": options}}, env={"IMAP_PASSWORD": PASSWORD}) as daemon:
            wait_until(lambda: set(server.mails) == {2, 3, 5}, lambda: f"{sorted(server.mails)} {daemon.log_end()}", timeout_s=90)
            expect(texts(daemon), ["m1", "m4", "m6"])
            expect(daemon.metric("parley_plugin_email_imap_mails", '{channel="mail",what="passed_over"}'), 3)
            expect((server.fetched.count(2), server.fetched.count(3), server.fetched.count(5)), (3, 3, 10))


@test
def a_large_mail_comes_in_whole(folder):
    authority = Authority(folder)
    with Dovecot(authority.make("dovecot")) as dovecot, daemon_of(folder, dovecot, authority) as daemon:
        made = one("large")
        for n in range(3):
            made.add_attachment(bytes([n]) * (5 << 20), maintype="application", subtype="octet-stream", filename=f"f{n}.bin")
        dovecot.deliver(made)
        wait_texts(daemon, "large")
        media = messages(daemon)[0]["content"]["media"]
        expect([part["name"] for part in media], ["f0.bin", "f1.bin", "f2.bin"])


@test
def wrong_credentials_are_told_with_what_to_do(folder):
    authority = Authority(folder)
    with Dovecot(authority.make("dovecot")) as dovecot, daemon_of(folder, dovecot, authority, password="wrong") as daemon:
        def shown():
            return daemon.get("/v1/channels/mail").json
        wait_until(lambda: shown()["state"] == "down", lambda: f"the channel is down: {shown()}")
        expect_true("imap auth" in str(shown()) and "app password" in str(shown()), f"cause and remedy: {shown()}")
        checked = parley(daemon, "channel", "check", "mail")
        expect_true(checked.returncode != 0 and "imap auth" in checked.stdout + checked.stderr, checked.stdout + checked.stderr)


@test
def one_channel_sends_and_receives_and_sends_on_when_the_mailbox_is_shut(folder):
    authority = Authority(folder)
    with Mail() as sink, Dovecot(authority.make("dovecot")) as dovecot:
        both = channel(dovecot)
        both["options"]["smtp"] = f"smtp://127.0.0.1:{sink.port}"
        with Daemon(folder, channels={"mail": both}, env={"SSL_CERT_FILE": authority.ca, "IMAP_PASSWORD": PASSWORD}) as daemon:
            dovecot.deliver(one("in"))
            wait_texts(daemon, "in")
            daemon.wait_status(daemon.send("out", to={"email": "ana@example.org"}), "sent")
            expect_true("out" in sink.next()["text"], "it went out")
            dovecot.passdb = dovecot.passdb.replace(PASSWORD, "another")
            dovecot.stop()
            dovecot.start()
            wait_until(lambda: daemon.get("/v1/channels/mail").json["state"] == "degraded", lambda: f"it is told: {daemon.log_end()}",
                       SHUT_S)
            daemon.wait_status(daemon.send("still", to={"email": "ana@example.org"}), "sent")
            dovecot.passdb = dovecot.passdb.replace("another", PASSWORD)
            dovecot.stop()
            dovecot.start()
            wait_until(lambda: daemon.get("/v1/channels/mail").json["state"] == "up", lambda: f"up again: {daemon.log_end()}")


OAUTH_PASSDB = """passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {path}
}}
"""


@test
def an_access_token_logs_in_and_a_refused_one_is_replaced(folder):
    authority, path = Authority(folder), os.path.join(folder, "oauth2.conf")
    user = f"{USER}@shop.example"
    refresh = os.path.join(folder, "refresh-token")
    with open(os.open(refresh, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
        file.write("refresh-0")

    def introspect(request):
        good = request.text.startswith("token=access.2&")
        return Reply(200, json.dumps({"active": good, **({"username": user} if good else {})}).encode())
    with Recorder(answer=introspect) as who, OAuth() as oauth:
        os.chmod(folder, 0o755)
        with open(path, "w", encoding="ascii") as file:
            file.write(f"introspection_mode = post\nintrospection_url = {who.url}\nusername_attribute = username\n"
                       "active_attribute = active\nactive_value = true\n")
        with Dovecot(authority.make("dovecot"), mechanisms="xoauth2 oauthbearer", passdb=OAUTH_PASSDB.format(path=path)) as dovecot:
            config = channel(dovecot)
            del config["options"]["imap"]["user"], config["options"]["imap"]["password"]
            config["options"].update(user=user, oauth={"token_url": oauth.url("/token"), "client_id": OAuth.CLIENT[0],
                                                       "client_secret": {"env": "CLIENT_SECRET"}, "refresh_token": {"file": refresh}})
            with Daemon(folder, channels={"mail": config}, env={"SSL_CERT_FILE": authority.ca, "CLIENT_SECRET": OAuth.CLIENT[1]}) as daemon:
                dovecot.deliver(one("by token"))
                wait_until(lambda: texts(daemon) == ["by token"], lambda: f"{daemon.log_end()}\n{dovecot.log()[-1500:]}")
                expect(oauth.granted, ["access.1", "access.2"])


@test
def the_server_ends_and_begins(folder):
    authority = Authority(folder)
    with Dovecot(authority.make("dovecot")) as dovecot, daemon_of(folder, dovecot, authority) as daemon:
        dovecot.deliver(one("before"))
        wait_texts(daemon, "before")
        dovecot.stop()
        dovecot.start()
        dovecot.deliver(one("after"))
        wait_texts(daemon, "before", "after")


@test
def a_mailbox_numbered_anew_gives_nothing_twice_and_loses_nothing(folder):
    authority = Authority(folder)
    with Dovecot(authority.make("dovecot")) as dovecot, daemon_of(folder, dovecot, authority) as daemon:
        for name in ("a", "b", "c"):
            dovecot.deliver(one(name))
        wait_texts(daemon, "a", "b", "c")
        daemon.stop()
        dovecot.deliver(one("d"))
        time.sleep(1.1)  # the new UIDVALIDITY is the time in seconds
        dovecot.number_anew()
        daemon.start()
        dovecot.deliver(one("e"))
        wait_texts(daemon, "a", "b", "c", "d", "e")
        expect_true("event=imap_numbered_anew" in daemon.log(), "it is told")
        expect(daemon.metric("parley_plugin_email_imap_mails", '{channel="mail",what="repeated"}'), 3)


@test
def kill_9_at_any_time_loses_nothing_and_takes_nothing_twice(folder):
    authority = Authority(folder)
    with Dovecot(authority.make("dovecot")) as dovecot, daemon_of(folder, dovecot, authority) as daemon:
        count = 0
        for _ in range(8):
            for _ in range(15):
                dovecot.deliver(one(f"m{count}"))
                count += 1
            time.sleep(random.uniform(0, 0.4))
            daemon.kill()
            daemon.start()
        want = sorted(f"m{n}" for n in range(count))
        wait_until(lambda: set(all_texts(daemon)) == set(want), lambda: f"all came in: {len(all_texts(daemon))} of {count}")
        expect(all_texts(daemon), want, "once each")


def all_texts(daemon):
    found, cursor = [], ""
    customers = daemon.get("/v1/customers?identity=email:ana@example.org").json["items"]
    while customers:
        page = daemon.get(f"/v1/customers/{customers[0]['id']}/timeline?limit=200{cursor}").json
        found += [entry["message"]["content"]["text"].strip() for entry in page["items"] if "message" in entry]
        if page["next"] is None:
            break
        cursor = "&cursor=" + page["next"]
    return sorted(found)


@test
def it_runs_in_a_process_of_its_own_too(folder):
    authority = Authority(folder)
    with Dovecot(authority.make("dovecot")) as dovecot, daemon_of(folder, dovecot, authority, isolation="process") as daemon:
        dovecot.deliver(one("first"))
        wait_texts(daemon, "first")
        daemon.restart()
        dovecot.deliver(one("second"))
        wait_texts(daemon, "first", "second")


if __name__ == "__main__":
    raise SystemExit(run())
