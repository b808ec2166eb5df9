#!/usr/bin/python3
# label: email
# timeout: 240
"""Templates: made, versioned, rendered in the customer's language with what is known of them, pinned by what was accepted, the same
after a reload and a restart, by API, by command and out of files."""

import json
import os
import signal

from parley_test import Daemon, Recorder, Reply, expect, expect_true, parley, run, test, wait_until

ORDER = {
    "locales": {
        "en": {"subject": "Order {{order}}", "text": "Thank you, {{name}}. {{>foot}}",
               "html": "<p>Thank you, {{name}}. <a href=\"{{link}}\">Order {{order}}</a></p>{{>foot}}",
               "channels": {"sms": {"text": "{{order}} is on its way"}}},
        "pt": {"subject": "Pedido {{order}}", "text": "Obrigado, {{name}}. {{>foot}}"},
    },
    "default_locale": "en",
    "variables": {"order": {"type": "text"}, "name": {}, "link": {"required": False}},
}
FOOT = {"locales": {"en": {"text": "Bye", "html": "<i>Bye</i>"}, "pt": {"text": "Tchau"}}, "default_locale": "en"}
DATA = {"order": "1042", "name": "Ana <b>", "link": "https://shop.example/?a=1&b=2"}


def put(daemon, name, template, status=200):
    answer = daemon.put(f"/v1/templates/{name}", template)
    expect(answer.status, status, answer.text)
    return answer.json


def both(daemon):
    put(daemon, "foot", FOOT)
    return put(daemon, "order", ORDER)


def send(daemon, status=202, **more):
    answer = daemon.post("/v1/messages", {"to": {"email": "ana@example.org"}, "topic": "orders", "template": "order", "data": DATA, **more})
    expect(answer.status, status, answer.text)
    return answer.json


def know(daemon, external, **more):
    answer = daemon.put(f"/v1/customers/external:{external}", {"identities": {"email": f"{external}@example.org"}, **more})
    expect(answer.status, 201, answer.text)


def reload(daemon, word):
    before = daemon.log().count(word)
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: daemon.log().count(word) > before, word)


def content(daemon, message):
    return daemon.message_state(message)["content"]


@test
def a_message_is_made_of_a_template_and_says_so(folder):
    with Daemon(folder) as daemon:
        both(daemon)
        state = daemon.wait_status(send(daemon)["id"], "sent", "delivered")
        expect((state["template"], state["locale"]), ("order@1", "en"))
        expect(state["content"]["subject"], "Order 1042")
        expect(state["content"]["text"], "Thank you, Ana <b>. Bye")
        expect(state["content"]["html"], '<p>Thank you, Ana &lt;b&gt;. <a href="https://shop.example/?a=1&amp;b=2">Order 1042</a></p>'
                                         "<i>Bye</i>")
        expect_true("channels" not in state["content"], "a variant of no planned channel is not made")
        sink = daemon.get("/v1/channels/inbox/sink").json["items"][0]
        expect(sink["subject"], "Order 1042")
        timeline = daemon.get(f"/v1/customers/{state['customer']}/timeline").json["items"]
        expect(timeline[0]["message"]["content"]["text"], "Thank you, Ana <b>. Bye")


