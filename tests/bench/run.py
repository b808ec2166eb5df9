"""The rows of the speed table. Each starts its calibrator and parleyd one after the other in the same minute, takes the
ratio, and repeats; what is printed is the median. The calibrators' figures stand in the log lines, which begin with #."""

import argparse
import contextlib
import fnmatch
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import tools
from tools import SLOWSYNC, TOP, Figure, HttpSink, Program, SmtpSink, cpu_s, free_port, latency, load, rss_mib
from parley_test import SECRET, Client, Daemon, Failure, Skip, expect, need_tool, wait_until
from parley_postfix import Postfix
import postgres
import sms

FLUSH_US = "1000"
HANG_MS = 600000
ENDPOINTS = 10
IDLE_CONNECTIONS = 1000


class Scale:
    def __init__(self, name):
        smoke, quick, full = name == "smoke", name == "quick", name == "full"
        self.name = name
        self.runs = 1 if smoke or quick else 3
        self.seconds = 1 if smoke else 3 if quick else 10 if full else 5
        self.known = 500 if smoke else 20000 if quick else 1000000 if full else 100000
        self.messages = 500 if smoke else 15000 if quick else 100000 if full else 50000
        self.mails = 200 if smoke else 3000 if quick else 20000 if full else 10000
        self.queued = 1000 if smoke else 50000 if quick else 1000000 if full else 100000
        self.stored = 0 if not full else 10000000
        self.reads = 500 if smoke else 5000 if quick else 20000
        self.readers_small = 200 if smoke else 5000 if quick else 20000
        self.readers_large = 500 if smoke else 20000 if quick else 1000000 if full else 100000
        self.asked = 2000 if smoke else 20000 if quick else 100000
        self.rate_seconds = 2 if smoke else 5 if quick else 20
        self.deadline_s = 60 if smoke or quick else 900


class Bench:
    def __init__(self, scale, folder):
        self.scale = scale
        self.folder = folder
        self.counter = 0

    def new_folder(self):
        self.counter += 1
        path = os.path.join(self.folder, str(self.counter))
        os.makedirs(path)
        return path

    def log(self, text):
        print(f"#   {text}", flush=True)

    def medians(self, once):
        """once() returns a tuple of figures; the medians over the runs."""
        rows = [once() for _ in range(self.scale.runs)]
        return [statistics.median(column) for column in zip(*rows)]

    @contextlib.contextmanager
    def daemon(self, channels, **more):
        folder = self.new_folder()
        with Daemon(folder, channels=channels, **more) as daemon:
            yield daemon
        shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def calibrator(self, *words, env=None):
        folder = self.new_folder()
        paths = [os.path.join(folder, word[1:]) if str(word).startswith("@") else word for word in words]
        with Program("uvhttp", free_port(), *paths, env=env) as program:
            yield program
        shutil.rmtree(folder, ignore_errors=True)

    def accepting(self, env=None):
        """A daemon whose only channel is paused and whose customers are known."""
        return self.paused_daemon({"hook": webhook("http://127.0.0.1:9/")}, env)

    @contextlib.contextmanager
    def paused_daemon(self, channels, env=None):
        with self.daemon(channels, env=env) as daemon:
            pause(daemon, *channels)
            load(daemon.port, connections=64, requests=self.scale.known, known=self.scale.known, fill=True)
            yield daemon


def webhook(url, **options):
    return {"plugin": "webhook", "options": {"url": url, "secret": {"env": "HOOK_SECRET"}, **options}}


