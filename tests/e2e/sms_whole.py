#!/usr/bin/python3
# label: sms
# timeout: 120
"""A shop's SMS from end to end, over a message centre that is not ours (npm's smpp) and over an HTTP gateway by its description
(conf/gateways/plivo.yaml): yesterday's mail and its answer, a confirmation of three segments, receipts in odd order, an answer that lands
in the conversation with the mail in it, STOP in the shop's language, the refused next send with its reason, START. And what somebody sees
who sets it up: national numbers, prices, plain characters, a wrong password, a wrong token, a centre that is not there yet."""

import base64
import email.message
import hashlib
import hmac
import itertools
import json
import signal
import smtplib
import urllib.parse

from parley_smpp import Centre, password_file
from parley_sms import gateway_channel
from parley_smtp import Mail
from parley_test import Daemon, Recorder, Reply, expect, expect_true, free_port, parley, run, test, wait_until

NATIONAL, NUMBER, DIGITS = "612 34 56 78", "+34612345678", "34612345678"
CONFIRMATION = ("Hola Ana, su pedido 1042 sale hoy. " * 12).strip()  # three segments of 153
TOKEN = "plivo-token-of-the-tests"
PRICES = [{"prefix": "34", "price": "0.045", "currency": "EUR"}, {"price": "0.09", "currency": "EUR"}]


class Bind:
    """SMS over SMPP, as the story needs it."""
    parts = 3  # ids and receipts of the confirmation
    env = {}

    def __init__(self, folder):
        self.folder, self.centre, self.daemon = folder, Centre(), None

    def __enter__(self):
        self.centre.__enter__()
        return self

    def __exit__(self, *what):
        return self.centre.__exit__(*what)

    def channel(self):
        made = self.centre.channel(self.folder)
        made["options"]["prices"] = PRICES
        return made

    def sent(self, count):
        """Texts in the order they came, and their ids."""
        rows = self.centre.submits(count)
        expect({row["to"] for row in rows}, {DIGITS})
        return [row["text"] for row in rows], [row["id"] for row in rows]

    def receipt(self, ident, done=True):
        state = "DELIVRD" if done else "ACCEPTD"
        text = f"id:{ident} sub:001 dlvrd:001 submit date:2611271842 done date:2611271843 stat:{state} err:000 text:Hola"
        expect(self.centre.reply(self.centre.message(text, esm_class=4, source_addr=DIGITS))["status"], 0)

    def says(self, text):
        sequence = self.centre.message(text, source_addr=DIGITS, data_coding=8)
        expect(self.centre.reply(sequence)["status"], 0)


class Gateway:
    """SMS over HTTP, by the description of a gateway. It gets long texts whole, and signs what it posts."""
    parts = 1
    env = {"SMS_SECRET": TOKEN}

    def __init__(self, folder):
        self.folder, self.daemon = folder, None
        self.ids = (f"uuid-{number}" for number in itertools.count(1))
        self.came = (f"in-{number}" for number in itertools.count(1))
        self.recorder = Recorder(answer=self.answer, path="")

    def __enter__(self):
        self.recorder.start()
        return self

    def __exit__(self, *_):
        self.recorder.stop()

    def answer(self, request):
        if request.headers["authorization"] != "Basic " + base64.b64encode(f"acc:{TOKEN}".encode()).decode():
            return Reply(status=401, body=b"Could not verify your access level for that URL.")
        request.ident = next(self.ids) if request.method == "POST" else None
        return Reply(status=202, body={"message": "message(s) queued", "message_uuid": [request.ident], "api_id": "api"})

    def channel(self):
        made = gateway_channel("plivo", self.recorder.url, prices=PRICES)
        del made["options"]["callback_secret"]
        return made

    def sent(self, count):
        posts = self.recorder.wait_for(lambda request: request.method == "POST", count)
        expect({request.json["dst"] for request in posts}, {DIGITS})
        return [request.json["text"] for request in posts], [request.ident for request in posts]

    def post(self, path, **fields):
        url, nonce = f"http://127.0.0.1:{self.daemon.port}{path}", "05429567804466091622"
        made = base64.b64encode(hmac.new(TOKEN.encode(), (url + nonce).encode(), hashlib.sha256).digest()).decode()
        answer = self.daemon.post(path, urllib.parse.urlencode(fields).encode(), headers={
            "Content-Type": "application/x-www-form-urlencoded", "X-Plivo-Signature-V2": made, "X-Plivo-Signature-V2-Nonce": nonce})
        expect(answer.status, 200, answer.text)

    def receipt(self, ident, done=True):
        self.post("/in/sms/receipts", MessageUUID=ident, Status="delivered" if done else "sent", To=DIGITS, Units="3")

    def says(self, text):
        self.post("/in/sms", MessageUUID=next(self.came), Type="sms", From=DIGITS, To="15005550006", Text=text)


