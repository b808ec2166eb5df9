#!/usr/bin/python3
"""PostgreSQL servers of a test's own: data, socket, port and log in one folder, nothing of the system's is used but its
programs. Python's standard library alone.

    with Cluster(fsync=True) as primary:
        standby = primary.standby()          # streaming and synchronous once this returns
        url = primary.conninfo(primary.create_database(), others=[standby])
        primary.kill9()
        standby.promote()

As a program:

    parley_postgres.py run COMMAND...   runs it with a server that is made for it: PARLEY_TEST_STORE, PARLEY_TEST_DATABASE
    parley_postgres.py serve [LOG]      prints the connection string of a server that lasts until its standard input ends
    --fsync before them: the server flushes, for measurements; else it doesn't, and keeps its data in memory where there is room

A server refuses to run as root: then it runs as Debian's user `postgres`. The superuser's name is `parley`. Over the socket,
which nobody else may open, there is no password; over TCP, on loopback, there is one."""

import atexit
import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

from parley_store import bin_folder, postgres_env, psql
from parley_test import Failure, Skip, free_port, indented_end, wait_until

SUPERUSER = "parley"
SERVER_USER = "postgres"
START_S = 60
STOP_S = 60
BIND_TRIES = 5
MEMORY = "/dev/shm"
MEMORY_MIN_BYTES = 4 << 30
STATUS_LINE = 7  # of postmaster.pid: "ready", or "standby" while one may not be read yet
SHARED_MEMORY_LINE = 6
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_permissions": "0700",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "shared_memory_type": "mmap",
    "dynamic_shared_memory_type": "mmap",  # in the data folder: nothing is left in /dev/shm by kill -9
    "log_line_prefix": "%m [%p] %d ",
    "wal_level": "replica",
    "max_wal_size": "256MB",
}
_clusters = []