@test
def what_is_declared_and_missing_is_refused_with_pointers(folder):
    with Daemon(folder) as daemon:
        both(daemon)
        refused = send(daemon, 422, data={"order": 7})
        expect({(row["pointer"], row["code"]) for row in refused["errors"]},
               {("/data/order", "wrong_type"), ("/data/name", "missing_variable")})
        expect(send(daemon, 422, content={"text": "x"})["code"], "content_and_template")
        unknown = send(daemon, 422, template="odrer")
        expect((unknown["code"], unknown["errors"][0]["hint"]), ("unknown_template", "did you mean 'order'?"))
        expect(send(daemon, 422, data={**DATA, "link": "javascript:alert(1)"})["code"], "unsafe_link")
        batch = daemon.post("/v1/messages/batch", {"items": [
            {"to": {"email": "a@example.org"}, "topic": "orders", "template": "order", "data": DATA},
            {"to": {"email": "a@example.org"}, "topic": "orders", "template": "order", "data": {"name": "x"}},
            {"to": {"email": "a@example.org"}, "topic": "orders", "template": "order", "data": {**DATA, "link": "data:x"}},
            {"to": {"email": "a@example.org"}, "topic": "orders", "content": {"text": "plain"}},
            {"to": {"email": "a@example.org"}, "topic": "orders", "template": "order", "data": DATA, "locale": "pt-BR"}]}).json["items"]
        expect([row["status"] for row in batch], [202, 422, 422, 202, 202])
        expect((batch[1]["pointer"], batch[2]["pointer"]), ("/items/1/data/order", "/items/2/template"))
        expect(content(daemon, batch[3]["message"]["id"])["text"], "plain")
        expect(content(daemon, batch[4]["message"]["id"])["text"], "Obrigado, Ana <b>. Tchau")


@test
def the_language_is_the_message_s_else_the_customer_s_else_the_template_s(folder):
    with Daemon(folder) as daemon:
        both(daemon)
        know(daemon, "bia", locale="pt-BR")
        to = {"external": "bia"}
        expect(content(daemon, send(daemon, to=to)["id"])["subject"], "Pedido 1042")
        expect(content(daemon, send(daemon, to={"email": "bia@example.org"})["id"])["subject"], "Pedido 1042")
        expect(content(daemon, send(daemon, to=to, locale="en-GB")["id"])["subject"], "Order 1042")
        expect(content(daemon, send(daemon, to=to, locale="fr")["id"])["subject"], "Order 1042")
        expect(content(daemon, send(daemon, to={"email": "new@example.org"})["id"])["subject"], "Order 1042")
        # another external with Bia's address is somebody else: nothing of hers is used
        expect(content(daemon, send(daemon, to={"external": "zoe", "email": "bia@example.org"})["id"])["subject"], "Order 1042")


@test
def the_customer_and_their_last_events_stand_in_it(folder):
    template = {"locales": {"en": {"text": "{{customer.name}} of {{customer.attributes.city}}:{{#customer.tags}} {{.}}{{/customer.tags}};"
                                           " {{events.last.order.placed.data.number}}"
                                           "{{^events.last.order.paid}} unpaid{{/events.last.order.paid}}"}}}
    with Daemon(folder) as daemon:
        put(daemon, "known", template)
        know(daemon, "ana", name="Ana", tags=["vip", "eu"], attributes={"city": "León"})
        for number in ("A1", "A2"):
            expect(daemon.post("/v1/events", {"to": {"external": "ana"}, "type": "order.placed", "data": {"number": number}}).status, 201)
        expect(content(daemon, send(daemon, template="known")["id"])["text"], "Ana of León: vip eu; A2 unpaid")
        expect(content(daemon, send(daemon, template="known", to={"email": "who@example.org"})["id"])["text"], " of :;  unpaid")
        expect(content(daemon, send(daemon, template="known", data={"customer": {"name": "Eva"}})["id"])["text"], "Eva of :; A2 unpaid")


@test
def each_channel_of_the_plan_gets_its_variant_and_retries_the_same(folder):
    def plan(config):
        config["plans"]["default"] = [{"channel": "hook", "within": "1s", "until": "sent"}, {"channel": "text"}]

    with Recorder() as shop, Daemon(folder, channels={
            "hook": shop.channel(), "text": {"plugin": "sink", "options": {"address_kind": "email"}}}, config=plan) as daemon:
        both(daemon)
        put(daemon, "order", {**ORDER, "locales": {"en": {**ORDER["locales"]["en"], "channels": {
            "hook": {"text": "hook {{order}}"}, "text": {"text": "short {{order}}"}, "sms": {"text": "never"}}}}})
        message = send(daemon)["id"]
        daemon.wait_status(message, "sent", "delivered")
        made = content(daemon, message)
        expect(made["channels"], {"hook": {"text": "hook 1042"}, "text": {"text": "short 1042"}})
        expect_true("hook 1042" in shop.wait_for(count=1)[0].body.decode(), "the variant by the channel's name")


