"""An SMTP server that is not ours, for tests: tests/support/smtp_sink.py as a process. Python's standard library alone."""

import json
import os
import subprocess

from parley_test import TOP


class Mail:
    """python3-aiosmtpd on a port of its own; every mail is one line of JSON."""

    def __init__(self, *options, port=0):
        self.process = subprocess.Popen(["/usr/bin/python3", os.path.join(TOP, "tests/support/smtp_sink.py"), "--port",
                                         str(port), *options], stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.process.stdout.readline())["port"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    def next(self):
        return json.loads(self.process.stdout.readline())

    def channel(self, **options):
        return {"plugin": "email", "options": {"smtp": f"smtp://127.0.0.1:{self.port}", "from": "Shop <orders@shop.example>",
                                               **options}}
