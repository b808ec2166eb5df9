#!/usr/bin/python3
# label: email
# timeout: 240
"""Our MIME as others read it: npm's mailparser and postal-mime, and Python's email, find in a mail that left what was given; and
rspamd finds nothing wrong with the form of a newsletter, nor with its signatures."""

import contextlib
import email
import email.policy
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import urllib.request

from parley_dns import DnsServer
from parley_mail import Keys, granted, reader, sending
from parley_peers import unpacked
from parley_test import expect, expect_true, free_port, parley, run, test, wait_until

PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c626001000000050001"
                    "0d0a2db40000000049454e44ae426082")
PDF = b"%PDF-1.4\n" + bytes(range(256)) * 300
HTML = '<html><body><p>Grüße, <b>Ana</b>!</p><img src="cid:logo.png" alt="Shop"></body></html>'


def upload(daemon, data, content_type):
    answer = daemon.post("/v1/media", data, headers={"Content-Type": content_type})
    expect(answer.status, 201, answer.text)
    return answer.json["id"]


def send(daemon, content, topic="orders", **more):
    answer = daemon.post("/v1/messages", {"to": {"email": "ana@example.org"}, "topic": topic, "channels": ["mail"],
                                          "content": content, **more})
    expect(answer.status, 202, answer.text)
    return answer.json


def sha(data):
    return hashlib.sha256(data).hexdigest()


NAMES = ["factura nº 1 – año 2026.pdf", "a" * 200 + ".pdf", 'quotes " and ; semicolons.pdf', "发票.pdf", "..pdf"]


@test
def readers_find_what_was_given(folder):
    with reader() as peer, sending(folder) as (daemon, mails):
        logo, bill = upload(daemon, PNG, "image/png"), upload(daemon, PDF, "application/pdf")
        for name in NAMES:
            send(daemon, {"subject": "Pedido – confirmación 📦", "text": "Grüße, Ana!\n.\n", "html": HTML,
                          "media": [{"id": logo, "type": "image/png", "name": "logo.png", "inline": True},
                                    {"id": bill, "type": "application/pdf", "name": name}]})
        for mail, name in zip(sorted(mails(len(NAMES)), key=order_of), sorted(NAMES)):
            found = peer(mail)
            for who in ("mailparser", "postal"):
                seen = found[who]
                expect(seen["subject"], "Pedido – confirmación 📦", who)
                expect(seen["text"].strip(), "Grüße, Ana!\n.", who)
                expect_true("Grüße, <b>Ana</b>" in seen["html"] and "cid:logo.png" in seen["html"], seen["html"])
                expect(sorted((one["name"], one["type"], one["sha"], one["cid"]) for one in seen["attachments"]),
                       sorted([("logo.png", "image/png", sha(PNG), "logo.png"), (name, "application/pdf", sha(PDF), None)]), who)


def order_of(mail):
    return [part.get_filename() for part in parsed(mail).walk() if part.get_content_type() == "application/pdf"][0]


def parsed(mail):
    return email.message_from_bytes(mail, policy=email.policy.default)


@test
def headers_say_what_a_mail_is_and_where_answers_go(folder):
    with sending(folder, reply="Shop <reply@in.shop.example>") as (daemon, mails):
        sent = send(daemon, {"subject": "S", "text": "T", "channels": {"mail": {"headers": {"X-Campaign": "spring", "Keywords": "año"}}}})
        mail = parsed(mails()[0])
        expect(mail["Auto-Submitted"], "auto-generated")
        expect((mail["X-Campaign"], mail["Keywords"]), ("spring", "año"))
        expect(mail["Feedback-ID"], "orders:transactional:shop-example")
        reply = re.fullmatch(r"Shop <reply\+([0-9a-z]{29})@in\.shop\.example>", mail["Reply-To"])
        expect_true(reply is not None and reply.group(1) != mail["X-Parley-Ref"], "who may answer may not report a bounce")
        expect_true(mail["List-Id"] is None and mail["List-Unsubscribe"] is None, str(mail))
        expect_true(sent["id"].removeprefix("msg_") in mail["Message-Id"], mail["Message-Id"])
        granted(daemon)
        send(daemon, {"subject": "S", "text": "T"}, topic="newsletter")
        expect(parsed(mails(2)[1])["List-Id"], "<newsletter.shop.example>")


