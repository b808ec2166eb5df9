"""What tests of SMS over SMPP share: a message centre that is not ours (npm's smpp, told what to do), and a channel that binds to it.

    with Centre() as centre, Daemon(folder, channels={"sms": centre.channel(folder)}) as daemon: ..."""

import os

from parley_peers import Peer
from parley_test import wait_until

USER = "shop"
PASSWORD = "s3cret08"
FROM = "+34600999888"


def password_file(folder, password=PASSWORD):
    path = os.path.join(folder, "smpp-password")
    with open(path, "w", encoding="ascii") as file:
        file.write(password)
    os.chmod(path, 0o600)
    return path


class Centre(Peer):
    def __init__(self, **options):
        super().__init__("smpp", "tests/contract/smpp_centre.cjs")
        self.options = {"user": USER, "password": PASSWORD, **options}

    def __enter__(self):
        self.listen()
        return self

    def listen(self, port=0):
        self.port = self.ask({"do": "listen", **self.options, "port": port})["port"]

    def tell(self, do, **more):
        return self.ask({"do": do, **more})

    def seen(self):
        return self.ask({"do": "seen"})

    def submits(self, count=1):
        """The messages it was given, once there are so many."""
        return wait_until(lambda: (lambda all: all if len(all) >= count else None)(self.seen()["submits"]), lambda: f"{count} submits, "
                          f"but {self.seen()['submits']}")

    def reply(self, sequence):
        """What deliver_sm of this sequence was answered with."""
        return wait_until(lambda: [row for row in self.seen()["replies"] if row["sequence"] == sequence], f"an answer to {sequence}")[0]

    def channel(self, folder, scheme="smpp", host="127.0.0.1", rate=None, **options):
        made = {"plugin": "smpp", "options": {"url": f"{scheme}://{host}:{self.port}", "user": USER, "from": FROM,
                                              "password": {"file": password_file(folder)}, **options}}
        if rate:
            made["rate"] = rate
        return made

    def message(self, text, **pdu):
        """A customer's message; returns its sequence."""
        return self.tell("send", pdu={"source_addr_ton": 1, "source_addr_npi": 1, "source_addr": "34600111222",
                                      "destination_addr": "34600999888", "short_message": text, **pdu})["sequence"]
