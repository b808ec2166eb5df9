"""A Dovecot of a test's own: configuration, mailboxes, log and ports in one folder, nothing of the system's is used but its programs.
Any user may log in with PASSWORD, or those alone that are named; mail comes in by LMTP. Root only, else the test is skipped. Python's standard library alone.

    with Dovecot(folder, Authority(folder).make("dovecot")) as dovecot:
        dovecot.deliver(mail) ... dovecot.imaps, dovecot.imap, dovecot.mails("INBOX")"""

import imaplib
import os
import shutil
import smtplib
import socket
import subprocess
import tempfile

from parley_test import Skip, free_port, need_tool, wait_until

PASSWORD = "secret"
USER = "support"
SETTINGS = """\
base_dir = {folder}/run
log_path = {folder}/log
instance_name = parley
protocols = imap lmtp
listen = 127.0.0.1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{certificate}
disable_plaintext_auth = no
auth_mechanisms = {mechanisms}
mail_location = maildir:{folder}/mail/%n
mailbox_list_index = no
first_valid_uid = 1
mail_uid = mail
mail_gid = mail
mail_max_userip_connections = 100
default_internal_user = dovecot
default_login_user = dovenull
default_process_limit = 20
default_vsz_limit = 512M
{passdb}
userdb {{
  driver = static
  args = uid=mail gid=mail home={folder}/mail/%n{any}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
{more}
"""
PASSDB = "passdb {{\n  driver = static\n  args = password={password}\n}}\n"
USERS = "passdb {{\n  driver = passwd-file\n  args = username_format=%n {folder}/users\n}}\n"


class Dovecot:
    """Listens on 127.0.0.1: imap (STARTTLS), imaps, lmtp. more: lines of its configuration beside the base ones. users: names; mail to
    anybody else is refused, 550 5.1.1."""

    def __init__(self, certificate, more="", mechanisms="plain login", passdb=None, users=None):
        need_tool("dovecot")
        if os.geteuid() != 0:
            raise Skip("needs root, to start dovecot")
        self.certificate, self.more, self.mechanisms = certificate, more, mechanisms
        self.users = users
        self.imap, self.imaps, self.lmtp = free_port(), free_port(), free_port()
        self.process = None
        above = tempfile.gettempdir() if tempfile.gettempdir().startswith("/tmp/parley-") else "/var/tmp"
        self.folder = tempfile.mkdtemp(prefix="dc-", dir=above)  # short: sockets are in it
        os.chmod(self.folder, 0o755)
        if above != "/var/tmp":
            os.chmod(above, 0o711)
        self.passdb = passdb or (USERS.format(folder=self.folder) if users else PASSDB.format(password=PASSWORD))

    @property
    def mailbox_path(self):
        return f"{self.folder}/mail/{USER}"

    def __enter__(self):
        os.makedirs(f"{self.folder}/mail", exist_ok=True)
        shutil.chown(f"{self.folder}/mail", "mail", "mail")
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        if self.users:
            with open(f"{self.folder}/users", "w", encoding="ascii") as file:
                file.writelines(f"{user}:{{PLAIN}}{PASSWORD}\n" for user in self.users)
            os.chmod(f"{self.folder}/users", 0o644)
        with open(f"{self.folder}/conf", "w", encoding="ascii") as file:
            file.write(SETTINGS.format(folder=self.folder, certificate=self.certificate, mechanisms=self.mechanisms, imap=self.imap,
                                       imaps=self.imaps, lmtp=self.lmtp, more=self.more, any="" if self.users else " allow_all_users=yes", passdb=self.passdb))
        self.process = subprocess.Popen(["dovecot", "-F", "-c", f"{self.folder}/conf"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wait_until(self.is_up, lambda: f"dovecot runs: {self.log()[-500:]}")

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()
        self.process = None

    def is_up(self):
        if self.process.poll() is not None:
            raise Skip(f"dovecot doesn't start here: {self.process.stderr.read().strip()[-300:]}{self.log()[-300:]}")
        for port in (self.imap, self.imaps, self.lmtp):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) != 0:
                    return False
        return True

    def log(self):
        try:
            with open(f"{self.folder}/log", encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def deliver(self, made, sender="ana@example.org"):
        raw = made if isinstance(made, bytes) else made.as_bytes(policy=made.policy.clone(linesep="\r\n"))
        with smtplib.LMTP("127.0.0.1", self.lmtp, timeout=20) as session:
            session.sendmail(sender, [f"{USER}@shop.example"], raw)

    def put(self, raw, name):
        """A file of the mailbox, as it is: what no delivery would let through."""
        for part in ("", "/tmp", "/cur", "/new"):
            if not os.path.isdir(self.mailbox_path + part):
                os.mkdir(self.mailbox_path + part)
                shutil.chown(self.mailbox_path + part, "mail", "mail")
        with open(f"{self.mailbox_path}/tmp/{name}", "wb") as file:
            file.write(raw)
        shutil.chown(f"{self.mailbox_path}/tmp/{name}", "mail", "mail")
        os.rename(f"{self.mailbox_path}/tmp/{name}", f"{self.mailbox_path}/new/{name}")

    def client(self, user=USER):
        client = imaplib.IMAP4("127.0.0.1", self.imap, timeout=20)
        client.login(user, PASSWORD)
        return client

    def mails(self, folder="INBOX"):
        """The flags of each mail there, but for \\Recent; None: there is no such folder."""
        client = self.client()
        try:
            if client.select(folder, readonly=True)[0] != "OK":
                return None
            count = int(client.select(folder, readonly=True)[1][0])
            data = client.fetch("1:*", "(FLAGS)")[1] if count else []
            return [[flag for flag in imaplib.ParseFlags(line) if flag != b"\\Recent"] for line in data if line]
        finally:
            client.logout()

    def number_anew(self):
        """Forgets all UIDs, as a restored backup or a move to another server does."""
        self.stop()
        for name in os.listdir(self.mailbox_path):
            if name.startswith("dovecot"):
                os.unlink(f"{self.mailbox_path}/{name}")
        self.start()
