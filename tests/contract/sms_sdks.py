#!/usr/bin/python3
# label: sms
# timeout: 180
"""SMS providers' own libraries: what they send is what we send, byte for byte where it matters, and the callbacks that they hold for
signed are those that we do."""

import hashlib
import hmac
import json
import os
import subprocess
import time
import urllib.parse

from parley_peers import Peer
from parley_sms import ACCOUNT, FROM, PHONE, TOKEN, Twilio
from parley_test import Daemon, Recorder, Reply, expect, expect_true, need_tool, run, test

SECRET = "vonage signature secret"
TEXT = "Señora, \"a&b=c\" – 100 % + 1 €\n✓"
MATTERS = ("authorization", "content-type", "accept")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def sdk():
    return Peer("sms", "tests/contract/sms_sdks.cjs")


def same(theirs, ours, names):
    expect((ours.method, ours.path), (theirs.method, theirs.path))
    for name in names:
        expect((ours.headers.get(name) or "").split(";")[0], (theirs.headers.get(name) or "").split(";")[0].split(",")[0], name)


@test
def twilios_client_and_ours_make_one_request(folder):
    with sdk() as peer, Twilio() as twilio, Daemon(folder, channels={"sms": twilio.channel(mms=True)}, env=Twilio.env) as daemon:
        media = daemon.post("/v1/media", b"\x89PNG\r\n\x1a\n" + bytes(50), headers={"Content-Type": "image/png"}).json["id"]
        content = {"text": TEXT, "media": [{"id": media, "type": "image/png"}]}
        answer = daemon.post("/v1/messages", {"to": PHONE, "topic": "orders", "content": content, "expires_in": "5m"})
        daemon.wait_status(answer.json["id"], "sent")
        ours = twilio.recorder.requests[0]
        fields = urllib.parse.parse_qs(ours.text)
        made = peer.ask({"do": "twilioSend", "account": ACCOUNT, "token": TOKEN, "base": twilio.recorder.url,
                         "message": {"to": PHONE["phone"], "from": FROM, "body": TEXT, "mediaUrl": fields["MediaUrl"],
                                     "validityPeriod": int(fields["ValidityPeriod"][0]),
                                     "statusCallback": f"http://127.0.0.1:{daemon.port}/in/sms/receipts"}})
        expect_true("got" in made, str(made))
        theirs = twilio.recorder.requests[1]
        same(theirs, ours, MATTERS)
        expect(urllib.parse.parse_qs(ours.text), urllib.parse.parse_qs(theirs.text))
        expect(sorted(ours.text.split("&")), sorted(theirs.text.split("&")), "escaped in the same way")


def callbacks(port):
    """name: URL path with query, fields."""
    base = {"MessageSid": "SM1", "From": "+34600111222", "To": FROM, "Body": TEXT, "NumMedia": "0"}
    return {"plain": ("/in/sms", base), "empty value": ("/in/sms", {**base, "Extra": ""}), "query": ("/in/sms?a=1&b=%20x", base),
            "order of names": ("/in/sms", {**base, "ZZ": "1", "aa": "2", "AA": "3", "a_b": "4", "a.b": "5"}),
            "emoji": ("/in/sms", {**base, "Body": "🤔\U0001f468‍\U0001f469"})}


@test
def we_judge_twilios_callbacks_as_its_library_does(folder):
    with sdk() as peer, Twilio() as twilio, Daemon(folder, channels={"sms": twilio.channel()}, env=Twilio.env) as daemon:
        for name, (path, fields) in callbacks(daemon.port).items():
            url = f"http://127.0.0.1:{daemon.port}{path}"
            good = peer.ask({"do": "twilioSign", "token": TOKEN, "url": url, "fields": fields})["got"]
            wrong = peer.ask({"do": "twilioSign", "token": "another", "url": url, "fields": fields})["got"]
            for signature, sent in ((good, fields), (wrong, fields), (good, {**fields, "Body": "x"}), (good[:-2] + "A=", fields), ("", fields)):
                theirs = peer.ask({"do": "twilioJudge", "token": TOKEN, "signature": signature, "url": url, "fields": sent})["got"]
                ours = daemon.post(path, urllib.parse.urlencode(sent).encode(), headers={**FORM, "X-Twilio-Signature": signature}).status
                expect((name, ours), (name, 200 if theirs else 401))
                expect(theirs, signature == good and sent is fields, name)


