"""A Postfix of a test's own: configuration, queue, log and port in one folder, nothing of the system's is used but its
programs. Root only, else the test is skipped. Python's standard library alone.

    with Postfix({"relayhost": "[127.0.0.1]:2526"}) as postfix:
        ... postfix.port, postfix.log() ..."""

import os
import re
import shutil
import socket
import subprocess
import tempfile

from parley_test import Skip, free_port, need_tool, wait_until

DAEMONS = "/usr/lib/postfix/sbin"
MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """Listens on 127.0.0.1:port. settings: lines of main.cf beside the base ones, such as relayhost. account: (user, password), who
    alone may relay then, and only over TLS; pem: its certificate and key."""

    def __init__(self, settings=None, port=None, account=None, pem=None):
        need_tool("postfix")
        if os.geteuid() != 0:
            raise Skip("needs root, to start postfix")
        self.port = port or free_port()
        self.settings = settings or {}
        self.account, self.pem = account, pem
        self.folder = None
        self.process = None

    @property
    def log_path(self):
        return os.path.join(self.folder, "mail.log")

    def main_cf(self):
        return {
            "compatibility_level": "3.6",
            "queue_directory": f"{self.folder}/spool",
            "data_directory": f"{self.folder}/data",
            "command_directory": "/usr/sbin",
            "daemon_directory": DAEMONS,
            "mail_owner": "postfix",
            "setgid_group": "postdrop",
            "myhostname": "mx.example.test",
            "mydestination": "",
            "mynetworks": "127.0.0.0/8",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "alias_maps": "",
            "local_recipient_maps": "",
            "disable_dns_lookups": "yes",
            "smtp_host_lookup": "native",
            "smtp_tls_security_level": "none",
            "smtpd_tls_security_level": "none",
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "smtpd_client_connection_rate_limit": "0",
            "maillog_file": self.log_path,
            "maillog_file_prefixes": self.folder,
            **(self.login_cf() if self.account else {}),
            **self.settings,
        }

    def login_cf(self):
        return {
            "smtpd_sasl_auth_enable": "yes",
            "smtpd_sasl_path": "smtpd",
            "smtpd_sasl_local_domain": "mx.example.test",
            "cyrus_sasl_config_path": f"{self.folder}/etc/sasl",
            "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
            "smtpd_tls_security_level": "encrypt",
            "smtpd_tls_auth_only": "yes",
            "smtpd_tls_cert_file": self.pem,
            "smtpd_tls_key_file": self.pem,
        }

    def write_account(self):
        need_tool("saslpasswd2")
        accounts = f"{self.folder}/data/sasldb2"
        os.makedirs(f"{self.folder}/etc/sasl")
        with open(f"{self.folder}/etc/sasl/smtpd.conf", "w", encoding="ascii") as file:
            file.write(f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {accounts}\nmech_list: PLAIN LOGIN\n")
        subprocess.run(["saslpasswd2", "-p", "-c", "-f", accounts, "-u", "mx.example.test", self.account[0]], input=self.account[1],
                       text=True, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.chown(accounts, "postfix")

    def make_folder(self):
        """Postfix's processes are users of their own, which have to reach it through the folders above."""
        above = tempfile.gettempdir() if tempfile.gettempdir().startswith("/tmp/parley-") else "/var/tmp"
        self.folder = tempfile.mkdtemp(prefix="parley-postfix-", dir=above)
        os.chmod(self.folder, 0o755)
        if above != "/var/tmp":
            os.chmod(above, 0o711)

    def write(self):
        self.make_folder()
        for name in ("etc", "spool", "data"):
            os.makedirs(f"{self.folder}/{name}", exist_ok=True)
        with open(f"{self.folder}/etc/main.cf", "w", encoding="ascii") as file:
            file.writelines(f"{name} = {value}\n" for name, value in self.main_cf().items())
        with open(f"{self.folder}/etc/master.cf", "w", encoding="ascii") as file:
            file.write(MASTER.format(port=self.port))
        for name in ("postfix-files", "dynamicmaps.cf"):
            if os.path.exists(f"/etc/postfix/{name}"):
                shutil.copy(f"/etc/postfix/{name}", f"{self.folder}/etc/{name}")
        if self.account:
            self.write_account()
        shutil.chown(f"{self.folder}/data", "postfix")

    def __enter__(self):
        self.write()
        # In the foreground, so that it ends with the test's process group whatever happens.
        self.process = subprocess.Popen(["postfix", "-c", f"{self.folder}/etc", "start-fg"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wait_until(self.is_up, lambda: f"postfix runs: {self.log()[-500:]}")
        return self

    def __exit__(self, *_):
        subprocess.run(["postfix", "-c", f"{self.folder}/etc", "stop"], capture_output=True, timeout=60)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def is_up(self):
        if self.process.poll() is not None:
            why = self.process.stderr.read().strip()[-300:] + self.log()[-300:]
            shutil.rmtree(self.folder, ignore_errors=True)
            raise Skip(f"postfix doesn't start here: {why}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def pid(self):
        """Of its master process."""
        path = f"{self.folder}/spool/pid/master.pid"
        if not os.path.exists(path):
            return None
        with open(path, encoding="ascii") as file:
            found = re.search(r"\d+", file.read())
        return int(found.group(0)) if found else None

    def log(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()
