"""What stands around PostgreSQL servers where they are run for real: pgbouncer before one, and Patroni with etcd, which
promotes by itself. Programs as bootstrap.sh unpacks them. Python's standard library alone.

    with Cluster() as server, PgBouncer(server, mode="transaction") as pool:
        ... pool.conninfo("test_1") ...

    with Patroni() as servers:
        killed = servers.kill_leader()
        wait_until(lambda: servers.leader() not in (None, killed), "another one leads", 60)"""

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile

from parley_peers import unpacked
from parley_postgres import SUPERUSER, Cluster, children_of, pid_file, remove_shared_memory
from parley_store import DatabaseError, postgres_env, psql
from parley_test import Client, free_port, indented_end, wait_until

START_S = 90
STOP_S = 20
LEASE_S = 20  # the least that Patroni takes: so long after a leader's last word another one may lead


def program(cluster, package, path):
    """A program of a package, where the server's user can reach it: the build folder may be in somebody's home."""
    found = unpacked(package, path)
    root = found[:-len(path)]
    copy = os.path.join(cluster.folder, package)
    if root == "/":
        return found
    if not os.path.isdir(copy):
        shutil.copytree(root, copy, symlinks=True)
    return os.path.join(copy, path)


class Child:
    """A program that runs as the server's user, with a log in its folder."""

    def __init__(self, cluster, name, words, env=None):
        self.log_path = os.path.join(cluster.folder, f"{name}.log")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(words, cwd=cluster.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**postgres_env(), **(env or {})}, **cluster.as_user())

    def runs(self):
        return self.process.poll() is None

    def log_end(self):
        return indented_end(self.log_path)

    def stop(self, how=signal.SIGTERM):
        if self.runs():
            self.process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=STOP_S)
        self.process.kill()
        self.process.wait()


class PgBouncer:
    """A pool before one server, over a socket that only we may open. mode: session, transaction or statement."""

    def __init__(self, cluster, mode="session", settings=None):
        self.cluster = cluster
        self.port = free_port()
        self.settings = {"pool_mode": mode, "listen_port": self.port, "unix_socket_dir": cluster.folder,
                         "unix_socket_mode": "0700", "auth_type": "any", "ignore_startup_parameters": "",
                         "default_pool_size": 20, "max_client_conn": 100, **(settings or {})}
        self.child = None

    def __enter__(self):
        path = os.path.join(self.cluster.folder, "pgbouncer.ini")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"[databases]\n* = host={self.cluster.folder} port={self.cluster.port} user={SUPERUSER}\n[pgbouncer]\n")
            file.writelines(f"{name} = {value}\n" for name, value in self.settings.items())
        self.start()
        return self

    def start(self):
        path = os.path.join(self.cluster.folder, "pgbouncer.ini")
        self.child = Child(self.cluster, "pgbouncer", [program(self.cluster, "pgbouncer", "usr/sbin/pgbouncer"), path])
        socket = os.path.join(self.cluster.folder, f".s.PGSQL.{self.port}")
        wait_until(lambda: os.path.exists(socket) or not self.child.runs(), "pgbouncer listens", START_S)
        wait_until(self.child.runs, lambda: f"pgbouncer runs\n{self.child.log_end()}", 0)

    def __exit__(self, *_):
        self.child.stop(signal.SIGTERM)

    def conninfo(self, database):
        return f"host={self.cluster.folder} port={self.port} user={SUPERUSER} dbname={database}"