@test
def a_json_body_is_judged_as_its_library_does(folder):
    with sdk() as peer, Twilio() as twilio, Daemon(folder, channels={"sms": twilio.channel()}, env=Twilio.env) as daemon:
        body = json.dumps({"MessageSid": "SM2", "From": "+34600111222", "Body": TEXT})
        path = f"/in/sms?bodySHA256={hashlib.sha256(body.encode()).hexdigest()}"
        url = f"http://127.0.0.1:{daemon.port}{path}"
        signature = peer.ask({"do": "twilioSign", "token": TOKEN, "url": url, "fields": {}})["got"]
        for sent in (body, body + " ", "{}"):
            theirs = peer.ask({"do": "twilioJudge", "token": TOKEN, "signature": signature, "url": url, "body": sent})["got"]
            ours = daemon.post(path, sent.encode(), headers={"Content-Type": "application/json", "X-Twilio-Signature": signature}).status
            expect((sent, ours), (sent, 200 if theirs else 401))
            expect(theirs, sent == body)


@test
def a_shared_keys_signature_is_judged_as_its_library_does(folder):
    with sdk() as peer, Twilio() as twilio, Daemon(folder, channels={"sms": twilio.channel()}, env=Twilio.env) as daemon:
        fields = {"MessageSid": "SM3", "MessageStatus": "sent"}
        url = f"http://127.0.0.1:{daemon.port}/in/sms/receipts"
        headers = {**FORM, "X-Twilio-Webhooks-Signature-Settings": "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"}
        for algorithm in ("HMAC_SHA256", "HMAC_SHA1"):
            signature = peer.ask({"do": "twilioSign", "token": TOKEN, "url": url, "fields": fields, "algorithm": algorithm})["got"]
            theirs = peer.ask({"do": "twilioJudge", "token": TOKEN, "signature": signature, "url": url, "fields": fields, "algorithm": "HMAC_SHA256"})["got"]
            ours = daemon.post("/in/sms/receipts", urllib.parse.urlencode(fields).encode(), headers={**headers, "X-Twilio-Signature": signature}).status
            expect((algorithm, ours), (algorithm, 200 if theirs else 401))


def vonage_channel(url, **options):
    return {"plugin": "sms-http", "options": {"provider": "vonage", "account": "key1", "secret": {"env": "SMS_SECRET"}, "from": "Shop",
                                              "callback_secret": {"env": "VONAGE_SIGNATURE"}, "base_url": url, **options}}


def vonage_daemon(folder, recorder, **options):
    return Daemon(folder, channels={"sms": vonage_channel(recorder.url, **options)}, env={**Twilio.env, "VONAGE_SIGNATURE": SECRET})


def vonage_taken(request):
    return Reply(body={"message-count": "1", "messages": [{"to": "34600111222", "message-id": "0A1", "status": "0"}]})


@test
def vonages_client_and_ours_make_one_request(folder):
    with sdk() as peer, Recorder(answer=vonage_taken, path="") as vonage, vonage_daemon(folder, vonage) as daemon:
        daemon.wait_status(daemon.send(TEXT, to=PHONE), "sent")
        ours = vonage.requests[0]
        message = {"to": "34600111222", "from": "Shop", "text": TEXT, "type": "unicode", "clientRef": ours.json["client-ref"],
                   "callback": f"http://127.0.0.1:{daemon.port}/in/sms/receipts", "ttl": ours.json["ttl"]}
        made = peer.ask({"do": "vonageSend", "account": "key1", "token": TOKEN, "base": vonage.url, "message": message})
        expect_true("got" in made, str(made))
        theirs = vonage.requests[1]
        same(theirs, ours, ("authorization", "content-type"))
        expect(ours.json, theirs.json)


def vonage_signed(fields, method, secret=SECRET):
    text = "".join(f"&{name}={fields[name].replace('&', '_').replace('=', '_')}" for name in sorted(fields))
    if method == "md5hash":
        return hashlib.md5((text + secret).encode()).hexdigest()
    return hmac.new(secret.encode(), text.encode(), method).hexdigest()


