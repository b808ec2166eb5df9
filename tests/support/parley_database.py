"""PostgreSQL databases for tests that need one whatever store the run is about: copies, backups, restores. The server that is
given (PARLEY_TEST_DATABASE), or one of this program's own. Python's standard library alone."""

import os
import subprocess

from parley_postgres import Cluster
from parley_store import SERVER, database_url, psql
from parley_test import BIN_DIR, KEY, SECRET

URL = "PARLEY_TEST_COPY_URL"  # the variable that names a database to daemon and command line
_servers = []  # of this program's own; the cluster removes itself at exit


def server():
    if SERVER:
        return SERVER
    if not _servers:
        _servers.append(Cluster(fsync=False).__enter__())
    return _servers[0].conninfo(database=None)


class Database:
    """An empty one; dropped at the end."""

    def __init__(self, name):
        self.name = f"parley_{os.getpid()}_{name}"
        self.url = database_url(server(), self.name)
        self.config = {"driver": "postgres", "url": {"env": URL}}

    def __enter__(self):
        psql(database_url(server(), "postgres"), f"CREATE DATABASE {self.name}")
        return self

    def __exit__(self, *_):
        psql(database_url(server(), "postgres"), f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")

    def sql(self, statement):
        return psql(self.url, statement)


def command(*words, database=None, env=None, timeout_s=120):
    """The command line, away from any daemon's address; returns the finished process."""
    more = {**({URL: database.url} if database else {}), **(env or {})}
    return subprocess.run([os.path.join(BIN_DIR, "parley"), *words], capture_output=True, text=True, timeout=timeout_s,
                          env=dict(os.environ, PARLEY_KEY=KEY, HOOK_SECRET=SECRET, FEED_SECRET=SECRET, **more))