@test
def a_header_that_is_not_a_senders_to_give_is_refused(folder):
    with sending(folder) as (daemon, _):
        for name, value, code in (("Bcc", "x@y.example", "header_not_allowed"), ("X: y", "z", "bad_header"),
                                  ("X-A", "a\r\nBcc: x", "header_injection"), ("Precedence", "bulk", "header_not_allowed")):
            answer = daemon.post("/v1/messages", {"to": {"email": "ana@example.org"}, "topic": "orders", "content": {
                "text": "x", "channels": {"mail": {"headers": {name: value}}}}})
            expect((answer.status, answer.json["errors"][0]["code"]), (422, code), name)
            expect(answer.json["errors"][0]["pointer"], f"/content/channels/mail/headers/{name}")


@test
def a_page_that_gmail_clips_is_told_at_once_and_kept(folder):
    with sending(folder) as (daemon, mails):
        body = {"to": {"email": "ana@example.org"}, "topic": "orders", "channels": ["mail"],
                "content": {"subject": "S", "html": "<p>" + "word " * 25000 + "</p>"}}
        told = daemon.post("/v1/explain", body).json
        expect([warning["code"] for warning in told["warnings"]], ["html_clipped"])
        expect_true("mail: the html has 125007 bytes" in told["warnings"][0]["detail"], told)
        said = parley(daemon, "explain", "--to", "email:ana@example.org", "--topic", "orders", "--channel", "mail", "--html",
                      body["content"]["html"]).stdout
        expect_true("warning: html_clipped: mail: the html has 125007 bytes" in said, said)
        sent = daemon.post("/v1/messages", body).json
        expect([warning["code"] for warning in sent["warnings"]], ["html_clipped"])
        mails()
        expect(daemon.wait_status(sent["id"], "sent")["degraded"], ["html_clipped"])
        expect_true("degraded: html_clipped" in parley(daemon, "status", sent["id"]).stdout, sent)


@test
def attachments_above_25_mib_together_are_refused_in_words(folder):
    with sending(folder) as (daemon, mails):
        large = [upload(daemon, bytes([65 + i]) * (9 << 20), "application/zip") for i in range(3)]
        sent = send(daemon, {"text": "x", "media": [{"id": one, "name": "a.zip"} for one in large]})
        state = daemon.wait_status(sent["id"], "failed")
        expect_true("more than 25 MiB together" in json.dumps(state), state)
        sent = send(daemon, {"text": "x", "media": [{"id": one, "name": "a.zip"} for one in large[:2]]})
        daemon.wait_status(sent["id"], "sent")
        expect_true(len(mails()[0]) > 18 << 20, "the whole of it")


MAILS_UNDER_WAY = 8
PEAK_MIB_MAX = 260  # all eight at once would take above 450


def peak_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) >> 10 for line in file if line.startswith("VmHWM"))


@test
def many_large_mails_at_once_take_the_memory_of_two(folder):
    with sending(folder) as (daemon, mails):
        large = upload(daemon, os.urandom(24 << 20), "application/zip")
        sent = [send(daemon, {"text": "x", "media": [{"id": large, "name": "a.zip"}]})["id"] for _ in range(MAILS_UNDER_WAY)]
        for one in sent:
            daemon.wait_status(one, "sent", timeout_s=120)
        peak = peak_mib(daemon.process.pid)
        print(f"# {MAILS_UNDER_WAY} mails of 24 MiB: {peak} MiB at most")
        expect_true(peak < PEAK_MIB_MAX, f"{peak} MiB")


# --- rspamd ---

