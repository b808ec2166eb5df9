"""The rows of bad_inputs.py about databases on PostgreSQL: each function is one, and takes the Stand. Not a test of its own."""

import contextlib
import os
import re

from bad_inputs_cases import write
from bad_inputs_stand import parleyd_with
from parley_postgres_proxy import Proxy
from parley_store import SERVER, database_url, psql, store_url
from parley_test import Daemon, base_config, expect, expect_true, free_port, skip, store_sql, yaml

PASSWORD = "hunter2-never-shown"


def refused(stand, url, *says, remedy=""):
    """parleyd on this database ends with an error that says one of these and what to do, and shows no password."""
    config = base_config(free_port(), {"box": {"plugin": "sink"}}, folder=stand.new_folder())
    config["store"] = {"driver": "postgres", "url": {"env": "BAD_DATABASE_URL"}}
    path = write(stand.new_folder(), "parley.yaml", yaml(config))
    done = parleyd_with(path, env={"BAD_DATABASE_URL": url})
    expect_true(done.returncode not in (0, "it runs") and done.returncode > 0, f"it ends with an error: {done.returncode} {done.stderr}")
    expect_true(any(word in done.stderr for word in says), f"one of {says}: {done.stderr}")
    expect_true(remedy in done.stderr, f"the remedy {remedy!r}: {done.stderr}")
    expect_true(PASSWORD not in done.stderr, f"the password isn't shown: {done.stderr}")


def made_store(stand):
    """The path of a store that a daemon has made and left in order."""
    folder = stand.new_folder()
    with Daemon(folder) as daemon:
        daemon.send("something in it")
        expect(daemon.stop(), 0)
    return os.path.join(folder, "parley.db")


def on_server(sql):
    return psql(database_url(SERVER, "postgres"), sql)


def tables(path):
    return store_sql(path, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1")


def database_of_another_program(stand):
    path = os.path.join(stand.new_folder(), "parley.db")
    store_sql(path, "CREATE TABLE shop(id bigint)")
    refused(stand, store_url(path), "another program")
    expect(tables(path), [["shop"]], "the database is as it was")


def database_newer(stand):
    path = made_store(stand)
    store_sql(path, "UPDATE parley_schema SET version = 999, readable_from = 999")
    refused(stand, store_url(path), "newer")
    expect(store_sql(path, "SELECT version FROM parley_schema"), [["999"]], "it is never migrated down")


def database_second_daemon(stand):
    folder = stand.new_folder()
    with Daemon(folder) as daemon:
        daemon.send("first")
        refused(stand, store_url(os.path.join(folder, "parley.db")), "another parleyd")
        daemon.send("the first one goes on")


def database_missing(stand):
    refused(stand, database_url(SERVER, "parley_nowhere"), "does not exist", remedy="create it (CREATE DATABASE")


def database_unreachable(stand):
    refused(stand, f"host=127.0.0.1 port=1 user=shop dbname=shop password={PASSWORD}", "Connection refused", remedy="is the server running")
    refused(stand, f"host=db.shop.invalid user=shop dbname=shop password={PASSWORD}", "translate host name", remedy="correct the host")
    refused(stand, f"host=127.0.0.1,127.0.0.1 port=1,2 user=shop dbname=shop password={PASSWORD}", "port 2 failed",
            remedy="is the server running, at the host and port of store.url?; store: ")


def database_wrong_password(stand):
    port = re.search(r"port=(\d+)", SERVER)
    if not port:
        skip("the server's port is not in PARLEY_TEST_DATABASE")
    refused(stand, f"host=127.0.0.1 port={port.group(1)} user=shop dbname=shop password={PASSWORD}", "password authentication failed",
            remedy="correct the user or the password")
    refused(stand, f"host=127.0.0.1 port={port.group(1)} user=shop dbname=shop passfile=/dev/null", "no password supplied",
            remedy="store.url needs one")


def database_url_is_none(stand):
    refused(stand, f"postgresql://shop:{PASSWORD}@[::1/shop", "no PostgreSQL connection URI")
    refused(stand, f"shop {PASSWORD}", "no PostgreSQL connection URI")
    refused(stand, f"host=127.0.0.1 port=1 pasword={PASSWORD}", 'invalid connection option "pasword"')


def database_not_utf8(stand):
    on_server("CREATE DATABASE parley_latin ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0")
    with contextlib.ExitStack() as end:
        end.callback(on_server, "DROP DATABASE parley_latin")
        refused(stand, database_url(SERVER, "parley_latin"), "UTF8")


def database_server_too_old(stand):
    """On its way the server's word for its version becomes another one."""
    port = re.search(r"port=(\d+)", SERVER)
    if not port:
        skip("the server's port is not in PARLEY_TEST_DATABASE")
    major = on_server("SHOW server_version").split(".")[0].encode()
    on_server(f"CREATE ROLE parley_old LOGIN PASSWORD '{PASSWORD}'")
    with contextlib.ExitStack() as end, Proxy(int(port.group(1))) as wire:
        end.callback(on_server, "DROP ROLE parley_old")
        wire.swap = (b"server_version\0" + major, b"server_version\0" + b"14")
        refused(stand, f"host=127.0.0.1 port={wire.port} user=parley_old dbname=postgres sslmode=disable password={PASSWORD}",
                "the server is PostgreSQL 14", remedy="15 or newer is needed")


def database_read_only(stand):
    path = made_store(stand)
    name = store_sql(path, "SELECT current_database()")[0][0]
    on_server(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    refused(stand, store_url(path), "read-only", remedy="promote it, or name the primary")


def database_without_rights(stand):
    path = os.path.join(stand.new_folder(), "parley.db")
    store_sql(path, "SELECT 1")
    on_server("CREATE ROLE parley_stranger LOGIN")
    with contextlib.ExitStack() as end:
        end.callback(on_server, "DROP ROLE parley_stranger")
        refused(stand, store_url(path) + " user=parley_stranger", "permission denied", remedy="must own the database")
        expect(tables(path), [], "nothing is made")