class Cluster:
    """One server. settings: more lines of postgresql.conf. fsync off is for tests that never cut its power.

    Made and started by `with` or start(); what is made ends when the `with` block or the program does."""

    def __init__(self, fsync=True, settings=None, name="primary", folder=None):
        self.programs = bin_folder()
        if self.programs is None:
            raise Skip("missing postgresql")
        self.user = SERVER_USER if os.geteuid() == 0 else None
        if self.user is not None and not has_user(self.user):
            raise Skip(f"missing postgresql (there is no user {self.user}, and a server refuses to run as root)")
        self.name = name
        self.settings = {**SETTINGS, "fsync": "on" if fsync else "off", "cluster_name": name, **(settings or {})}
        self.password = secrets.token_hex(16)
        self.port = free_port()
        self.process = None
        self.made = False
        self.lock = threading.Lock()
        self.next_database = 0
        self.folder = self.make_folder(folder)
        self.data = os.path.join(self.folder, "data")
        self.log_path = os.path.join(self.folder, "postgres.log")
        _clusters.append(self)
        end_in_order()

    def make_folder(self, above):
        """The server's user has to reach it through the folders above, those that mkdtemp() makes for one user alone."""
        above = above or tempfile.gettempdir()
        folder = tempfile.mkdtemp(prefix="parley-pg-", dir=above)
        if self.user is not None:
            shutil.chown(folder, self.user, self.user)
            while above != "/":
                if not os.stat(above).st_mode & 1:
                    os.chmod(above, os.stat(above).st_mode | 0o111)
                above = os.path.dirname(above)
        return folder

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.remove()

    # Making, starting, ending.
    def start(self, wait=True):
        """What runs already stays as it is."""
        if not self.made:
            self.initdb()
        if not self.runs():
            self.launch()
        if wait:
            self.wait_up()

    def initdb(self):
        words = ["-D", self.data, "-U", SUPERUSER, "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync",
                 "--encoding=UTF8", "--no-instructions"]
        version = int(os.path.basename(os.path.dirname(self.programs)).split(".")[0])
        # Words are sorted as people sort them, as on most servers: what relies on the order of bytes has to say so.
        words += ["--locale=C.UTF-8"] + (["--locale-provider=icu", "--icu-locale=en-US"] if version >= 15 else [])
        with tempfile.NamedTemporaryFile("w", dir=self.folder) as file:
            file.write(self.password + "\n")
            file.flush()
            if self.user is not None:
                shutil.chown(file.name, self.user)
            self.command("initdb", *words, f"--pwfile={file.name}")
        self.write_settings()
        self.made = True

    def write_settings(self):
        lines = [f"{name} = '{value}'\n" for name, value in {**self.settings, "unix_socket_directories": self.folder}.items()]
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as file:
            file.writelines(lines)

    def set(self, name, value):
        """ALTER SYSTEM and a reload."""
        self.psql(f"ALTER SYSTEM SET {name} = '{value}'")
        self.psql("SELECT pg_reload_conf()")

    def command(self, name, *words):
        """Runs one of PostgreSQL's programs as the server's user; returns what it printed."""
        done = subprocess.run([os.path.join(self.programs, name), *words], cwd=self.folder, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, env=postgres_env(), **self.as_user())
        if done.returncode != 0:
            raise Failure(f"{name}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def as_user(self):
        return {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}

    def launch(self):
        """The server itself, no pg_ctl: it stays in the test's process group and ends with it whatever happens."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([os.path.join(self.programs, "postgres"), "-D", self.data, "-p", str(self.port)],
                                            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=postgres_env(), **self.as_user())

    def wait_up(self, timeout_s=START_S):
        tries = []

        def up():
            if self.process.poll() is None:
                return self.status() == "ready"
            if len(tries) == BIND_TRIES or not self.lost_its_port():
                raise Failure(f"{self.name} ended with {self.process.returncode}:\n{self.log_end()}")
            tries.append(self.port)
            self.port = free_port()
            self.launch()
            return False

        wait_until(up, lambda: f"{self.name} takes connections\n{self.log_end()}", timeout_s)

    def lost_its_port(self):
        """Somebody else took it between free_port() and now."""
        return "Address already in use" in self.log_end()

    def status(self):
        """What the server says of itself: starting, ready, standby (not readable yet), stopping; None: not there."""
        lines = pid_file(self.data)
        if not lines or self.process is None or lines[0] != str(self.process.pid):
            return None
        return lines[STATUS_LINE].strip() if len(lines) > STATUS_LINE else None

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, how=signal.SIGINT, timeout_s=STOP_S):
        """SIGINT: connections are cut, work is rolled back. SIGTERM: waits for the clients. SIGQUIT: as it falls."""
        if self.runs():
            self.process.send_signal(how)
            try:
                self.process.wait(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                self.kill9()
                raise Failure(f"{self.name} still ran {timeout_s} s after signal {how}:\n{self.log_end()}") from None
        self.process = None

    def kill9(self):
        """All of its processes at once, as when a machine dies: none of them answers any more."""
        if not self.runs():
            return
        self.process.send_signal(signal.SIGSTOP)  # what it begins meanwhile would live on
        children = children_of(self.process.pid)
        self.process.kill()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        wait_until(lambda: not any(map(is_there, children)), f"all of {self.name} is gone", STOP_S)

    def freeze(self):
        """SIGSTOP to all of its processes: connections stay open and silent."""
        self.signal_all(signal.SIGSTOP)

    def thaw(self):
        self.signal_all(signal.SIGCONT)

    def signal_all(self, number):
        self.process.send_signal(number)
        for pid in children_of(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def remove(self):
        """Ends it and takes away what it left."""
        if self in _clusters:
            _clusters.remove(self)
        if self.runs():
            with contextlib.suppress(ProcessLookupError):
                self.thaw()
            with contextlib.suppress(Failure):
                self.stop(signal.SIGQUIT)
        self.kill9()
        remove_shared_memory(self.data)
        shutil.rmtree(self.folder, ignore_errors=True)

    # Standbys.
    def standby(self, name="standby", synchronous=True, settings=None):
        """A copy that streams from this one. Synchronous: this one commits only what that one has flushed, too."""
        other = Cluster(settings={**self.settings, **(settings or {}), "cluster_name": name}, name=name)
        other.password = self.password
        other.command("pg_basebackup", "-D", other.data, "-d", f"{self.conninfo()} application_name={name}", "-X", "stream",
                      "-c", "fast", "-R", "--no-sync")
        other.made = True
        other.write_settings()
        other.start()
        wait_until(lambda: self.standbys().get(name), lambda: f"{name} streams\n{other.log_end()}", START_S)
        if synchronous:
            self.set("synchronous_standby_names", name)
            wait_until(lambda: self.standbys().get(name) == "sync", f"{name} is synchronous", START_S)
        return other

    def standbys(self):
        """{name: sync_state} of those that stream from here."""
        rows = self.psql("SELECT application_name, sync_state FROM pg_stat_replication WHERE state = 'streaming'")
        return dict(row.split("|") for row in rows.splitlines())

    def promote(self):
        """A standby becomes the primary, alone: it waits for no other."""
        self.psql("SELECT pg_promote(true, 60)")
        wait_until(lambda: self.psql("SELECT pg_is_in_recovery()") == "f", f"{self.name} is promoted", START_S)
        self.set("synchronous_standby_names", "")

    # Databases.
    def conninfo(self, database="postgres", tcp=False, others=()):
        """A connection string of libpq. others: servers that are tried after this one; the one that takes writes is taken."""
        servers = [self, *others]
        where = {"host": ",".join("127.0.0.1" if tcp or others else server.folder for server in servers),
                 "port": ",".join(str(server.port) for server in servers), "user": SUPERUSER}
        if tcp or others:
            where["password"] = self.password
        if others:
            where["target_session_attrs"] = "read-write"
        if database is not None:
            where["dbname"] = database
        return " ".join(f"{name}={value}" for name, value in where.items())

    def create_database(self, name=None):
        with self.lock:
            self.next_database += 1
            name = name or f"test_{self.next_database}"
        self.psql(f'CREATE DATABASE "{name}"')
        return name

    def drop_database(self, name):
        self.psql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def psql(self, sql, database="postgres"):
        """What psql prints: a line a row, columns with | between."""
        return psql(self.conninfo(database), sql)

    def log(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def log_end(self):
        return indented_end(self.log_path) if os.path.exists(self.log_path) else ""


def pid_file(data):
    """The lines of postmaster.pid, which kill -9 leaves behind; none when the server ended in order."""
    try:
        with open(os.path.join(data, "postmaster.pid"), encoding="utf-8") as file:
            return file.read().splitlines()
    except OSError:
        return []


def remove_shared_memory(data):
    """What kept a second server off this folder, and outlives kill -9."""
    words = pid_file(data)[SHARED_MEMORY_LINE:STATUS_LINE]
    if words and words[0].split() and shutil.which("ipcrm"):
        subprocess.run(["ipcrm", "-m", words[0].split()[-1]], capture_output=True)


def has_user(name):
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except FileNotFoundError:
        return []


def is_there(pid):
    """A zombie holds nothing any more."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def end_in_order():
    """From the first cluster on SIGTERM and SIGHUP end the program as an error does, so that atexit has its turn."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, lambda *_: sys.exit(1))


@atexit.register
def remove_all():
    for cluster in list(_clusters):
        cluster.remove()


# --- as a program ---

def memory_folder():
    """For many small databases, which are a third faster there; None when memory is short (in a container it often is)."""
    with contextlib.suppress(OSError):
        room = os.statvfs(MEMORY)
        if os.access(MEMORY, os.W_OK) and room.f_bavail * room.f_frsize >= MEMORY_MIN_BYTES:
            return MEMORY
    return None


def serve(cluster):
    print(cluster.conninfo(database=None), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        sys.stdin.read()
    if not cluster.runs():
        raise Failure(f"the server ended by itself with {cluster.process.returncode}:\n{cluster.log_end()}")
    return 0


def run_command(cluster, words):
    env = dict(os.environ, PARLEY_TEST_STORE="postgres", PARLEY_TEST_DATABASE=cluster.conninfo(database=None))
    try:
        return subprocess.run(words, env=env).returncode
    except KeyboardInterrupt:
        return 130


def main(words):
    fsync = words[:1] == ["--fsync"]
    words = words[fsync:]
    if not (words[:1] == ["serve"] and len(words) <= 2 or words[:1] == ["run"] and len(words) > 1):
        sys.exit(__doc__)
    try:
        cluster = Cluster(fsync=fsync, folder=None if fsync else memory_folder())
        if words[0] == "serve" and len(words) == 2:
            cluster.log_path = words[1]
        with cluster:
            return serve(cluster) if words[0] == "serve" else run_command(cluster, words[1:])
    except (Failure, Skip) as why:
        sys.exit(f"parley_postgres: {why}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