@test
def we_judge_vonages_callbacks_as_its_library_does(folder):
    names = {"md5hash": "MD5HASH", "md5": "MD5HMAC", "sha1": "SHA1HMAC", "sha256": "SHA256HMAC", "sha512": "SHA512HMAC"}
    with sdk() as peer, Recorder(answer=vonage_taken, path="") as vonage, vonage_daemon(folder, vonage) as daemon:
        for method, algorithm in names.items():
            daemon.config["channels"]["sms"]["options"]["signature"] = method
            daemon.kill()
            daemon.start()
            fields = {"messageId": "0A" + method, "msisdn": "34600111222", "to": "Shop", "text": TEXT, "type": "unicode", "timestamp": "1700000000"}
            good = vonage_signed(fields, method)
            for signature, sent in ((good, fields), (good.upper(), fields), (vonage_signed(fields, method, "other"), fields), (good, {**fields, "text": "x"})):
                theirs = peer.ask({"do": "vonageJudge", "signature": signature, "fields": sent, "secret": SECRET, "algorithm": algorithm})
                full = {**sent, "sig": signature}
                as_form = daemon.post("/in/sms", urllib.parse.urlencode(full).encode(), headers=FORM).status
                as_json = daemon.post("/in/sms", full).status
                as_query = daemon.get("/in/sms?" + urllib.parse.urlencode(full)).status
                expect((method, as_form, as_json, as_query), (method, *[200 if theirs["got"] else 401] * 3), str(theirs))
                expect(theirs["got"], signature.lower() == good and sent is fields)


def rsa_key(folder):
    """A private key of an application as a file of its own, and its public half."""
    path = os.path.join(folder, "application.pem")
    subprocess.run([need_tool("openssl"), "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path], check=True,
                   capture_output=True)
    os.chmod(path, 0o600)
    public = subprocess.run(["openssl", "pkey", "-in", path, "-pubout"], check=True, capture_output=True, text=True).stdout
    return path, public


def messages_daemon(folder, recorder, **options):
    return vonage_daemon(folder, recorder, api="messages", **options)


@test
def vonages_client_and_ours_make_one_request_of_the_messages_api(folder):
    path, public = rsa_key(folder)
    taken = Reply(status=202, body={"message_uuid": "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"})
    with sdk() as peer, Recorder(answer=taken, path="") as vonage, \
            messages_daemon(folder, vonage, application="app-1", private_key={"file": path}) as daemon:
        daemon.wait_status(daemon.send(TEXT, to=PHONE), "sent")
        ours = vonage.requests[0]
        message = {"messageType": "text", "channel": "sms", "to": "34600111222", "from": "Shop", "text": TEXT, "clientRef": ours.json["client_ref"],
                   "webhookUrl": f"http://127.0.0.1:{daemon.port}/in/sms/receipts", "webhookVersion": "v1", "ttl": ours.json["ttl"],
                   "sms": {"encodingType": "unicode"}}
        made = peer.ask({"do": "vonageMessage", "account": "key1", "token": TOKEN, "base": vonage.url, "application": "app-1",
                         "key": open(path, encoding="utf-8").read(), "message": message})
        expect_true("got" in made, str(made))
        theirs = vonage.requests[1]
        same(theirs, ours, ("content-type",))
        expect(ours.json, theirs.json)
        claims = [peer.ask({"do": "tokenRead", "key": public, "token": request.headers["authorization"].split(" ")[1]})["got"]
                  for request in (ours, theirs)]
        expect(claims[0]["application_id"], claims[1]["application_id"])
        expect_true(set(claims[0]) >= {"application_id", "iat", "exp", "jti"} and abs(claims[0]["iat"] - time.time()) < 60, str(claims))


@test
def we_judge_the_messages_apis_webhooks_as_its_library_does(folder):
    body = json.dumps({"channel": "sms", "message_uuid": "in-1", "from": "34600111222", "to": "Shop", "message_type": "text", "text": TEXT})
    digest = hashlib.sha256(body.encode()).hexdigest()
    with sdk() as peer, Recorder(path="") as vonage, messages_daemon(folder, vonage) as daemon:
        def post(token):
            return daemon.post("/in/sms", body.encode(), headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"}).status

        for algorithm, secret in (("HS256", SECRET), ("HS256", "other"), ("HS512", SECRET), ("none", "")):
            token = peer.ask({"do": "tokenMake", "claims": {"payload_hash": digest, "api_key": "key1"}, "secret": secret, "algorithm": algorithm})["got"]
            theirs = algorithm == "HS256" and peer.ask({"do": "tokenJudge", "token": token, "secret": SECRET})["got"]
            expect((algorithm, secret, post(token)), (algorithm, secret, 200 if theirs else 401))
        stale = peer.ask({"do": "tokenMake", "claims": {"payload_hash": digest[::-1]}, "secret": SECRET, "algorithm": "HS256"})["got"]
        expect(post(stale), 401, "of another body")
        expect(post("a.b"), 401)
        expect(len(daemon.get("/v1/messages?direction=in").json["items"]), 1)


if __name__ == "__main__":
    run()
