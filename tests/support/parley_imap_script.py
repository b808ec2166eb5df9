"""An IMAP server of a test's own that does wrong what it is told to: without TLS, any login, one mailbox. Standard library alone.

    with ImapScript({1: mail, 2: mail}) as server:
        server.refused = {2}; server.fatal = {1} ... server.port, server.mails, server.fetched"""

import re
import socketserver
import threading

REFUSED = b"refused"


class ImapScript:
    def __init__(self, mails):
        self.mails = dict(mails)  # raw mails by UID
        self.refused = set()      # FETCH of these is answered NO
        self.fatal = set()        # FETCH of these ends the connection
        self.fetched = []         # UIDs, each time
        self.logins = 0

    def __enter__(self):
        script = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                self.wfile.write(b"* OK here\r\n")
                for line in self.rfile:
                    tag, _, command = line.decode().strip().partition(" ")
                    answer = script.answer(command)
                    if answer is None:
                        return
                    self.wfile.write(f"{tag} NO it is broken\r\n".encode() if answer == REFUSED
                                     else answer + f"{tag} OK done\r\n".encode())

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, command):
        """None: the connection ends."""
        if command.startswith("CAPABILITY"):
            return b"* CAPABILITY IMAP4rev1 UIDPLUS\r\n"
        if command.startswith("LOGIN"):
            self.logins += 1
        if command.startswith(("SELECT", "EXAMINE")):
            return (f"* {len(self.mails)} EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n"
                    f"* OK [UIDNEXT {max(self.mails, default=0) + 1}] x\r\n").encode()
        if command.startswith("UID SEARCH"):
            first, last = re.search(r"UID (\d+):(\d+|\*)", command).groups()
            return ("* SEARCH" + "".join(f" {uid}" for uid in sorted(self.mails) if uid >= int(first) and
                                         (last == "*" or uid <= int(last))) + "\r\n").encode()
        if command.startswith("UID FETCH"):
            return self.fetch(*re.search(r"FETCH (\d+) .*<(\d+)\.(\d+)>", command).groups())
        if command.startswith("UID EXPUNGE"):
            for first, last in re.findall(r"(\d+)(?::(\d+))?", command):
                for uid in range(int(first), int(last or first) + 1):
                    self.mails.pop(uid, None)
        return b""

    def fetch(self, uid, offset, length):
        self.fetched.append(int(uid))
        if int(uid) in self.fatal:
            return None
        if int(uid) in self.refused:
            return REFUSED
        raw = self.mails[int(uid)]
        piece = raw[int(offset):int(offset) + int(length)]
        return f"* 1 FETCH (UID {uid} RFC822.SIZE {len(raw)} BODY[]<{offset}> {{{len(piece)}}}\r\n".encode() + piece + b")\r\n"
