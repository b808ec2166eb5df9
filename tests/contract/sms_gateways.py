#!/usr/bin/python3
# label: sms
# timeout: 180
"""The gateways of conf/gateways, each against a recorder that answers and calls back in the shapes of the gateway's own documents: what is
asked of it, what its answers mean, its receipts and messages, and callbacks that are not its own."""

import base64
import hashlib
import hmac
import json
import time
import urllib.parse

from parley_sms import FROM, PHONE, TOKEN, Twilio, basic, form, gateway_channel
from parley_test import Daemon, Recorder, Reply, expect, expect_true, parley, run, test

SECRET = Twilio.env["SMS_CALLBACK_SECRET"]
TEXT = "Señora, \"a&b=c\" {{to}} 100 %"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
DIGITS = PHONE["phone"][1:]


def mac(text):
    return base64.b64encode(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()).decode()


class Stand:
    """One gateway: recorder, daemon, and the callbacks as it sends them."""

    def __init__(self, folder, name, answer, isolation="inline", **options):
        self.recorder = Recorder(answer=answer, path="")
        channel = {**gateway_channel(name, self.recorder.url, **options), "isolation": isolation}
        self.daemon = Daemon(folder, channels={"sms": channel}, env=Twilio.env)

    def __enter__(self):
        self.recorder.start()
        self.daemon.__enter__()
        return self

    def __exit__(self, *what):
        self.daemon.__exit__(*what)
        self.recorder.stop()

    @property
    def base(self):
        return f"http://127.0.0.1:{self.daemon.port}/in/sms"

    def send(self, text=TEXT, *statuses):
        message = self.daemon.send(text, to=PHONE)
        return message, self.daemon.wait_status(message, *(statuses or ("sent",)))

    def asked(self):
        return self.recorder.requests[-1]

    def post(self, path, body, headers):
        return self.daemon.post("/in/sms" + path, body.encode(), headers=headers)

    def check(self, want=0):
        expect(parley(self.daemon, "channel", "check", "sms").returncode == 0, want == 0)
        return self.recorder.requests[-1]

    def inbound(self):
        items = self.daemon.get("/v1/messages?direction=in").json["items"]
        return [item["content"]["text"] for item in items]

    def refused(self, *posts):
        """Each (path, body, headers) is none of the gateway's, and changes nothing."""
        before = self.inbound()
        for path, body, headers in posts:
            expect(self.post(path, body, headers).status, 401, str((path, headers)))
        expect(self.inbound(), before)


@test
def plivo(folder):
    def signed(path, nonce="05429567804466091622"):
        return {**FORM, "X-Plivo-Signature-V2": mac(f"http://127.0.0.1:{stand.daemon.port}/in/sms{path}{nonce}"), "X-Plivo-Signature-V2-Nonce": nonce}

    taken = Reply(status=202, body={"message": "message(s) queued", "message_uuid": ["db3ce55a-7f1d-11e1"], "api_id": "db342550"})
    with Stand(folder, "plivo", taken) as stand:
        message, _ = stand.send()
        asked = stand.asked()
        expect((asked.method, asked.path), ("POST", "/v1/Account/acc/Message/"))
        expect(asked.headers["authorization"], basic("acc", TOKEN))
        expect(asked.json, {"src": FROM[1:], "dst": DIGITS, "text": TEXT, "type": "sms", "url": stand.base + "/receipts", "method": "POST"})
        receipt = {"MessageUUID": "db3ce55a-7f1d-11e1", "To": DIGITS, "From": FROM[1:], "Type": "sms", "Units": "1", "ErrorCode": "000",
                   "DeliveryReportTime": "2023-11-14 22:13:20.123456"}
        stand.refused(("/receipts", urllib.parse.urlencode({**receipt, "Status": "delivered"}), {**signed("/receipts"), "X-Plivo-Signature-V2-Nonce": "1"}),
                      ("/receipts", urllib.parse.urlencode({**receipt, "Status": "delivered"}), FORM))
        for status in ("queued", "delivered", "sent"):
            answer = stand.post("/receipts", urllib.parse.urlencode({**receipt, "Status": status}), signed("/receipts"))
            expect((answer.status, answer.headers["content-type"]), (200, "text/xml"))
        stand.daemon.wait_status(message, "delivered")
        incoming = {"From": DIGITS, "To": FROM[1:], "Type": "sms", "Text": "Where is it?", "MessageUUID": "in-1"}
        for _ in range(2):
            expect(stand.post("", urllib.parse.urlencode(incoming), signed("")).status, 200)
        expect(stand.inbound(), ["Where is it?"])
        stand.recorder.then(Reply(body={"account_type": "standard"}))
        expect(stand.check().path, "/v1/Account/acc/")
        stand.recorder.then(Reply(status=401, body=b"Could not verify your access level"))
        stand.check(want=1)
        stand.recorder.then(Reply(status=400, body={"api_id": "x", "error": "dst parameter not present"}))
        expect_true("dst parameter" in json.dumps(stand.send("two", "failed")[1]), "the error is shown")