RSPAMD = """
options {{ pidfile = "{folder}/rspamd.pid"; filters = "dkim,regexp"; hs_cache_dir = "{folder}"; url_tld = "{folder}/tlds";
  tempdir = "{folder}"; dns {{ nameserver = ["127.0.0.1:{dns}"]; timeout = 2s; retransmits = 2; sockets = 4; }} }}
logging {{ type = "file"; filename = "{folder}/rspamd.log"; level = "info"; }}
lua = "$RULESDIR/rspamd.lua"
modules {{ path = "$PLUGINSDIR"; }}
.include "$CONFDIR/groups.conf"
.include "$CONFDIR/actions.conf"
dkim {{ dkim_cache_size = 10; skip_multi = false; }}
spf {{ spf_cache_size = 10; }}
dmarc {{ }}
mime_types {{ .include "$CONFDIR/modules.d/mime_types.conf" }}
mid {{ }}
regexp {{ }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
"""


def rspamd_folders(root):
    share = os.path.join(root, "usr/share/rspamd")
    return {"CONFDIR": os.path.join(root, "etc/rspamd"), "LOCAL_CONFDIR": os.path.join(root, "etc/rspamd"), "SHAREDIR": share,
            "RULESDIR": os.path.join(share, "rules"), "LUALIBDIR": os.path.join(share, "lualib"),
            "PLUGINSDIR": os.path.join(share, "plugins")}


@contextlib.contextmanager
def rspamd(folder, dns):
    """A function from a mail to {symbol: score}."""
    program = unpacked("rspamd", "usr/bin/rspamd")
    root, port = program.removesuffix("/usr/bin/rspamd"), free_port()
    config = os.path.join(folder, "rspamd.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write(RSPAMD.format(folder=folder, dns=dns.port, port=port))
    with open(os.path.join(folder, "tlds"), "w", encoding="utf-8") as file:
        file.write("com\norg\nexample\n")  # the whole list takes rspamd a minute to compile
    words = [f"--var={name}={value}" for name, value in {**rspamd_folders(root), "DBDIR": folder, "RUNDIR": folder, "LOGDIR": folder}.items()]
    env = dict(os.environ, LD_LIBRARY_PATH=os.path.join(root, "usr/lib/rspamd"))
    process = subprocess.Popen([program, "-f", "-i", "-c", config, *words], env=env, start_new_session=True, stderr=subprocess.DEVNULL)

    def check(mail):
        head = {"From": "orders@shop.example", "Rcpt": "ana@example.org", "IP": "203.0.113.5", "Helo": "mx.shop.example",
                "Hostname": "mx.shop.example"}
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/checkv2", mail, head), timeout=20) as answer:
            return {name: symbol["score"] for name, symbol in json.load(answer)["symbols"].items()}

    try:
        wait_until(lambda: reachable(port), lambda: f"rspamd: {process.poll()}")
        yield check
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def reachable(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


NEWS = """<html><body><h1>Novedades de otoño</h1><p>Hola Ana, estas son las novedades de la tienda para la nueva temporada.</p>
<img src="cid:logo.png" alt="Shop"><p><a href="https://shop.example/sale">Ver la tienda</a></p></body></html>"""


@test
def rspamd_finds_nothing_wrong_with_the_form_of_a_newsletter(folder):
    keys = Keys(folder)
    with DnsServer(keys.records()) as dns, rspamd(folder, dns) as check, \
            sending(folder, dkim=keys.option(), reply="reply@in.shop.example") as (daemon, mails):
        logo = upload(daemon, PNG, "image/png")
        send(daemon, {"text": "x"})
        mails()
        granted(daemon)
        send(daemon, {"subject": "Novedades de otoño", "html": NEWS,
                      "text": "Hola Ana, estas son las novedades de la tienda para la nueva temporada.\nhttps://shop.example/sale\n",
                      "media": [{"id": logo, "type": "image/png", "name": "logo.png", "inline": True}]}, topic="newsletter")
        symbols = check(mails(2)[1])
        expect([name for name in ("R_DKIM_ALLOW", "R_SPF_ALLOW", "DMARC_POLICY_ALLOW") if name not in symbols], [])
        expect({name: score for name, score in symbols.items() if score > 0}, {})
        broken = check(mails(2)[1].replace(b"novedades de la tienda", b"novedades de la prensa"))
        expect_true("R_DKIM_REJECT" in broken, broken)


run()