@test
def what_was_accepted_stays_and_all_is_there_after_a_restart(folder):
    with Daemon(folder) as daemon:
        both(daemon)
        later = send(daemon, send_at="2099-01-01T00:00:00Z", status=422)["code"]
        expect(later, "bad_value")
        held = [daemon.post("/v1/channels/inbox/pause").status, send(daemon)["id"]][1]
        changed = {**ORDER, "locales": {**ORDER["locales"], "en": {"subject": "New {{order}}", "text": "changed"}}}
        expect(put(daemon, "order", changed)["version"], 2)
        expect(put(daemon, "order", changed)["version"], 2)  # the same again is no new version
        fresh = send(daemon)["id"]
        daemon.restart()
        expect(daemon.get("/v1/templates/order").json["template"], changed)
        expect([row["version"] for row in daemon.get("/v1/templates/order/versions").json["items"]], [2, 1])
        expect(daemon.get("/v1/templates/order?version=1").json["template"], ORDER)
        expect(daemon.get("/v1/templates/order?version=9").status, 404)
        daemon.post("/v1/channels/inbox/resume")
        for message, reference, subject in ((held, "order@1", "Order 1042"), (fresh, "order@2", "New 1042")):
            state = daemon.wait_status(message, "sent", "delivered")
            expect((state["template"], state["content"]["subject"]), (reference, subject))
        expect({row["subject"] for row in daemon.get("/v1/channels/inbox/sink").json["items"]}, {"Order 1042", "New 1042"})


@test
def a_repeat_is_the_first_message_whatever_the_template_says_now(folder):
    with Recorder() as shop, Daemon(folder, channels={"hook": shop.channel()}) as daemon:
        both(daemon)
        shop.then(Reply(503))
        body = {"to": {"email": "ana@example.org"}, "topic": "orders", "template": "order", "data": DATA, "key": "order/1042"}
        first = daemon.post("/v1/messages", body, headers={"Idempotency-Key": "k-1"})
        shop.wait_for(count=1)
        put(daemon, "order", {"locales": {"en": {"text": "changed {{order}}"}}})
        again = daemon.post("/v1/messages", body, headers={"Idempotency-Key": "k-1"})
        expect((again.status, again.json, again.headers.get("Idempotency-Replayed")), (202, first.json, "true"))
        twice = daemon.post("/v1/messages", body)
        expect((twice.status, twice.json["id"], twice.json["duplicate"]), (200, first.json["id"], True))
        attempts = shop.wait_for(count=2, timeout_s=30)
        expect(json.loads(attempts[0].body)["data"]["content"], json.loads(attempts[1].body)["data"]["content"])
        daemon.wait_status(first.json["id"], "sent", "delivered")


@test
def one_that_others_contain_neither_goes_nor_breaks_them(folder):
    with Daemon(folder) as daemon:
        both(daemon)
        expect(daemon.delete("/v1/templates/foot").json["code"], "template_in_use")
        expect(put(daemon, "foot", {"locales": {"en": {"text": "only text"}}}, 422)["code"], "unknown_partial")
        expect(put(daemon, "foot", {"locales": {"en": {"text": "{{>order}}", "html": "x"}}}, 422)["code"], "cycle")
        put(daemon, "foot", {"locales": {"en": {"text": "Ciao", "html": "Ciao"}}})
        expect(content(daemon, send(daemon)["id"])["text"], "Thank you, Ana <b>. Ciao")
        expect(daemon.delete("/v1/templates/order").status, 204)
        expect(daemon.delete("/v1/templates/foot").status, 204)
        expect(daemon.delete("/v1/templates/foot").status, 404)
        expect(send(daemon, 422)["code"], "unknown_template")
        expect(put(daemon, "foot", FOOT)["version"], 3)  # a number is never given twice


