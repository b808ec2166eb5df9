"""Which store the daemons of a test use, and a look into it: a SQLite file, or a PostgreSQL database that is made for that path.

PARLEY_TEST_STORE=postgres chooses the second; PARLEY_TEST_DATABASE is then a connection string of libpq for a server on which
databases may be made (its dbname, if any, is not used). Each path of a store gets a database of its own, the same one on each
start, and forget_below() drops those of a test. Python's standard library alone."""

import atexit
import contextlib
import glob
import os
import re
import secrets
import sqlite3
import subprocess
import threading

ON_POSTGRES = os.environ.get("PARLEY_TEST_STORE") == "postgres"
SERVER = os.environ.get("PARLEY_TEST_DATABASE", "")
PSQL_S = 60
_run = secrets.token_hex(4)
_lock = threading.Lock()
_databases = {}  # absolute path of the store: number of its database


class DatabaseError(Exception):
    """What psql said."""


# --- PostgreSQL's programs ---

def bin_folder():
    """Where the programs of the newest PostgreSQL server lie, None when there is none."""
    folders = [os.path.dirname(path) for path in glob.glob("/usr/lib/postgresql/*/bin/initdb")]
    return max(folders, key=lambda path: float(path.split("/")[4]), default=None)


def postgres_env():
    """The environment without what would point libpq elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def psql(conninfo, sql):
    """Runs the statements, each committed by itself; returns what they print: a line a row, columns with | between."""
    program = os.path.join(bin_folder() or "/usr/bin", "psql")
    done = subprocess.run([program, "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", conninfo], input=sql, capture_output=True, text=True,
                          env=postgres_env(), timeout=PSQL_S)
    if done.returncode != 0:
        raise DatabaseError(f"{sql}: {done.stderr.strip()}")
    return done.stdout.rstrip("\n")


def database_url(server, name):
    """server: a URI or key=value words."""
    uri = re.match(r"^(postgres(?:ql)?://[^/?]*)(?:/[^?]*)?(\?.*)?$", server)
    if uri:
        return f"{uri.group(1)}/{name}{uri.group(2) or ''}"
    return f"{server} dbname={name}".strip()  # of two the last one counts


# --- the store of a path ---

def store_name(path):
    return f"parley_{_run}_{_databases[os.path.abspath(path)]}"


def variable(path):
    return f"PARLEY_DATABASE_URL_{_databases[os.path.abspath(path)]}"


def make_database(path):
    """Once for each path. The environment names its address to whatever program the test starts."""
    path = os.path.abspath(path)
    with _lock:
        if path in _databases:
            return
        _databases[path] = len(_databases) + 1
        psql(database_url(SERVER, "postgres"), f"CREATE DATABASE {store_name(path)}")
        os.environ[variable(path)] = database_url(SERVER, store_name(path))


def store_yaml(path, folder="."):
    """The configuration's `store` for the store at `path`, relative to the configuration in `folder`."""
    if not ON_POSTGRES:
        return {"driver": "sqlite", "path": path}
    make_database(os.path.join(folder, path))
    return {"driver": "postgres", "url": {"env": variable(os.path.join(folder, path))}}


def store_url(path):
    """The address of the database of the store at `path`."""
    make_database(path)
    return database_url(SERVER, store_name(path))


def store_sql(path, sql):
    """Runs one statement on the store at `path` and returns its rows, lists of texts, whatever the type; NULL is ""."""
    if ON_POSTGRES:
        return [row.split("|") for row in psql(store_url(path), sql).splitlines()]
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as db:
        rows = db.execute(sql).fetchall()
        db.commit()
        return [["" if value is None else str(value) for value in row] for row in rows]


def forget_below(folder):
    """Drops the databases of all stores below a folder: what removing its files is for SQLite."""
    folder = os.path.abspath(folder) + os.sep
    with _lock:
        for path in [path for path in _databases if path.startswith(folder)]:
            drop(path)


def drop(path):
    os.environ.pop(variable(path), None)
    psql(database_url(SERVER, "postgres"), f"DROP DATABASE IF EXISTS {store_name(path)} WITH (FORCE)")
    del _databases[path]


@atexit.register
def forget_all():
    with contextlib.suppress(DatabaseError, OSError):
        forget_below("/")
