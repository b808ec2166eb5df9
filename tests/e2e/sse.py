#!/usr/bin/python3
# label: spine
# timeout: 240
# build: debug asan
"""The event stream as a browser reads it: over kill -9 and restart without gap or double, with tickets, and with a reader
that falls behind."""

import calendar
import http.client
import socket
import threading
import time

from parley_sse import EventSource
from parley_test import KEY, Client, Daemon, Ledger, Load, Recorder, expect, expect_true, post_inbound, run, test, wait_until

KILLS = 3
TEXT_BYTES = 200000
SLOW_EVENTS = 120  # of TEXT_BYTES: well above what the two sockets' buffers and the limit of 1 MiB hold


def all_events(daemon, after=None, types=None):
    """Every event of the log behind `after`, by pages."""
    found, more = [], f"&after={after}" if after else ""
    more += f"&types={types}" if types else ""
    path = f"/v1/events?limit=200{more}"
    while path:
        page = daemon.get(path).json
        found += page["items"]
        path = f"/v1/events?limit=200&after={page['next']}" + (f"&types={types}" if types else "") if page["next"] else None
    return found


def cursor_now(daemon):
    path = "/v1/events?limit=200"
    while True:
        page = daemon.get(path).json
        if page["next"] is None:
            return page["cursor"]
        path = f"/v1/events?limit=200&after={page['next']}"


@test
def a_browser_follows_over_kill_9_and_restart_without_gap_or_double(folder):
    with Recorder() as shop, Daemon(folder, channels={"hook": shop.channel()}) as daemon:
        first = daemon.send("before")
        daemon.wait_status(first, "sent")
        begin = cursor_now(daemon)
        with EventSource(daemon.port, f"/v1/events?after={begin}") as source:
            source.wait_open()
            expect(source.answer_headers["Content-Type"].split(";")[0], "text/event-stream")
            ledger = Ledger()
            with Load(daemon, ledger, threads=2, pace_s=0.01):
                for kill in range(KILLS):
                    seen = len(source.events)
                    source.wait(lambda source: len(source.events) >= seen + 30, "the stream flows")
                    daemon.restart()
                    source.wait_open(kill + 2)
                source.wait(lambda source: len(source.events) >= seen + 60, "the stream flows again")
            expect(source.retry_s, 2.0, "the server says when to come back")
            wait_until(lambda: settled(daemon, ledger), "every accepted message has ended", 60)
            want = [event["id"] for event in all_events(daemon, begin)]
            source.wait(lambda source: len(source.events) >= len(want), f"all {len(want)} events")
            expect(source.ids(), want, "the stream, event by event, is the log")
            expect_true(len(want) > 100, f"enough happened: {len(want)} events")
            expect(source.opened, KILLS + 1, "connections")


def settled(daemon, ledger):
    return all(daemon.message_state(message_id)["status"] == "sent" for message_id in ledger.accepted_ids().values())


@test
def a_stream_begins_now_and_after_a_cursor_or_an_event_id_behind_it(folder):
    with Recorder() as shop, Daemon(folder, channels={"hook": shop.channel()}) as daemon:
        post_inbound(daemon, "hook", {"id": "old", "from": {"email": "ana@example.org"}, "text": "old"})
        events = all_events(daemon)
        with EventSource(daemon.port, "/v1/events") as now, \
                EventSource(daemon.port, f"/v1/events?after={events[0]['id']}") as behind, \
                EventSource(daemon.port, "/v1/events", last_id=cursor_now(daemon)) as again, \
                EventSource(daemon.port, "/v1/events?types=message.received") as some:
            for source in (now, behind, again, some):
                source.wait_open()
            behind.wait(lambda source: source.ids() == [event["id"] for event in events[1:]], "what came after that event")
            post_inbound(daemon, "hook", {"id": "new", "from": {"email": "eva@example.org"}, "text": "new"})
            want = [event["id"] for event in all_events(daemon)][len(events):]
            expect_true(len(want) > 1, "several events")
            for source in (now, again):
                source.wait(lambda source: source.ids() == want, f"only what is new: {want}")
            received = some.wait_for(lambda event: True)
            expect([(event.type, event.json["type"]) for event in received], [("message.received",) * 2])
            expect(received[0].json["data"]["message"]["content"]["text"], "new")
            behind.wait(lambda source: source.ids() == [event["id"] for event in events[1:]] + want, "and what is new")


@test
def a_ticket_opens_the_stream_to_a_page_of_the_configured_origin_and_nothing_else(folder):
    def origins(config):
        config["server"]["origins"] = ["https://desk.example"]

    with Daemon(folder, config=origins) as daemon:
        key = daemon.post("/v1/keys", {"name": "desk", "scopes": ["events:read"]}).json
        client = Client(daemon.port, key=key["secret"])
        made = client.post("/v1/events/tickets", {})
        expect(made.status, 201, made.text)
        ticket = made.json["ticket"]
        hours = (calendar_s(made.json["expires_at"]) - time.time()) / 3600
        expect_true(11.9 < hours < 12.1, f"12 hours: {hours}")
        path = f"/v1/events?ticket={ticket}"
        with EventSource(daemon.port, path, key=None, headers={"Origin": "https://desk.example"}) as source:
            source.wait_open()
            expect(source.answer_headers["Access-Control-Allow-Origin"], "https://desk.example")
            daemon.send("hello")
            source.wait_for(lambda event: True)
        with EventSource(daemon.port, path, key=None, headers={"Origin": "https://evil.example"}) as source:
            source.wait_open()
            expect(source.answer_headers["Access-Control-Allow-Origin"], None)
        spoilt = ticket[:-1] + ("A" if ticket[-1] != "A" else "B")
        for wrong in (f"/v1/events?ticket={spoilt}", "/v1/events?ticket=", "/v1/events", f"/v1/messages?ticket={ticket}"):
            expect_true(refusal(daemon, wrong)[0] == 401, f"{wrong} is refused")
        expect(daemon.delete(f"/v1/keys/{key['id']}").status, 204)
        expect(refusal(daemon, path)[0], 401, "a ticket is worth what its key is worth now")
        client.close()