class Shop:
    """The daemon with mail both ways beside SMS, in Spanish, as the documentation says."""

    def __init__(self, folder, way):
        self.way, self.mail, self.lmtp = way, Mail(), free_port()
        self.folder = folder

    def __enter__(self):
        self.way.__enter__()
        self.mail.__enter__()
        mail = self.mail.channel(reply="reply@in.shop.example",
                                 listen={"address": f"127.0.0.1:{self.lmtp}", "domains": ["in.shop.example"]})
        self.daemon = Daemon(self.folder, channels={"mail": mail, "sms": self.way.channel()}, config=self.config, env=self.way.env)
        self.way.daemon = self.daemon
        self.daemon.__enter__()
        return self

    def __exit__(self, *what):
        self.daemon.__exit__(*what)
        self.mail.__exit__(*what)
        self.way.__exit__(*what)

    @staticmethod
    def config(conf):
        conf["defaults"] = {"country": "ES", "locale": "es", "timezone": "Europe/Madrid"}
        conf["plans"] = {"default": [{"channel": "mail"}], "orders": [{"channel": "sms"}]}
        conf["keywords"] = {"stop": ["baja"], "start": ["alta"]}

    def cli(self, *words, code=0):
        ran = parley(self.daemon, *words)
        expect(ran.returncode, code, ran.stdout + ran.stderr)
        return ran.stdout

    def send(self, text):
        return self.cli("send", "--to", "external:shop-77", "--topic", "orders", "--text", text).split()[0]

    def talks(self):
        return self.daemon.get("/v1/conversations").json["items"]


def mail_and_its_answer(shop):
    answer = shop.daemon.post("/v1/messages", {"to": {"external": "shop-77", "email": "ana@example.org", "phone": NATIONAL}, "topic": "orders",
                                               "channels": ["mail"], "content": {"subject": "Pedido 1042", "text": "Gracias, Ana."}})
    expect(answer.status, 202, answer.text)
    came = next(value for name, value in shop.mail.next()["headers"] if name.lower() == "reply-to")
    made = email.message.EmailMessage()
    made["From"], made["To"], made["Subject"], made["Message-ID"] = "ana@example.org", came, "Re: Pedido 1042", "<a1@example.org>"
    made.set_content("Gracias. Espero el aviso.")
    with smtplib.LMTP("127.0.0.1", shop.lmtp, timeout=20) as session:
        session.send_message(made)
    return wait_until(shop.talks, "the mail opens a conversation")[0]["id"]


def confirmation_is_delivered(shop):
    """In three segments; the last receipt first, one of them twice, one that comes late and says less."""
    way = shop.way
    message = shop.send(CONFIRMATION)
    shop.daemon.wait_status(message, "sent")
    texts, ids = way.sent(way.parts)
    expect(len(ids), way.parts)
    expect("".join(texts), CONFIRMATION)
    for ident in (ids[-1], ids[-1], *ids[1:-1]):
        way.receipt(ident, way.parts > 1)
    state = shop.daemon.message_state(message)
    expect(state["status"], "sent")
    shown = shop.cli("status", message)
    expect_true("3 segments of gsm7, EUR 0.135 (0.045 each)" in shown, shown)
    expect_true("sent, partial 2/3" in shown or way.parts == 1, shown)
    way.receipt(ids[0])
    way.receipt(ids[0], False)
    state = shop.daemon.wait_status(message, "delivered")
    if way.parts > 1:
        expect([(int(part["provider_id"], 16), part["status"]) for part in state["deliveries"][0]["parts"]], [(int(ident, 16), "delivered") for ident in ids])
    expect(state["decision"]["plan"][0]["segments"], 3)


def answer_joins(shop, talk):
    shop.way.says("¿Puede ser mañana? ❤")
    wait_until(lambda: "¿Puede ser mañana? ❤" in shop.cli("inbox", "show", talk), "the answer in the conversation")
    expect([row["id"] for row in shop.talks()], [talk], "one conversation")
    shown = shop.cli("inbox", "show", talk)
    order = [shown.index(text) for text in ("¿Puede ser", "Hola Ana", "Espero el aviso", "Gracias, Ana.")]
    expect(order, sorted(order), shown)