@test
def templates_of_a_folder_are_read_only_and_reload_all_or_nothing(folder):
    templates = os.path.join(folder, "templates")
    os.mkdir(templates)

    def write(name, text):
        with open(os.path.join(templates, name), "w", encoding="utf-8") as file:
            file.write(text)

    write("foot.json", json.dumps(FOOT))
    write("order.yaml", "locales:\n  en:\n    subject: 'Order {{order}}'\n    text: |\n      Hello {{name}}\n      {{>foot}}\n"
                        "variables:\n  name: { required: false }\n")
    with Daemon(folder, config=lambda config: config.update(templates={"dir": "templates"})) as daemon:
        state = daemon.message_state(send(daemon)["id"])
        expect((state["template"], state["content"]["text"]), ("order", "Hello Ana <b>\nBye"))
        expect(put(daemon, "order", ORDER, 409)["code"], "configured")
        expect(daemon.delete("/v1/templates/order").json["code"], "configured")
        expect([(row["name"], row["configured"]) for row in daemon.get("/v1/templates").json["items"]], [("foot", True), ("order", True)])
        put(daemon, "mine", {"locales": {"en": {"text": "{{>foot}}!"}}})
        write("foot.json", json.dumps({"locales": {"en": {"text": "{{#a}}"}}}))
        reload(daemon, "event=reload_refused")
        expect_true("foot.json" in daemon.log(), "it names the file")
        expect(content(daemon, send(daemon, template="mine")["id"])["text"], "Bye!")
        write("foot.json", json.dumps({"locales": {"en": {"text": "Later"}}}))
        reload(daemon, "event=reloaded")
        expect(content(daemon, send(daemon, template="mine")["id"])["text"], "Later!")


@test
def the_command_puts_shows_renders_and_points_at_the_place(folder):
    with Daemon(folder) as daemon:
        foot, order, data = (os.path.join(folder, name) for name in ("foot.json", "order.yaml", "data.json"))
        with open(foot, "w", encoding="utf-8") as file:
            json.dump(FOOT, file)
        with open(data, "w", encoding="utf-8") as file:
            json.dump(DATA, file)
        with open(order, "w", encoding="utf-8") as file:
            file.write("locales:\n  en:\n    text: |\n      Hello\n        {{name}\n")
        expect(parley(daemon, "template", "put", foot).stdout, "foot  version 1\n")
        wrong = parley(daemon, "template", "put", order)
        expect(wrong.returncode, 1)
        expect_true("line 2, column 3" in wrong.stderr, wrong.stderr)
        with open(order, "w", encoding="utf-8") as file:
            file.write("locales:\n  en:\n    subject: 'Order {{order}}'\n    text: 'Hello {{name}}'\n"
                       "    channels: { sms: { text: '{{order}}' } }\n  pt: { text: 'Oi {{name}}' }\ndefault_locale: en\n")
        expect(parley(daemon, "template", "put", order).stdout, "order  version 1\n")
        expect(parley(daemon, "template", "render", "order", "--data", data).stdout, "subject: Order 1042\ntext: \nHello Ana <b>\n")
        expect_true("Oi Ana" in parley(daemon, "template", "render", "order", "--data", data, "--locale", "pt-BR").stdout, "in pt")
        expect_true("text: \n1042\n" in parley(daemon, "template", "render", "order", "--data", data, "--channel-kind", "sms").stdout, "sms")
        expect_true("order" in parley(daemon, "template", "list").stdout, "listed")
        expect_true("1" in parley(daemon, "template", "versions", "order").stdout, "versions")
        expect(json.loads(parley(daemon, "template", "show", "order").stdout)["locales"]["pt"]["text"], "Oi {{name}}")
        sent = parley(daemon, "send", "--to", "email:ana@example.org", "--topic", "orders", "--template", "order", "--data", data)
        expect(sent.returncode, 0, sent.stderr)
        expect(parley(daemon, "template", "remove", "order").returncode, 0)
        expect(parley(daemon, "template", "render", "order").returncode, 1)


if __name__ == "__main__":
    run()