@test
def plivo_with_pictures(folder):
    taken = Reply(status=202, body={"message_uuid": ["m-1"]})
    with Stand(folder, "plivo", taken, mms=True) as stand:
        media = [stand.daemon.post("/v1/media", b"\x89PNG\r\n\x1a\n" + bytes(n), headers={"Content-Type": "image/png"}).json["id"] for n in (8, 9)]
        content = {"text": "two", "media": [{"id": item, "type": "image/png"} for item in media]}
        answer = stand.daemon.post("/v1/messages", {"to": PHONE, "topic": "orders", "content": content})
        stand.daemon.wait_status(answer.json["id"], "sent")
        asked = stand.asked().json
        expect((asked["type"], len(asked["media_urls"])), ("mms", 2))


@test
def infobip(folder):
    def status(group, name):
        return {"groupName": group, "name": name, "description": "in words"}

    taken = Reply(body={"bulkId": "b", "messages": [{"messageId": "ib-1", "status": status("PENDING", "PENDING_ACCEPTED"), "destination": DIGITS}]})
    with Stand(folder, "infobip", taken) as stand:
        token = "?" + urllib.parse.urlencode({"token": SECRET}, quote_via=urllib.parse.quote)
        message, _ = stand.send()
        asked = stand.asked()
        expect((asked.method, asked.path, asked.headers["authorization"]), ("POST", "/sms/3/messages", "App " + TOKEN))
        expect(asked.json, {"messages": [{"sender": FROM[1:], "destinations": [{"to": DIGITS}], "content": {"text": TEXT},
                                          "webhooks": {"delivery": {"url": stand.base + "/receipts" + token}}}]})
        receipt = {"results": [{"messageId": "other", "to": "41793026834", "status": status("DELIVERED", "DELIVERED_TO_HANDSET")},
                               {"messageId": "ib-1", "to": DIGITS, "doneAt": "2023-11-14T22:13:20.000+0000", "smsCount": 1,
                                "status": status("DELIVERED", "DELIVERED_TO_HANDSET"), "error": {"groupName": "Ok", "name": "NO_ERROR"}}]}
        headers = {"Content-Type": "application/json"}
        stand.refused(("/receipts", json.dumps(receipt), headers), ("/receipts?token=x", json.dumps(receipt), headers))
        expect(stand.post("/receipts" + token, json.dumps(receipt), headers).status, 200)
        stand.daemon.wait_status(message, "delivered")
        incoming = {"results": [{"messageId": f"in-{n}", "from": DIGITS, "to": FROM[1:], "text": f"text {n}", "cleanText": "x",
                                 "receivedAt": "2023-11-14T22:13:20.000+0000", "smsCount": 1} for n in (1, 2)], "messageCount": 2}
        expect(stand.post(token, json.dumps(incoming), headers).status, 200)
        expect(sorted(stand.inbound()), ["text 1", "text 2"])
        stand.recorder.then(Reply(body={"messages": [{"messageId": "", "status": status("REJECTED", "REJECTED_INVALID_DESTINATION")}]}))
        stand.send("two", "failed")
        expect(stand.send("three", "suppressed")[1]["reason"], "address_suppressed")
        expect(stand.check().path, "/account/1/balance")


