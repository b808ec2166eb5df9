"""A reader of server-sent events as a browser's EventSource is one (WHATWG HTML, section 9.2): it parses the stream, keeps the
last event id, and comes back after `retry:` whenever the connection ends. Python's standard library alone.

    with EventSource(daemon.port, "/v1/events") as source:
        source.wait_for(lambda event: event.type == "message.received")"""

import http.client
import json
import socket
import threading
import time

from parley_test import KEY, WAIT_S, Failure

RETRY_S = 3.0  # until the server says another
READ_S = 60


class Event:
    def __init__(self, event_id, event_type, data):
        self.id = event_id
        self.type = event_type
        self.data = data

    @property
    def json(self):
        return json.loads(self.data)

    def __repr__(self):
        return f"<{self.type} {self.data[:80]}>"


class EventSource:
    """Reads on a thread of its own until close(). A refusal (any status but 200) ends it for good, as it does in a browser;
    `refused` is its answer then. headers: what a browser couldn't send; key None leaves the Authorization out."""

    def __init__(self, port, path, key=KEY, headers=None, last_id=""):
        self.port = port
        self.path = path
        self.headers = {"Accept": "text/event-stream", "Cache-Control": "no-store", **(headers or {})}
        if key is not None:
            self.headers["Authorization"] = f"Bearer {key}"
        self.last_id = last_id
        self.retry_s = RETRY_S
        self.events = []
        self.opened = 0
        self.answer_headers = None
        self.refused = None
        self.changed = threading.Condition()
        self.ending = threading.Event()
        self.connection = None
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.ending.set()
        self.cut()
        self.thread.join(timeout=10)

    def cut(self):
        """What a network that goes away does."""
        connection = self.connection
        if connection is not None and connection.sock is not None:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def run(self):
        while not self.ending.is_set() and self.refused is None:
            try:
                self.read_one_connection()
            except (OSError, http.client.HTTPException, ValueError):
                pass
            self.ending.wait(self.retry_s)

    def read_one_connection(self):
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=READ_S)
        try:
            more = {"Last-Event-ID": self.last_id} if self.last_id else {}
            self.connection.request("GET", self.path, headers={**self.headers, **more})
            answer = self.connection.getresponse()
            with self.changed:
                self.answer_headers = answer.headers
                if answer.status != 200 or not answer.headers["Content-Type"].startswith("text/event-stream"):
                    self.refused = (answer.status, answer.read())
                else:
                    self.opened += 1
                self.changed.notify_all()
            if self.refused is None:
                self.read_stream(answer)
        finally:
            self.connection.close()

    def read_stream(self, answer):
        """One event after the other; what stands before an end that is not an empty line is thrown away."""
        event_id, event_type, data = self.last_id, "", []
        while True:
            line = answer.readline()
            if not line.endswith(b"\n"):
                return
            name, _, value = line.decode("utf-8").rstrip("\r\n").partition(":")
            value = value.removeprefix(" ")
            if line in (b"\n", b"\r\n"):
                self.dispatch(event_id, event_type, data)
                event_type, data = "", []
            elif name == "data":
                data.append(value)
            elif name == "event":
                event_type = value
            elif name == "id" and "\0" not in value:
                event_id = value
            elif name == "retry" and value.isdigit():
                self.retry_s = int(value) / 1000

    def dispatch(self, event_id, event_type, data):
        with self.changed:
            self.last_id = event_id
            if data:
                self.events.append(Event(event_id, event_type or "message", "\n".join(data)))
                self.changed.notify_all()

    def wait(self, condition, what, timeout_s=WAIT_S):
        deadline = time.monotonic() + timeout_s
        with self.changed:
            while not condition(self):
                if not self.changed.wait(max(0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                    raise Failure(f"after {timeout_s} s still not: {what} ({len(self.events)} events, refused {self.refused})")

    def wait_open(self, count=1, timeout_s=WAIT_S):
        self.wait(lambda source: source.opened >= count or source.refused, f"opened {count} times", timeout_s)
        if self.refused:
            raise Failure(f"the stream was refused: {self.refused}")

    def wait_for(self, predicate, count=1, timeout_s=WAIT_S):
        self.wait(lambda source: sum(map(predicate, source.events)) >= count, f"{count} such events", timeout_s)
        with self.changed:
            return [event for event in self.events if predicate(event)]

    def ids(self):
        with self.changed:
            return [event.json["id"] for event in self.events]