def stop_holds_until_start(shop):
    way, base = shop.way, len(shop.way.sent(1)[0])
    way.says("Baja.")
    wait_until(lambda: way.sent(base + 1), "the confirmation")
    refused = shop.send("Su pedido llega hoy")
    shown = shop.cli("status", refused)
    expect_true("suppressed: opted_out" in shown and "has said STOP: parley suppression list" in shown, shown)
    words = ("explain", "--to", f"phone:{NATIONAL}", "--topic", "orders", "--text", "Su pedido llega hoy")
    shown = shop.cli(*words)
    expect_true(shown.startswith("suppressed: opted_out\n") and "1. sms  - opted_out\n     this address has said STOP" in shown, shown)
    expect_true(NUMBER in shop.cli("suppression", "list", "--reason", "opted_out"), "it is listed")
    expect_true("*/sms, sms_stop" in shop.cli("customer", "timeline", "external:shop-77"), "the ledger")
    way.says("alta")
    wait_until(lambda: way.sent(base + 2), "the confirmation of START")
    expect_true(shop.cli(*words).startswith("send"), "it is allowed again")
    message = shop.send("Su pedido llega hoy")
    shop.daemon.wait_status(message, "sent")
    texts, _ = way.sent(base + 3)
    expect(texts[-1], "Su pedido llega hoy")
    expect(len(texts), base + 3, f"each confirmation is one segment, and nothing else came: {texts[base:]}")


def other_words_are_for_a_person(shop):
    shop.way.says("por favor dejen de mandarme mensajes")
    wait_until(lambda: "may mean opt_out" in shop.cli("customer", "timeline", "external:shop-77"), "it is marked")
    shop.daemon.wait_status(shop.send("Su pedido ha llegado"), "sent")


def story(folder, way):
    with Shop(folder, way(folder)) as shop:
        talk = mail_and_its_answer(shop)
        confirmation_is_delivered(shop)
        answer_joins(shop, talk)
        stop_holds_until_start(shop)
        other_words_are_for_a_person(shop)


@test
def the_whole_story_over_a_bind(folder):
    story(folder, Bind)


@test
def the_whole_story_over_a_gateway(folder):
    story(folder, Gateway)


# --- Setting it up ---

def explained(shop, to, text, *more):
    return shop.cli("explain", "--to", f"phone:{to}", "--topic", "orders", "--text", text, *more)


@test
def explain_says_what_a_text_costs_and_what_becomes_of_it(folder):
    way = Bind(folder)
    with Shop(folder, way) as shop:
        curly = "“Hola” – su pedido…"
        expect_true("1 segment of ucs2, EUR 0.045" in explained(shop, NATIONAL, curly), "as it is written")
        expect_true("EUR 0.09" in explained(shop, "+1 202 555 0111", "hello"), "the price of any other country")
        shop.daemon.config["channels"]["sms"]["options"]["simplify"] = True
        shop.daemon.write_config()
        shop.daemon.signal(signal.SIGHUP)
        wait_until(lambda: "1 segment of gsm7, EUR 0.045; text_simplified" in explained(shop, "0034612345678", curly), "written plainly")
        refused = parley(shop.daemon, "explain", "--to", "phone:612", "--topic", "orders", "--text", "x")
        expect((refused.returncode, "bad_phone" in refused.stderr and "too short" in refused.stderr), (1, True), refused.stderr)


@test
def a_wrong_password_and_a_centre_that_is_not_there_are_told_apart(folder):
    way = Bind(folder)
    with Shop(folder, way) as shop:
        expect_true("accepted" in shop.cli("channel", "check", "sms"), "bound")
        way.centre.tell("stop")
        wait_until(lambda: "connection refused" in shop.cli("channel", "check", "sms", code=1), "nobody is there")
        message = shop.daemon.send("Hola", to={"phone": NATIONAL})
        way.centre.options["password"] = "another"
        way.centre.listen(way.centre.port)
        wait_until(lambda: "wrong password" in shop.cli("channel", "check", "sms", code=1), "it says that the password is wrong")
        wait_until(lambda: "wrong password" in shop.cli("channel", "list"), "and so does the list", timeout_s=30)
        doctor = parley(shop.daemon, "-c", shop.daemon.config_path, "doctor").stdout
        expect_true("wrong password" in doctor and " - " in doctor, doctor)
        expect(shop.daemon.message_state(message)["attempts"][1:], [], "no attempt is spent")


@test
def a_wrong_token_stops_the_channel_and_is_told(folder):
    way = Gateway(folder)
    way.env = {"SMS_SECRET": "mistyped-token"}
    with Shop(folder, way) as shop:
        shown = shop.cli("channel", "check", "sms", code=1)
        expect_true("credentials_refused" in shown and "look at account, user and secret" in shown, shown)
        message = shop.daemon.send("Hola", to={"phone": NATIONAL})
        wait_until(lambda: "401: the provider refuses the credentials" in shop.cli("channel", "list"), "the list says why")
        expect(shop.daemon.message_state(message)["status"], "queued", json.dumps(shop.daemon.message_state(message)["attempts"]))


if __name__ == "__main__":
    raise SystemExit(run())