@test
def sinch(folder):
    def signed(body, timestamp=None, nonce="01FJA8B4A7BM43YGWSG9GBV067"):
        timestamp = str(int(time.time()) if timestamp is None else timestamp)
        return {"Content-Type": "application/json", "x-sinch-webhook-signature-timestamp": timestamp, "x-sinch-webhook-signature-nonce": nonce,
                "x-sinch-webhook-signature-algorithm": "HmacSHA256", "x-sinch-webhook-signature": mac(f"{body}.{nonce}.{timestamp}")}

    taken = Reply(status=201, body={"id": "01FC66621XXXXX119Z8PMV1QPQ", "to": [DIGITS], "canceled": False, "type": "mt_text"})
    with Stand(folder, "sinch", taken) as stand:
        message, _ = stand.send()
        asked = stand.asked()
        expect((asked.path, asked.headers["authorization"]), ("/xms/v1/acc/batches", "Bearer " + TOKEN))
        expect(asked.json, {"from": FROM[1:], "to": [DIGITS], "body": TEXT, "delivery_report": "per_recipient",
                            "callback_url": stand.base + "/receipts", "client_reference": message})
        receipt = json.dumps({"type": "recipient_delivery_report_sms", "batch_id": "01FC66621XXXXX119Z8PMV1QPQ", "recipient": DIGITS, "code": 0,
                              "status": "Delivered", "at": "2023-11-14T22:13:20.000Z"})
        stand.refused(("/receipts", receipt, signed(receipt, time.time() // 1 - 1000)), ("/receipts", receipt, signed(receipt + " ")),
                      ("/receipts", receipt, {"Content-Type": "application/json"}))
        expect(stand.post("/receipts", receipt, signed(receipt)).status, 200)
        stand.daemon.wait_status(message, "delivered")
        incoming = json.dumps({"type": "mo_text", "id": "in-1", "from": DIGITS, "to": FROM[1:], "body": "hello", "received_at": "2023-11-14T22:13:20.000Z"})
        expect(stand.post("", incoming, signed(incoming)).status, 200)
        binary = json.dumps({"type": "mo_binary", "id": "in-2", "from": DIGITS, "to": FROM[1:], "body": "aGk=", "udh": "00"})
        expect(stand.post("", binary, signed(binary)).status, 200)
        expect(stand.inbound(), ["hello"])
        expect(stand.daemon.metric("parley_plugin_sms_callbacks_unknown", '{channel="sms"}'), 1.0)
        expect(stand.check().path, "/xms/v1/acc/batches?page_size=1")


@test
def forty_six_elks(folder):
    taken = Reply(body={"status": "created", "id": "s17a6dafb12d6b1cabc053d57dac2b9d8", "direction": "outgoing", "parts": 1, "cost": 3500})
    with Stand(folder, "46elks", taken, **{"from": "Shop"}) as stand:
        message, _ = stand.send()
        asked = stand.asked()
        expect((asked.path, asked.headers["authorization"]), ("/a1/sms", basic("acc", TOKEN)))
        expect(form(asked.body), {"from": "Shop", "to": PHONE["phone"], "message": TEXT,
                                  "whendelivered": f"http://user:callback%20secret@127.0.0.1:{stand.daemon.port}/in/sms/receipts"})
        receipt = urllib.parse.urlencode({"id": "s17a6dafb12d6b1cabc053d57dac2b9d8", "status": "delivered", "delivered": "2018-07-13T13:57:23.741000"})
        signed = {**FORM, "Authorization": basic("user", "callback secret")}
        stand.refused(("/receipts", receipt, {**FORM, "Authorization": basic("user", "callback")}), ("/receipts", receipt, {**FORM, "Authorization": "Basic ="}))
        expect(stand.post("/receipts", receipt, signed).status, 200)
        stand.daemon.wait_status(message, "delivered")
        incoming = urllib.parse.urlencode({"direction": "incoming", "id": "in-1", "from": PHONE["phone"], "to": FROM, "message": "How are you?",
                                           "created": "2018-07-13T13:57:23.741000"})
        answer = stand.post("", incoming, signed)
        expect((answer.status, answer.body), (200, b""), "a body would be sent to the customer")
        expect(stand.inbound(), ["How are you?"])


@test
def a_description_is_the_same_to_a_plugin_in_a_process_of_its_own(folder):
    taken = Reply(body={"id": "s17"})
    with Stand(folder, "46elks", taken, isolation="process") as stand:
        message, _ = stand.send()
        expect(form(stand.asked().body)["message"], TEXT)
        signed = {**FORM, "Authorization": basic("user", "callback secret")}
        expect(stand.post("/receipts", "id=s17&status=failed", {**FORM, "Authorization": "Basic eA=="}).status, 401)
        expect(stand.post("/receipts", "id=s17&status=delivered", signed).status, 200)
        stand.daemon.wait_status(message, "delivered")


if __name__ == "__main__":
    run()
