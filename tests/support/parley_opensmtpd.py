"""An OpenSMTPD of a test's own. Its package is unpacked, not installed (it would turn out Postfix); what it wants in fixed places, users,
queue and programs, it finds in a mount namespace that ends with it. Root only, else the test is skipped. Standard library alone.
Without TLS, and so without logins: Debian 12's 6.8 fails at each handshake here, with "EVP lib".

    with OpenSmtpd(relay_port) as smtpd: ... smtpd.port, smtpd.log() ..."""

import os
import shutil
import socket
import subprocess
import tempfile

from parley_peers import unpacked
from parley_test import Skip, free_port, need_tool, wait_until

USERS = ("opensmtpd", "opensmtpq")
START = """\
mount --make-rprivate /
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
for folder in /var/lib /var/spool /run /usr/libexec; do mount -t tmpfs -o size=16m tmpfs "$folder"; done
mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd
chmod 711 /var/spool/smtpd
cp -r "$2" /usr/libexec/
exec "$3" -d -f "$1/smtpd.conf"
"""


class OpenSmtpd:
    """Listens on 127.0.0.1:port; hands all on to relay_port."""

    def __init__(self, relay_port):
        if os.geteuid() != 0:
            raise Skip("needs root, to start OpenSMTPD")
        need_tool("unshare")
        self.program = unpacked("opensmtpd", "usr/sbin/smtpd")
        self.port = free_port()
        self.relay_port = relay_port

    def write(self):
        self.folder = tempfile.mkdtemp(prefix="parley-opensmtpd-")
        for name, line in {"passwd": "{0}:x:{1}:{1}::/var/lib/opensmtpd/empty:/bin/false\n", "group": "{0}:x:{1}:\n"}.items():
            shutil.copy(f"/etc/{name}", self.folder)
            with open(f"{self.folder}/{name}", "a", encoding="ascii") as file:
                file.writelines(line.format(user, 9801 + at) for at, user in enumerate(USERS))
        with open(os.open(f"{self.folder}/smtpd.conf", os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write(f"listen on 127.0.0.1 port {self.port}\n"
                       f'action "relay" relay host smtp://127.0.0.1:{self.relay_port}\n'
                       'match from any for any action "relay"\n')

    def __enter__(self):
        self.write()
        with open(f"{self.folder}/log", "wb") as log:
            self.process = subprocess.Popen(["unshare", "-m", "sh", "-ec", START, "sh", self.folder,
                                             os.path.join(os.path.dirname(self.program), "../libexec/opensmtpd"), self.program],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self.is_up, lambda: f"OpenSMTPD runs: {self.log()[-500:]}")
        return self

    def is_up(self):
        if self.process.poll() is not None:
            why = self.log()[-300:]
            shutil.rmtree(self.folder, ignore_errors=True)
            raise Skip(f"OpenSMTPD doesn't start here: {why}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        with open(f"{self.folder}/log", encoding="utf-8", errors="replace") as file:
            return file.read()