def calendar_s(text):
    return calendar.timegm(time.strptime(text.split(".")[0].rstrip("Z"), "%Y-%m-%dT%H:%M:%S"))


def refusal(daemon, path, **more):
    with EventSource(daemon.port, path, key=more.pop("key", None), **more) as source:
        source.wait(lambda source: source.refused or source.opened, "an answer")
        return source.refused


@test
def a_cursor_that_is_made_up_is_400_and_one_of_what_is_gone_410(folder):
    with Daemon(folder) as daemon:
        daemon.send("hello")
        wait_until(lambda: all_events(daemon), "an event is there")
        expect(refusal(daemon, "/v1/events?after=AAAA", key=KEY)[0], 400)
        expect(refusal(daemon, "/v1/events", key=KEY, last_id="made-up")[0], 400)
        expect(refusal(daemon, "/v1/events?after=evt_0000000000001", key=KEY)[0], 410)
        answer = daemon.get("/v1/events?after=evt_0000000000001")
        expect((answer.status, answer.json["code"]), (410, "cursor_expired"))


class SlowReader:
    """Opens the stream by hand and reads one event, then nothing."""

    def __init__(self, daemon, key):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", daemon.port))
        self.socket.sendall(f"GET /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n"
                            "Accept: text/event-stream\r\n\r\n".encode())
        self.answer = http.client.HTTPResponse(self.socket)
        self.answer.begin()

    def read_event(self):
        """(id, data) of the next event; None at the end of the stream."""
        event_id, data = None, ""
        while True:
            line = self.answer.readline()
            if not line:
                return None
            if line == b"\n" and data:
                return event_id, data
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                event_id = value
            elif name == "data":
                data += value


@test
def a_reader_that_falls_behind_is_cut_and_goes_on_where_it_was(folder):
    with Recorder() as shop, Daemon(folder, channels={"hook": shop.channel()}) as daemon:
        slow = SlowReader(daemon, KEY)
        expect(slow.answer.status, 200)
        with EventSource(daemon.port, "/v1/events?types=message.received") as quick:
            quick.wait_open()
            post_text(daemon, 0, "first")
            last_id, _ = slow.read_event()
            for number in range(1, SLOW_EVENTS):
                post_text(daemon, number, "x" * TEXT_BYTES)
                quick.wait_for(lambda event: True, number + 1)
            wait_until(lambda: daemon.metric("parley_feed_readers_cut_total") == 1.0, "the slow reader is cut")
            expect(quick.opened, 1, "its neighbour isn't")
        while True:  # what lay in the buffers when it was cut
            try:
                event = slow.read_event()
            except (OSError, http.client.HTTPException, ValueError):
                break
            if event is None:
                break
            last_id = event[0]
        rest = all_events(daemon, last_id)
        with EventSource(daemon.port, "/v1/events", last_id=last_id) as source:
            source.wait(lambda source: len(source.events) >= len(rest), f"the rest, {len(rest)} events", 60)
            expect(source.ids(), [event["id"] for event in rest], "no gap, no double")
            expect_true(len(rest) > 0, "there was something to catch up with")
            expect(source.opened, 1, "catching up is not falling behind")


def post_text(daemon, number, text):
    answer = post_inbound(daemon, "hook", {"id": f"in-{number}", "from": {"email": "ana@example.org"}, "text": text})
    expect(answer.status, 200, answer.text)


@test
def a_network_that_goes_away_costs_nothing(folder):
    with Recorder() as shop, Daemon(folder, channels={"hook": shop.channel()}) as daemon:
        with EventSource(daemon.port, "/v1/events?types=message.received") as source:
            source.wait_open()
            ending = threading.Event()
            for number in range(40):
                post_text(daemon, number, f"number {number}")
                if number % 15 == 10:
                    source.cut()
                ending.wait(0.05)
            source.wait_for(lambda event: True, 40)
            texts = [event.json["data"]["message"]["content"]["text"] for event in source.events]
            expect(texts, [f"number {number}" for number in range(40)])
        wait_until(lambda: daemon.metric("parley_feed_readers") == 0.0, "no reader is left")


@test
def a_daemon_that_stops_ends_its_streams_at_once(folder):
    with Daemon(folder) as daemon:
        with EventSource(daemon.port, "/v1/events") as source:
            source.wait_open()
            began = time.monotonic()
            expect(daemon.stop(), 0)
            expect_true(time.monotonic() - began < 8, "it doesn't wait for readers")
            daemon.start()
            source.wait_open(2)


run()
