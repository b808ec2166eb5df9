"""Kannel as a peer of the bench: bearerbox and smsbox with a folder and ports of their own, bound to a message centre. It runs as it is
packaged, or unpacked by bootstrap.sh.

    with Kannel(folder, sink.port, "spool") as kannel:
        load(kannel.port, path=kannel.path, kannel=True, ...)"""

import os
import signal
import subprocess

import tools  # noqa: F401, finds tests/support
from tools import cpu_s, free_port
from parley_test import Failure, wait_until
from parley_peers import unpacked

STOP_S = 20
LISTENING = "0A"
CONFIGURATION = """group = core
admin-port = {admin}
admin-password = x
admin-interface = 127.0.0.1
smsbox-port = {boxes}
smsbox-interface = 127.0.0.1
wdp-interface-name = "127.0.0.1"
log-file = "{folder}/bearerbox.log"
log-level = 2
box-deny-ip = "*.*.*.*"
box-allow-ip = "127.0.0.1"
store-type = {store}
store-location = "{folder}/{store}"

group = smsc
smsc = smpp
smsc-id = sink
host = 127.0.0.1
port = {centre}
transceiver-mode = 1
smsc-username = u
smsc-password = p
system-type = ""
max-pending-submits = {window}
enquire-link-interval = 30

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {http}
sendsms-interface = 127.0.0.1
log-file = "{folder}/smsbox.log"
log-level = 2

group = sendsms-user
username = u
password = p
user-deny-ip = "*.*.*.*"
user-allow-ip = "127.0.0.1"
max-messages = 1
concatenation = false

group = sms-service
keyword = default
text = "no"
"""


class Kannel:
    path = "/cgi-bin/sendsms"

    def __init__(self, folder, centre_port, store, window):
        self.programs = [unpacked("kannel", f"usr/sbin/{name}") for name in ("bearerbox", "smsbox")]
        self.folder = folder
        self.port = free_port()
        self.settings = {"admin": free_port(), "boxes": free_port(), "http": self.port, "centre": centre_port, "store": store,
                         "window": window, "folder": folder}
        self.processes = []

    def __enter__(self):
        if self.settings["store"] == "spool":
            os.makedirs(os.path.join(self.folder, "spool"), exist_ok=True)
        path = os.path.join(self.folder, "kannel.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(CONFIGURATION.format(**self.settings))
        for program, port in zip(self.programs, (self.settings["boxes"], self.port)):
            with open(os.path.join(self.folder, "said"), "ab") as said:
                process = subprocess.Popen([program, path], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                           start_new_session=True)
            self.processes.append(process)
            wait_until(lambda: self.listens(port), lambda: f"{program} listens: {self.said()}")
        return self

    def said(self):
        with open(os.path.join(self.folder, "said"), encoding="utf-8", errors="replace") as file:
            return file.read()[-2000:]

    def listens(self, port):
        if any(process.poll() is not None for process in self.processes):
            raise Failure(f"Kannel ended: {self.said()}")
        with open("/proc/net/tcp", encoding="ascii") as file:  # a connection would be a box that says nothing
            return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == LISTENING for line in file)

    def cpu_s(self):
        return sum(cpu_s(process.pid) for process in self.processes)

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=STOP_S)
