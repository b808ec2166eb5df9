"""A wire between the daemon and a PostgreSQL server that a test can cut, and in which it can make the answer to a COMMIT, or
the COMMIT itself, disappear. One thread a direction. Python's standard library alone.

    with Cluster() as server, Proxy(server.port) as wire:
        url = wire.conninfo(server, server.create_database())
        wire.cut()     # nothing passes, nothing is closed: what a dead network is
        wire.heal()    # goes on, with what has waited in it
        wire.swallow_commit("~doubt-1~", arrives=True)"""

import contextlib
import socket
import struct
import threading

from parley_test import free_port

CHUNK = 1 << 18
TAIL = 512  # of the stream before a chunk: words that lie across two of them are found
COMMIT = b"\0COMMIT\0"  # in the message that asks for it: name, text


class Wire:
    """One connection through the proxy."""

    def __init__(self, proxy, client, server):
        self.proxy = proxy
        self.client = client
        self.server = server
        self.mute = threading.Event()  # what the server says is thrown away, and then the wire breaks
        self.seen = b""  # what the client has said since its newest COMMIT
        for source, target, inspect in ((client, server, self.from_client), (server, client, self.from_server)):
            threading.Thread(target=self.pump, args=(source, target, inspect), daemon=True).start()

    def pump(self, source, target, inspect):
        with contextlib.suppress(OSError):
            while True:
                data = source.recv(CHUNK)
                self.proxy.flows.wait()
                if not data or not inspect(data):
                    break
                target.sendall(data.replace(*self.proxy.swap) if self.proxy.swap else data)
        self.close()

    def from_client(self, data):
        """False: the data and the wire end here."""
        start = max(0, len(self.seen) - TAIL)
        self.seen += data
        at = self.seen.find(COMMIT, start)
        if at < 0:
            return True
        wanted = self.proxy.take_wanted(self.seen[:at])
        self.seen = self.seen[at + len(COMMIT):]
        if wanted is None:
            return True
        if not wanted:
            return False
        self.mute.set()
        return True

    def from_server(self, _):
        return not self.mute.is_set()

    def close(self):
        self.proxy.wires.discard(self)
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                end.close()


class Proxy:
    def __init__(self, server_port):
        self.server_port = server_port
        self.port = free_port()
        self.wires = set()
        self.flows = threading.Event()
        self.flows.set()
        self.lock = threading.Lock()
        self.wanted = None  # (bytes, whether the COMMIT arrives)
        self.swap = None  # (bytes, as many others): what passes says the others instead
        self.listener = None

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self.take_all, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.heal()
        self.break_all()

    def take_all(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                threading.Thread(target=self.take, args=(client,), daemon=True).start()

    def take(self, client):
        self.flows.wait()
        try:
            server = socket.create_connection(("127.0.0.1", self.server_port))
        except OSError:
            client.close()
            return
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.wires.add(Wire(self, client, server))

    def conninfo(self, cluster, database):
        return f"host=127.0.0.1 port={self.port} user=parley password={cluster.password} dbname={database}"

    def cut(self):
        self.flows.clear()

    def heal(self):
        self.flows.set()

    def break_all(self):
        """Every connection ends, as when a machine between is started anew."""
        for wire in list(self.wires):
            wire.close()

    def swallow_commit(self, text, arrives):
        """The next transaction that writes this text: its COMMIT reaches the server and the answer is lost, or it is lost itself.
        Then the connection breaks."""
        with self.lock:
            self.wanted = (text.encode(), arrives)

    def swallowed(self):
        return self.wanted is None

    def take_wanted(self, transaction):
        """None: it passes. Otherwise whether it arrives."""
        with self.lock:
            if self.wanted is None or self.wanted[0] not in transaction:
                return None
            arrives = self.wanted[1]
            self.wanted = None
            return arrives
