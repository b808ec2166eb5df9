"""A provider of SMS by HTTP, played: takes messages as Twilio does, signs callbacks as Twilio does. Python's standard library alone.

    with Twilio() as twilio, Daemon(folder, channels={"sms": twilio.channel()}, config=twilio.config) as daemon:"""

import base64
import hashlib
import hmac
import itertools
import json
import os
import threading
import urllib.parse

from parley_test import Recorder, Reply

ACCOUNT = "AC00000000000000000000000000000001"
TOKEN = "twilio-token-of-the-tests"
FROM = "+15005550006"
PHONE = {"phone": "+34600111222"}
GATEWAYS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "conf", "gateways")


def form(body):
    """A form's fields; of those that are there several times, a list."""
    read = urllib.parse.parse_qs(body.decode() if isinstance(body, bytes) else body, keep_blank_values=True)
    return {name: values[0] if len(values) == 1 else values for name, values in read.items()}


def twilio_signature(url, fields, token=TOKEN):
    text = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Twilio:
    """Takes messages, each under a Sid of its own; then(Reply) scripts the next answers."""

    def __init__(self):
        self.sids = (f"SM{n:032x}" for n in itertools.count(1))
        self.lock = threading.Lock()
        self.before_answer = None  # called with the Sid before the answer leaves
        self.recorder = Recorder(answer=self.reply, path="")

    def __enter__(self):
        self.recorder.start()
        return self

    def __exit__(self, *_):
        self.recorder.stop()

    def reply(self, request):
        if request.method == "GET":
            return Reply(body={"status": "active"})
        with self.lock:
            sid = next(self.sids)
        request.sid = sid
        if self.before_answer:
            self.before_answer(sid)
        return Reply(status=201, body={"sid": sid, "status": "queued"})

    def channel(self, isolation="inline", **options):
        return {"plugin": "sms-http", "isolation": isolation,
                "options": {"provider": "twilio", "account": ACCOUNT, "secret": {"env": "SMS_SECRET"}, "from": FROM,
                            "base_url": self.recorder.url, **options}}

    env = {"SMS_SECRET": TOKEN, "SMS_CALLBACK_SECRET": "user:callback secret"}

    def sent(self, count=1):
        """The messages that came here, as forms."""
        return [form(request.body) for request in self.recorder.wait_for(lambda r: r.method == "POST", count)]

    @staticmethod
    def call(daemon, fields, path="/in/sms", token=TOKEN, **more):
        url = f"http://127.0.0.1:{daemon.port}{path}"
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": twilio_signature(url, fields, token)}
        return daemon.post(path, urllib.parse.urlencode(fields).encode(), headers=headers, **more)

    def status(self, daemon, sid, status, **more):
        return self.call(daemon, {"MessageSid": sid, "MessageStatus": status, "AccountSid": ACCOUNT, **more}, "/in/sms/receipts")

    def inbound(self, daemon, text, sid="SMin0001", **more):
        return self.call(daemon, {"MessageSid": sid, "SmsStatus": "received", "From": PHONE["phone"], "To": FROM, "Body": text,
                                  "NumMedia": "0", **more})


def gateway_channel(name, url, **options):
    """A channel by a description of conf/gateways."""
    return {"plugin": "sms-http",
            "options": {"provider": "gateway", "gateway": {"file": os.path.join(GATEWAYS, name + ".yaml")}, "account": "acc", "base_url": url,
                        "secret": {"env": "SMS_SECRET"}, "callback_secret": {"env": "SMS_CALLBACK_SECRET"}, "from": FROM, **options}}


def as_json(value):
    return json.dumps(value).encode()
