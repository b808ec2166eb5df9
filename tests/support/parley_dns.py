"""A DNS server of the test's own on a free port of loopback, UDP and TCP: what it is told and nothing else, NXDOMAIN for the rest.

    with DnsServer({"shop.example": {"TXT": ["v=spf1 -all"], "A": ["127.0.0.1"]}}) as dns:
        dns.address      # "127.0.0.1:40123"
        dns.records["_dmarc.shop.example"] = {"TXT": [...]}    # may change at any time
        dns.asked        # [("shop.example", "TXT"), ...]

A record that is None is not answered at all, and "SERVFAIL" fails."""

import socket
import socketserver
import struct
import threading

TYPES = {1: "A", 16: "TXT", 28: "AAAA"}
NUMBERS = {name: number for number, name in TYPES.items()}
UDP_BYTES_MAX = 4096
NXDOMAIN, SERVFAIL = 3, 2


def question_of(packet):
    """(name, type number, where the question ends)."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("ascii", "replace"))
        at += 1 + packet[at]
    kind, = struct.unpack("!H", packet[at + 1:at + 3])
    return ".".join(labels).lower(), kind, at + 5


def value_bytes(kind, value):
    if kind == "TXT":
        data = value.encode()
        pieces = [data[i:i + 255] for i in range(0, len(data), 255)] or [b""]
        return b"".join(bytes([len(piece)]) + piece for piece in pieces)
    return socket.inet_pton(socket.AF_INET if kind == "A" else socket.AF_INET6, value)


def both_servers(stream, datagram):
    """On one port, which has to be free twice."""
    while True:
        tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), stream)
        try:
            return tcp, socketserver.ThreadingUDPServer(tcp.server_address, datagram)
        except OSError:
            tcp.server_close()


class DnsServer:
    def __init__(self, records=None):
        self.records = dict(records or {})
        self.asked = []

    def answer(self, packet):
        """None: silence."""
        name, number, end = question_of(packet)
        kind = TYPES.get(number, str(number))
        self.asked.append((name, kind))
        found = self.records.get(name, {})
        if found is None:
            return None
        code = SERVFAIL if found == "SERVFAIL" else 0 if name in self.records else NXDOMAIN
        values = found.get(kind, []) if code == 0 else []
        body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", number, 1, 60, len(data)) + data
                        for data in (value_bytes(kind, value) for value in values))
        return packet[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(values), 0, 0) + packet[12:end] + body

    def start(self):
        outer = self

        class Datagram(socketserver.BaseRequestHandler):
            def handle(self):
                reply = outer.answer(self.request[0])
                if reply is not None and len(reply) > UDP_BYTES_MAX:
                    reply = reply[:2] + bytes([reply[2] | 2]) + reply[3:6] + bytes(6) + reply[12:question_of(reply)[2]]
                if reply is not None:
                    self.request[1].sendto(reply, self.client_address)

        class Stream(socketserver.StreamRequestHandler):
            def handle(self):
                head = self.rfile.read(2)
                reply = outer.answer(self.rfile.read(struct.unpack("!H", head)[0])) if len(head) == 2 else None
                if reply is not None:
                    self.wfile.write(struct.pack("!H", len(reply)) + reply)

        self.tcp, self.udp = both_servers(Stream, Datagram)
        self.port = self.udp.server_address[1]
        self.address = f"127.0.0.1:{self.port}"
        for server in (self.udp, self.tcp):
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self):
        for server in (self.udp, self.tcp):
            server.shutdown()
            server.server_close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