def switch(daemon, channels, what):
    """On a connection of its own: the daemon closes those that were idle while a million messages went in."""
    client = Client(daemon.port)
    for name in channels:
        expect(client.post(f"/v1/channels/{name}/{what}").status // 100, 2, f"{what} {name}")
    client.close()


def pause(daemon, *channels):
    switch(daemon, channels, "pause")


def resume(daemon, *channels):
    switch(daemon, channels, "resume")


# --- accept ---

def row_accept(bench):
    def once():
        with bench.calibrator() as raw:
            echo = load(raw.port, connections=64, seconds=bench.scale.seconds)
        with bench.accepting() as daemon:
            before_s = cpu_s(daemon.process.pid)
            ours = load(daemon.port, connections=64, seconds=bench.scale.seconds, known=bench.scale.known)
            cpu_us = (cpu_s(daemon.process.pid) - before_s) * 1e6 / ours["good"]
        bench.log(f"raw {echo['rate']:.0f}/s, parleyd {ours['rate']:.0f}/s, p50 {ours['p50_us']} us, p99 {ours['p99_us']} us, "
                  f"{cpu_us:.0f} us CPU")
        return ours["rate"] / echo["rate"], cpu_us

    ratio, cpu_us = bench.medians(once)
    return [Figure("durable accept, 64 connections, against raw", ratio, 0.20, 0.35, must=True),
            Figure("CPU of a durable accept", cpu_us, 110, 60, at_least=False, unit="us")]


def row_accept_alone(bench):
    def once():
        with bench.calibrator("-w", "@log") as log:
            bound = load(log.port, connections=1, seconds=bench.scale.seconds)
        with bench.accepting() as daemon:
            ours = load(daemon.port, connections=1, seconds=bench.scale.seconds, known=bench.scale.known)
        bench.log(f"log {bound['p50_us']} us, parleyd {ours['p50_us']} us (p99 {ours['p99_us']} us), {ours['rate']:.0f}/s")
        return (ours["p50_us"] / bound["p50_us"],)

    ratio, = bench.medians(once)
    return [Figure("durable accept, 1 connection: p50 against log", ratio, 3, 2, at_least=False)]


def row_accept_slow_flush(bench):
    slow = {"LD_PRELOAD": SLOWSYNC, "SLOWSYNC_US": FLUSH_US}

    def once():
        with bench.calibrator("-s", "@db", env=slow) as sqlite:
            bound = load(sqlite.port, connections=100, seconds=bench.scale.seconds)
        with bench.accepting(env=slow) as daemon:
            ours = load(daemon.port, connections=100, seconds=bench.scale.seconds, known=bench.scale.known)
        bench.log(f"sqlite {bound['rate']:.0f}/s, parleyd {ours['rate']:.0f}/s, p50 {ours['p50_us']} us")
        return (ours["rate"] / bound["rate"],)

    ratio, = bench.medians(once)
    return [Figure("durable accept, flush + 1 ms, 100 connections, against SQLite", ratio, 0.6, 1.0)]


def row_accept_stored(bench):
    """With ten million stored against empty; the longest round of the store comes from /metrics."""
    if not bench.scale.stored:
        raise Skip("10,000,000 stored only with --full")
    seconds = 60
    with bench.paused_daemon({"box": {"plugin": "sink"}}) as daemon:
        empty = load(daemon.port, connections=64, seconds=seconds, known=bench.scale.known)
        resume(daemon, "box")
        load(daemon.port, connections=64, requests=bench.scale.stored, known=bench.scale.known)
        pause(daemon, "box")
        full = load(daemon.port, connections=64, seconds=seconds, known=bench.scale.known)
        longest_ms = (daemon.metric("parley_store_round_max_seconds") or 0) * 1000
        bench.log(f"empty {empty['rate']:.0f}/s, full {full['rate']:.0f}/s, longest round {longest_ms:.0f} ms")
    return [Figure("durable accept with 10 M stored against empty", full["rate"] / empty["rate"], 0.8, 0.95),
            Figure("longest round of the store", longest_ms, 100, 40, at_least=False, unit="ms")]


# --- through to the receiver ---

def delivered_rate(port, sink, bench, path="/v1/messages", connections=64):
    """Messages a second from the start of the load to the last arrival."""
    sink.stats(reset=True)
    started_s = time.time()
    figures = load(port, path=path, connections=connections, requests=bench.scale.messages, known=bench.scale.known)
    wait_until(lambda: sink.stats()["count"] >= figures["good"], lambda: f"{sink.stats()} of {figures['good']} delivered",
               bench.scale.deadline_s)
    return figures["good"] / (sink.stats()["last_us"] / 1e6 - started_s)


def row_webhook(bench):
    def once():
        with HttpSink() as sink:
            with bench.calibrator("-f", sink.url(), "-k", 64) as bare:
                two_hops = delivered_rate(bare.port, sink, bench)
            with bench.daemon({"hook": webhook(sink.url())}) as daemon:
                before_s = cpu_s(daemon.process.pid)
                ours = delivered_rate(daemon.port, sink, bench)
                cpu_us = (cpu_s(daemon.process.pid) - before_s) * 1e6 / bench.scale.messages
        bench.log(f"two hops {two_hops:.0f}/s, parleyd {ours:.0f}/s, {cpu_us:.0f} us CPU")
        return ours / two_hops, cpu_us

    ratio, cpu_us = bench.medians(once)
    return [Figure("HTTP to signed webhook, 64 connections, against two hops", ratio, 0.35, 0.53, must=True),
            Figure("CPU of a message to a webhook", cpu_us, 180, 120, at_least=False, unit="us")]


def postfix_rate(bench):
    """Accept and relay by Postfix: 20 sessions, mails of 1 KiB; from the first offer to the last arrival."""
    with SmtpSink(bench.scale.mails) as sink, Postfix({"relayhost": f"[127.0.0.1]:{sink.port}"}) as postfix:
        started_s = time.time()
        subprocess.run([need_tool("smtp-source"), "-d", "-s", "20", "-m", str(bench.scale.mails), "-l", "1024",
                        "-f", "shop@example.test", "-t", "ana@example.test", f"127.0.0.1:{postfix.port}"], check=True)
        figures = sink.figures(bench.scale.deadline_s)
    return figures["count"] / (figures["last_us"] / 1e6 - started_s)


def parley_smtp(bench, **more):
    """(mails a second from the first request to the last arrival, microseconds of the daemon's CPU for each)."""
    with SmtpSink(bench.scale.mails) as sink:
        options = {"smtp": f"smtp://127.0.0.1:{sink.port}", "from": "Shop <orders@shop.example>", "tls": "off", **more}
        with bench.daemon({"mail": {"plugin": "email", "options": options}}) as daemon:
            before_s, started_s = cpu_s(daemon.process.pid), time.time()
            load(daemon.port, connections=64, requests=bench.scale.mails, known=bench.scale.known)
            figures = sink.figures(bench.scale.deadline_s)
            used_us = (cpu_s(daemon.process.pid) - before_s) * 1e6
    return figures["count"] / (figures["last_us"] / 1e6 - started_s), used_us / figures["count"]


def row_smtp(bench):
    def once():
        theirs = postfix_rate(bench)
        ours, cpu_us = parley_smtp(bench)
        bench.log(f"postfix {theirs:.0f}/s, parleyd {ours:.0f}/s, {cpu_us:.0f} us CPU")
        return (ours / theirs,)

    ratio, = bench.medians(once)
    return [Figure("HTTP to SMTP against Postfix's accept and relay", ratio, 5, 7, must=True)]


SIGNING_CORES = 2


def key_made(bench, *algorithm):
    path = os.path.join(bench.new_folder(), "dkim.pem")
    subprocess.run([need_tool("openssl"), "genpkey", "-algorithm", *algorithm, "-out", path], check=True, capture_output=True)
    os.chmod(path, 0o600)
    return path


def rsa_sign_us():
    """One signature with an RSA key of 2048 bits, on one core, as OpenSSL itself measures it."""
    said = subprocess.run([need_tool("openssl"), "speed", "-mr", "-seconds", "1", "rsa2048"], check=True, capture_output=True, text=True)
    line = next(line for line in said.stdout.splitlines() if line.startswith("+F2:"))
    return 1e6 / float(line.split(":")[3])  # signatures a second


def row_smtp_dkim(bench):
    """What two cores could sign at most, beside what a mail costs without it: the pool signs, the loop doesn't wait."""
    rsa, ed25519 = key_made(bench, "RSA", "-pkeyopt", "rsa_keygen_bits:2048"), key_made(bench, "ED25519")

    def signing(path):
        return [{"domain": "shop.example", "selector": "bench", "key": {"file": path}}]

    def once():
        plain, cpu_us = parley_smtp(bench)
        sign_us = rsa_sign_us()
        signed, signed_us = parley_smtp(bench, dkim=signing(rsa))
        small, _ = parley_smtp(bench, dkim=signing(ed25519))
        bound = SIGNING_CORES * 1e6 / (sign_us + cpu_us)
        bench.log(f"unsigned {plain:.0f}/s with {cpu_us:.0f} us CPU, a signature {sign_us:.0f} us: at most {bound:.0f}/s; "
                  f"rsa {signed:.0f}/s with {signed_us:.0f} us CPU, ed25519 {small:.0f}/s")
        return signed / bound, small / plain

    ratio, ed_ratio = bench.medians(once)
    return [Figure("HTTP to SMTP signed by rsa-2048, against 2 / (signature + CPU without it)", ratio, 0.8, 0.9),
            Figure("HTTP to SMTP signed by ed25519, against unsigned", ed_ratio, 0.6, 0.8)]


def accept_rate(bench, port, *words):
    """Mails of 1 KiB over 20 sessions, from the first offer to the last 250."""
    started_s = time.time()
    subprocess.run([need_tool("smtp-source"), *words, "-d", "-s", "20", "-m", str(bench.scale.mails), "-l", "1024",
                    "-f", "ana@example.org", "-t", "support@shop.example", f"127.0.0.1:{port}"], check=True)
    return bench.scale.mails / (time.time() - started_s)


def postfix_accept_rate(bench):
    """Accept alone: what it has taken is held."""
    with Postfix({"relay_domains": "shop.example", "relay_recipient_maps": "",
                  "smtpd_recipient_restrictions": "check_recipient_access static:HOLD, permit_mynetworks, reject"}) as postfix:
        return accept_rate(bench, postfix.port)


def parley_accept_rate(bench, protocol):
    port = free_port()
    options = {"from": "Shop <orders@shop.example>", "helo": "mx.shop.example",
               "listen": {"address": f"127.0.0.1:{port}", "protocol": protocol, "domains": ["shop.example"]}}
    with bench.daemon({"mail": {"plugin": "email", "options": options}}) as daemon:
        before_s = cpu_s(daemon.process.pid)
        rate = accept_rate(bench, port, *(["-L"] if protocol == "lmtp" else []))
        bench.log(f"{protocol}: {(cpu_s(daemon.process.pid) - before_s) * 1e6 / bench.scale.mails:.0f} us CPU a mail")
        stored = daemon.metric("parley_inbound_received_total")
        expect(stored, float(bench.scale.mails), "each mail is stored")
        return rate


def row_mail_in(bench):
    def once():
        theirs = postfix_accept_rate(bench)
        lmtp, smtp = parley_accept_rate(bench, "lmtp"), parley_accept_rate(bench, "smtp")
        bench.log(f"postfix {theirs:.0f}/s, parleyd {lmtp:.0f}/s by LMTP, {smtp:.0f}/s by SMTP")
        return lmtp / theirs, smtp / theirs

    lmtp, smtp = bench.medians(once)
    return [Figure("accept by LMTP, 20 sessions, against Postfix's accept", lmtp, 5, 10, must=True),
            Figure("accept by SMTP, 20 sessions, against Postfix's accept", smtp, 5, 10, must=True)]


def row_mime_parse(bench):
    def once():
        figures = json.loads(subprocess.run([os.path.join(tools.BENCH, "mime_parse"), "-n", "40" if bench.scale.name == "smoke" else "2000"],
                                            check=True, capture_output=True, text=True).stdout)
        bench.log(f"{figures['mails']} mails: GMime {figures['gmime_us']:.0f} us, ours {figures['parley_us']:.0f} us")
        return (figures["ratio"],)

    ratio, = bench.medians(once)
    return [Figure("mails taken apart, against GMime alone", ratio, 0.8, 1, must=True)]


def row_segments(bench):
    def once():
        figures = json.loads(subprocess.run([os.path.join(tools.BENCH, "segments"), "-n", "1000" if bench.scale.name == "smoke" else "100000"],
                                            check=True, capture_output=True, text=True).stdout)
        bench.log(", ".join(f"{name} {kind['us']:.2f} us, {kind['segments']} segments" for name, kind in figures.items()))
        return max(figures[name]["us"] for name in ("ascii", "gsm7", "ucs2")), figures["simplified"]["us"]

    cut, plain = bench.medians(once)
    return [Figure("a text of 1 KiB cut into SMS segments, the slowest alphabet", cut, 5, 5, at_least=False, must=True, unit="us"),
            Figure("the same with one typographic character in fifteen made plain first", plain, 20, 10, at_least=False, unit="us")]


def row_latency(bench):
    def once():
        port = free_port()
        with bench.calibrator("-f", f"http://127.0.0.1:{port}/") as bare:
            bound = latency(f"http://127.0.0.1:{bare.port}/", port, 200, bench.scale.rate_seconds)["end_to_end"]

        def subscribe(config):
            config["subscriptions"] = {"desk": {"url": f"http://127.0.0.1:{port}/", "secret": {"env": "FEED_SECRET"},
                                                "types": ["message.received"]}}

        with bench.daemon({"hook": webhook("http://127.0.0.1:9/")}, config=subscribe) as daemon:
            ours = latency(f"http://127.0.0.1:{daemon.port}/in/hook", port, 200, bench.scale.rate_seconds, SECRET)["end_to_end"]
        bench.log(f"two hops {bound['p50_us']} / {bound['p99_us']} us, parleyd {ours['p50_us']} / {ours['p99_us']} us")
        return ours["p50_us"] / bound["p50_us"], ours["p99_us"] / bound["p99_us"]

    p50, p99 = bench.medians(once)
    return [Figure("inbound to signed webhook at 200/s: p50 against two hops", p50, 2.5, 2, at_least=False),
            Figure("inbound to signed webhook at 200/s: p99 against two hops", p99, 4, 3, at_least=False)]


# --- memory, backlog, isolation ---

def idle_connections_mib(daemon):
    """What IDLE_CONNECTIONS more connections cost, each after one request."""
    before = rss_mib(daemon.process.pid)
    clients = [Client(daemon.port) for _ in range(IDLE_CONNECTIONS)]
    for client in clients:
        expect(client.get("/healthz").status, 200)
    grown = rss_mib(daemon.process.pid) - before
    for client in clients:
        client.close()
    return grown


def row_memory(bench):
    with bench.daemon({"hook": webhook("http://127.0.0.1:9/")}) as daemon:
        idle = rss_mib(daemon.process.pid)
        connections = idle_connections_mib(daemon)
        pause(daemon, "hook")
        load(daemon.port, connections=64, requests=bench.scale.queued, known=bench.scale.known)
        queued = rss_mib(daemon.process.pid)
    bench.log(f"with {bench.scale.queued} queued")
    return [Figure("RSS idle", idle, 28, 20, at_least=False, must=True, unit="MiB"),
            Figure(f"RSS with {bench.scale.queued} queued", queued, 64, 48, at_least=False, must=True, unit="MiB"),
            Figure(f"RSS of {IDLE_CONNECTIONS} idle connections", connections, 24, 16, at_least=False, must=True, unit="MiB")]


def row_backlog(bench):
    """Two channels: the messages of one are queued behind a pause while the other's are accepted and delivered."""
    def run_daemon(sink, backlog):
        channels = {"stuck": webhook("http://127.0.0.1:9/"), "hook": webhook(sink.url())}
        with bench.daemon(channels) as daemon:
            pause(daemon, "stuck")
            if backlog:
                load(daemon.port, connections=64, requests=backlog, known=bench.scale.known, channels="stuck")
            pause(daemon, "hook")
            sink.stats(reset=True)
            accept = load(daemon.port, connections=64, requests=bench.scale.messages, known=bench.scale.known, channels="hook")
            resumed_s = time.time()
            resume(daemon, "hook")
            wait_until(lambda: sink.stats()["count"] >= accept["good"], lambda: f"delivery of {accept['good']}: {sink.stats()}",
                       bench.scale.deadline_s)
            deliver = accept["good"] / (sink.stats()["last_us"] / 1e6 - resumed_s)
            first_s = first_delivery_after_kill(daemon, sink) if backlog else 0
        return accept["rate"], deliver, first_s

    def once():
        with HttpSink() as sink:
            empty = run_daemon(sink, 0)
            full = run_daemon(sink, bench.scale.queued)
        bench.log(f"empty: accept {empty[0]:.0f}/s, deliver {empty[1]:.0f}/s; {bench.scale.queued} queued: accept {full[0]:.0f}/s, "
                  f"deliver {full[1]:.0f}/s, first delivery {full[2]:.2f} s after the kill")
        return full[0] / empty[0], full[1] / empty[1], full[2]

    accept, deliver, first_s = bench.medians(once)
    return [Figure(f"accept with {bench.scale.queued} queued against empty", accept, 0.75, 0.9, must=True),
            Figure(f"delivery with {bench.scale.queued} queued against empty", deliver, 0.75, 0.9, must=True),
            Figure("kill -9 to first delivery", first_s, 2, 1, at_least=False, must=True, unit="s")]


def first_delivery_after_kill(daemon, sink):
    """Seconds from the kill to the first arrival; a message waits on the channel that was paused when the kill came."""
    pause(daemon, "hook")
    load(daemon.port, connections=16, requests=200, known=1000, channels="hook")
    resume(daemon, "hook")
    sink.stats(reset=True)
    killed_s = time.time()
    daemon.kill()
    daemon.start(ready=False)
    client = Client(daemon.port)

    def send_one():
        with contextlib.suppress(OSError):
            return client.post("/v1/messages", daemon.message("after the kill", channels=["hook"])).status == 202
        return False

    wait_until(send_one, "the restarted daemon accepts", 60)
    wait_until(lambda: sink.stats()["count"] > 0, "a first delivery", 60)
    return sink.stats()["first_us"] / 1e6 - killed_s


def row_isolation(bench):
    names = [f"shop-{number}" for number in range(ENDPOINTS)]

    def plan_of_one(config):  # each message names its channel; a plan has at most eight
        config["plans"] = {"default": [{"channel": names[0]}]}

    def nine(*words):
        """Rate of the endpoints but the first, from the start of the load to the last arrival."""
        with HttpSink(*words, ports=ENDPOINTS) as sink:
            channels = {name: webhook(sink.url(number)) for number, name in enumerate(names)}
            with bench.daemon(channels, config=plan_of_one) as daemon:
                started_s = time.time()
                load(daemon.port, connections=64, requests=bench.scale.messages, known=bench.scale.known, channels=",".join(names))
                share = bench.scale.messages // ENDPOINTS

                def rest():
                    return [sink.stats(number) for number in range(1, ENDPOINTS)]

                wait_until(lambda: all(stats["count"] >= share for stats in rest()), lambda: f"the nine get {share} each: {rest()}",
                           bench.scale.deadline_s)
                last_s = max(stats["last_us"] for stats in rest()) / 1e6
        return share * (ENDPOINTS - 1) / (last_s - started_s)

    def once():
        well = nine()
        with_hanging = nine("-d", HANG_MS, "-i", 0)
        bench.log(f"all well {well:.0f}/s, one hangs {with_hanging:.0f}/s")
        return (with_hanging / well,)

    ratio, = bench.medians(once)
    return [Figure("one of ten endpoints hangs: rate of the other nine", ratio, 0.85, 0.95, must=True)]


def store_read(bench, customers):
    folder = bench.new_folder()
    words = [os.path.join(tools.BENCH, "store_read"), "-p", os.path.join(folder, "parley.db"), "-n", str(customers), "-r",
             str(bench.scale.reads)]
    done = subprocess.run(words, capture_output=True, text=True)
    shutil.rmtree(folder, ignore_errors=True)
    if done.returncode != 0:
        raise Failure(f"store_read: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout)


def row_store_read(bench):
    """Twenty entries a customer: 400 thousand of them against 20 million with --full, less otherwise."""
    small = store_read(bench, bench.scale.readers_small)
    large = store_read(bench, bench.scale.readers_large)
    bench.log(f"small {small}")
    bench.log(f"large {large}")
    return [Figure("customer by address + last 50 entries, in the store: p50", large["timeline_us"], 40, 25, at_least=False, unit="us"),
            Figure(f"the same, {large['entries']} entries against {small['entries']}",
                   large["timeline_us"] / max(small["timeline_us"], 1), 2, 1.6, at_least=False),
            Figure("each entry's body", large["body_us"], 25, 15, at_least=False, unit="us")]


# --- receipts ---

def receipts(bench, *words):
    count = 3000 if bench.scale.name == "smoke" else 100000
    done = subprocess.run([os.path.join(tools.BENCH, "receipts"), "-p", os.path.join(bench.new_folder(), "parley.db"), "-n", str(count),
                           *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"receipts: {done.stderr.strip()}")
    figures = json.loads(done.stdout)
    bench.log(str(figures))
    expect((figures["failed"], figures["delivered"]), (0, figures["messages"]), "failed receipts, delivered messages")
    return figures


def row_receipts(bench):
    """Messages of three parts, a receipt for each part, all shuffled; and again with the answers to the attempts among them."""
    def once():
        after, among = receipts(bench), receipts(bench, "-e")
        return after["s"], among["s"], max(after["grown_mib"], among["grown_mib"])

    after, among, grown = bench.medians(once)
    return [Figure("100,000 receipts of parts in random order", after, 10, 5, at_least=False, must=True, unit="s"),
            Figure("the same, half of them before the answer to their attempt", among, 20, 10, at_least=False, unit="s"),
            Figure("what the process grows meanwhile", grown, 8, 2, at_least=False, must=True, unit="MiB")]


# --- templates ---

def row_template(bench):
    done = subprocess.run([os.path.join(tools.BENCH, "template_render"), "-n", str(bench.scale.reads)], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"template_render: {done.stderr.strip()}")
    figures = json.loads(done.stdout)
    bench.log(str(figures))
    return [Figure("a 20 KiB newsletter template, rendered", figures["html_us"], 60, 40, at_least=False, must=True, unit="us"),
            Figure("the same as a message's content: html, text, subject", figures["whole_us"], 100, 80, at_least=False, unit="us")]


def newsletter():
    row = ("<table width=\"100%\"><tr><td style=\"padding:8px\"><h2>{{title}}</h2><p>" + "What the shop has to say this month. " * 10 +
           "</p><a href=\"https://shop.example/{{sku}}\">{{title}}</a></td></tr></table>\n")
    return {"locales": {"en": {"subject": "News, {{name}}", "text": "Dear {{name}}", "html": "<h1>{{name}}</h1>" + row * 40}}}


def row_template_memory(bench):
    """Personalised mails of 20 KiB each, queued and on their way to an SMTP server: 100,000 at most, 2 GiB on disk."""
    mails = min(bench.scale.queued, 100000)
    with SmtpSink(mails) as sink:
        options = {"smtp": f"smtp://127.0.0.1:{sink.port}", "from": "Shop <orders@shop.example>", "tls": "off"}
        with bench.daemon({"mail": {"plugin": "email", "options": options}}) as daemon:
            expect(daemon.put("/v1/templates/news", newsletter()).status, 200)
            largest = 0
            for first in range(0, mails, 100):
                items = [{"to": {"email": f"c{number}@example.test"}, "topic": "orders", "template": "news",
                          "data": {"name": f"Customer {number}", "title": "Fresh & new", "sku": f"A/{number}"}}
                         for number in range(first, min(first + 100, mails))]
                expect(daemon.post("/v1/messages/batch", {"items": items}).status, 200)
                largest = max(largest, rss_mib(daemon.process.pid))
            sink.figures(bench.scale.deadline_s)
            largest = max(largest, rss_mib(daemon.process.pid))
    bench.log(f"{mails} mails of 20 KiB")
    return [Figure(f"RSS, {mails} personalised mails", largest, 96, 64, at_least=False, must=True, unit="MiB")]


# --- the process border ---

def border_figures(bench):
    words = [os.path.join(tools.BENCH, "border"), "-n", str(bench.scale.asked)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"border: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout)


def row_border_latency(bench):
    def once():
        figures = border_figures(bench)
        bench.log(f"bare {figures['bare_us']} us, inline {figures['inline_us']} us, apart {figures['apart_us']} us")
        return (figures["ratio"],)

    ratio, = bench.medians(once)
    return [Figure("what a process of its own adds to submit and settle: p50", ratio, 3, 2, at_least=False, must=True)]


def noop_daemon(bench, isolation, channels=1):
    def find_noop(config):
        config["plugins"]["dirs"].append(os.path.join(tools.BENCH, "plugins"))

    names = [f"noop-{number}" for number in range(channels)]
    return bench.daemon({name: {"plugin": "noop", "isolation": isolation} for name in names}, config=find_noop)


def row_border_throughput(bench):
    def one(isolation):
        """Messages a second from the start of the load to the last settlement, and the CPU of each."""
        settled = '{channel="noop-0",outcome="accepted"}'
        with noop_daemon(bench, isolation) as daemon:
            before_s, started_s = cpu_s(daemon.process.pid), time.monotonic()
            good = load(daemon.port, connections=64, requests=bench.scale.messages, known=bench.scale.known)["good"]
            wait_until(lambda: (daemon.metric("parley_attempts_total", settled) or 0) >= good, f"{good} messages are settled",
                       bench.scale.deadline_s)
            spent_s = time.monotonic() - started_s
            return good / spent_s, (cpu_s(daemon.process.pid) - before_s) * 1e6 / good

    def once():
        (within, within_us), (apart, apart_us) = one("inline"), one("process")
        bench.log(f"inline {within:.0f}/s, {within_us:.0f} us CPU; apart {apart:.0f}/s, {apart_us:.0f} us CPU")
        return (apart / within,)

    ratio, = bench.medians(once)
    return [Figure("HTTP to a channel in a process of its own, against inline", ratio, 0.6, 0.75, must=True)]


def row_border_memory(bench):
    """Of parleyd alone: what the channels' processes take is theirs."""
    def core_mib(channels):
        with noop_daemon(bench, "process", channels) as daemon:
            return rss_mib(daemon.process.pid, tree=False)

    def once():
        one, more = core_mib(1), core_mib(51)
        bench.log(f"1 channel {one:.1f} MiB, 51 channels {more:.1f} MiB")
        return (more - one,)

    grown, = bench.medians(once)
    return [Figure("RSS of the core for 50 more channels, each apart", grown, 3, 2, at_least=False, must=True, unit="MiB")]


ROWS = {
    "accept": row_accept,
    "accept-alone": row_accept_alone,
    "accept-slow-flush": row_accept_slow_flush,
    "accept-stored": row_accept_stored,
    "webhook": row_webhook,
    "smtp": row_smtp,
    "smtp-dkim": row_smtp_dkim,
    "sms": sms.row_sms,
    "sms-memory": sms.row_sms_memory,
    "mail-in": row_mail_in,
    "mime-parse": row_mime_parse,
    "segments": row_segments,
    "latency": row_latency,
    "memory": row_memory,
    "backlog": row_backlog,
    "isolation": row_isolation,
    "store-read": row_store_read,
    "receipts": row_receipts,
    "template": row_template,
    "template-memory": row_template_memory,
    "border-latency": row_border_latency,
    "border-throughput": row_border_throughput,
    "border-memory": row_border_memory,
    "postgres-accept": postgres.row_accept,
    "postgres-dispatch": lambda bench: postgres.row_dispatch(bench, resume),
    "postgres-timeline": postgres.row_timeline,
    "postgres-backlog": lambda bench: postgres.row_backlog(bench, row_backlog),
}


# --- the programs alone, for --smoke ---

def smoke_programs(bench):
    with HttpSink() as sink:
        with bench.calibrator("-f", sink.url()) as bare:
            load(bare.port, connections=4, requests=100)
            wait_until(lambda: sink.stats()["count"] == 100, "the sink counts what uvhttp forwards")
    for words in ([], ["-w", "@log"], ["-s", "@db"]):
        with bench.calibrator(*words) as calibrator:
            load(calibrator.port, connections=4, requests=100)
    with bench.calibrator("-w", "@log", env={"LD_PRELOAD": SLOWSYNC, "SLOWSYNC_US": "20000"}) as slow:
        figures = load(slow.port, connections=1, requests=10)
        if figures["p50_us"] < 20000:
            raise Failure(f"slowsync.so doesn't slow a flush: {figures}")
    port = free_port()
    with bench.calibrator("-f", f"http://127.0.0.1:{port}/") as bare:
        latency(f"http://127.0.0.1:{bare.port}/", port, 100, 1)
        if cpu_s(bare.process.pid) < 0 or rss_mib(bare.process.pid) <= 0:
            raise Failure("cpu.sh or rss.sh tell nothing")


def run_smoke(bench, chosen):
    """Each row at a small scale, its figures not judged; TAP lines."""
    failed = False
    for name, row in [("programs", smoke_programs), *chosen]:
        try:
            row(bench)
            print(f"ok - {name}", flush=True)
        except Skip as reason:
            print(f"skip - {name}: {reason}", flush=True)
        except Exception as error:
            failed = True
            print(f"not ok - {name}: {error}", flush=True)
    return 1 if failed else 0


def run_rows(bench, chosen):
    figures = []
    for name, row in chosen:
        print(f"# {name}", flush=True)
        try:
            measured = row(bench)
            figures += measured
            print("\n".join(figure.line() for figure in measured), flush=True)
        except Skip as reason:
            print(f"  {name}: skipped, {reason}", flush=True)
        except Failure as error:
            print(f"  {name}: FAIL, {error}", flush=True)
            figures.append(Figure(name, 0, 1, 1, must=True))
    print("# the table")
    for figure in figures:
        print(figure.line())
    return 1 if any(figure.must and not figure.meets(figure.gate) for figure in figures) else 0


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/run.sh")
    parser.add_argument("--quick", dest="scale", action="store_const", const="quick", default="normal")
    parser.add_argument("--full", dest="scale", action="store_const", const="full")
    parser.add_argument("--smoke", dest="scale", action="store_const", const="smoke")
    parser.add_argument("--row", default="*", help="only rows whose name matches")
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    chosen = [(name, row) for name, row in ROWS.items() if fnmatch.fnmatch(name, args.row)]
    if args.list:
        print("\n".join(name for name, _ in chosen))
        return 0
    if not os.path.exists(os.path.join(tools.BENCH, "uvhttp")):
        print("not ok - the release build has no bench programs: cmake --preset release && cmake --build build/release")
        return 1
    # On the disk of the build, not in /tmp, which may be memory: a flush has to cost what it costs.
    os.makedirs(os.path.join(TOP, "build"), exist_ok=True)
    folder = tempfile.mkdtemp(prefix="bench-", dir=os.path.join(TOP, "build"))
    try:
        bench = Bench(Scale(args.scale), folder)
        return run_smoke(bench, chosen) if args.scale == "smoke" else run_rows(bench, chosen)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
