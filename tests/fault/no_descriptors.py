#!/usr/bin/python3
# label: spine
# timeout: 60
# stores: sqlite postgres
"""All file descriptors are taken by idle clients: the daemon neither ends nor spins, what is connected goes on, a reload is
refused with its reason, and everything comes back once they leave."""

import contextlib
import os
import signal
import socket
import threading

from parley_test import Client, Daemon, Recorder, expect, expect_true, need_tool, run, test, wait_until

DESCRIPTORS = 64
IDLE_CLIENTS = 200
LOOK_S = 2
CPU_MAX_S = 0.5  # a loop that spins uses all of LOOK_S
SENT = 20


def cpu_s(daemon):
    with open(f"/proc/{daemon.process.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@test
def idle_clients_that_take_every_descriptor_stop_nothing_for_good(folder):
    wrap = [need_tool("prlimit"), f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"]
    with Recorder() as shop, Daemon(folder, channels={"hook": shop.channel()}, wrap=wrap) as daemon:
        daemon.wait_status(daemon.send("before"), "sent")
        with contextlib.ExitStack() as idle:
            for _ in range(IDLE_CLIENTS):
                idle.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", daemon.port), timeout=5)))
            before_s = cpu_s(daemon)
            threading.Event().wait(LOOK_S)
            expect_true(cpu_s(daemon) - before_s < CPU_MAX_S, "the loop doesn't spin")
            accepted = [daemon.send(f"meanwhile {number}") for number in range(SENT)]
            daemon.signal(signal.SIGHUP)
            wait_until(lambda: "event=reload_refused" in daemon.log() or "event=reloaded" in daemon.log(), "the reload ends")
        wait_until(lambda: daemon.probe("/healthz") == 200, "new clients are served again")
        for message in accepted:
            daemon.wait_status(message, "sent")
        with contextlib.closing(Client(daemon.port)) as fresh:
            expect(fresh.post("/v1/messages", daemon.message("after")).status, 202)
        expect(len(shop.matching(lambda request: "meanwhile" in request.text)), SENT, "each arrived once")
        expect(daemon.stop(), 0)


run()