class Patroni:
    """Servers one and two, the one a synchronous standby of the other, and one etcd. They may be killed; who leads is
    Patroni's decision alone."""

    def __init__(self, names=("one", "two")):
        self.cluster = Cluster(name="patroni")  # its folder, user and programs; the servers are Patroni's
        self.folder = self.cluster.folder
        self.passwords = {name: secrets.token_hex(16) for name in ("superuser", "replication", "rewind")}
        self.rest = {name: free_port() for name in names}
        self.ports = {name: free_port() for name in names}
        self.nodes = {}
        self.etcd_port = free_port()
        self.etcd = None

    def __enter__(self):
        try:
            self.start_etcd()
            for name in self.ports:
                self.start(name)
                wait_until(lambda name=name: self.state(name), lambda name=name: f"{name} runs\n{self.nodes[name].log_end()}", START_S)
            wait_until(self.has_synchronous_standby, "the standby is synchronous", START_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in list(self.nodes):
            self.kill(name)
        if self.etcd is not None:
            self.etcd.stop()
        self.cluster.remove()

    def start_etcd(self):
        url, peers = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{free_port()}"
        self.etcd = Child(self.cluster, "etcd", [
            program(self.cluster, "etcd-server", "usr/bin/etcd"), "--data-dir", os.path.join(self.folder, "etcd"),
            "--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
            "--initial-cluster", f"default={peers}"])
        wait_until(lambda: self.answers(self.etcd_port, "/health") == 200, lambda: f"etcd runs\n{self.etcd.log_end()}", START_S)

    @staticmethod
    def answers(port, path):
        with contextlib.closing(Client(port, key=None, timeout_s=5)) as client:
            try:
                return client.get(path).status
            except (OSError, http.client.HTTPException):
                return None

    def configuration(self, name):
        users = {"superuser": SUPERUSER, "replication": "replicator", "rewind": "rewinder"}
        return {
            "scope": "parley", "name": name,
            "restapi": {"listen": f"127.0.0.1:{self.rest[name]}", "connect_address": f"127.0.0.1:{self.rest[name]}"},
            "etcd3": {"host": f"127.0.0.1:{self.etcd_port}"},
            "bootstrap": {
                "dcs": {"ttl": LEASE_S, "loop_wait": 2, "retry_timeout": 4, "synchronous_mode": True, "primary_start_timeout": 0,
                        "postgresql": {"use_pg_rewind": True}},
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"]},
            "postgresql": {
                "listen": f"127.0.0.1:{self.ports[name]}", "connect_address": f"127.0.0.1:{self.ports[name]}",
                "data_dir": self.data(name), "bin_dir": self.cluster.programs, "pgpass": os.path.join(self.folder, f"{name}.pgpass"),
                "pg_hba": ["local all all trust", "host all all 127.0.0.1/32 scram-sha-256",
                           "host replication all 127.0.0.1/32 scram-sha-256"],
                "authentication": {role: {"username": user, "password": self.passwords[role]} for role, user in users.items()},
                "parameters": {"unix_socket_directories": self.folder, "unix_socket_permissions": "0700", "shared_buffers": "32MB",
                               "password_encryption": "scram-sha-256", "dynamic_shared_memory_type": "mmap"}},
        }

    def data(self, name):
        return os.path.join(self.folder, f"data-{name}")

    def start(self, name):
        with tempfile.NamedTemporaryFile("w", dir=self.folder, prefix=f"{name}-", suffix=".yml", delete=False) as file:
            json.dump(self.configuration(name), file)
        if self.cluster.user is not None:
            shutil.chown(file.name, self.cluster.user)
        patroni = program(self.cluster, "patroni", "usr/bin/patroni")
        packages = os.path.join(os.path.dirname(os.path.dirname(patroni)), "lib", "python3", "dist-packages")
        self.nodes[name] = Child(self.cluster, name, ["/usr/bin/python3", patroni, file.name], env={"PYTHONPATH": packages})

    def state(self, name):
        """leader, sync_standby, replica ...; None when it doesn't run."""
        with contextlib.closing(Client(self.rest[name], key=None, timeout_s=5)) as client:
            try:
                answer = client.get("/patroni").json
            except (OSError, http.client.HTTPException):
                return None
        if answer.get("state") != "running":
            return None
        return "leader" if answer["role"] in ("master", "primary") else "sync_standby" if answer.get("sync_standby") else "replica"

    def leader(self):
        """The name of the one that takes writes, None while there is none."""
        return next((name for name in self.ports if self.takes_writes(name)), None)

    def takes_writes(self, name):
        """Patroni says so a moment before it is true."""
        if self.answers(self.rest[name], "/primary") != 200:
            return False
        own = f"host={self.folder} port={self.ports[name]} user={SUPERUSER} dbname=postgres"
        with contextlib.suppress(DatabaseError):
            return psql(own, "SELECT pg_is_in_recovery()") == "f"
        return False

    def has_synchronous_standby(self):
        return any(self.answers(self.rest[name], "/synchronous") == 200 for name in self.ports)

    def kill(self, name):
        """Patroni and its server at once, as when a machine dies."""
        patroni = self.nodes.pop(name)
        patroni.process.kill()
        patroni.process.wait()
        server = self.server_pid(name)
        if server is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(server, signal.SIGSTOP)
            for pid in [*children_of(server), server]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        remove_shared_memory(self.data(name))  # now: Patroni removes the file that names it before it starts again

    def server_pid(self, name):
        lines = pid_file(self.data(name))
        try:
            with open(f"/proc/{int(lines[0])}/cmdline", "rb") as words:
                return int(lines[0]) if self.data(name).encode() in words.read() else None
        except (OSError, ValueError, IndexError):
            return None

    def kill_leader(self):
        """Returns the name of the one that led."""
        name = self.leader()
        self.kill(name)
        return name

    def conninfo(self, database="postgres"):
        """All of them; the one that takes writes is taken."""
        return (f"host={','.join('127.0.0.1' for _ in self.ports)} port={','.join(map(str, self.ports.values()))} user={SUPERUSER} "
                f"password={self.passwords['superuser']} target_session_attrs=read-write dbname={database}")

    def psql(self, sql, database="postgres"):
        return psql(self.conninfo(database), sql)
