#!/usr/bin/python3
# label: sms
# timeout: 180
# build: debug asan
"""Phone numbers wherever they come in: E.164 without a country, national formats with one, by API, command line, sign-up form and
channels; short codes and names of SMS networks; and that a daemon without a country does not load the library for it."""

import os
import shutil
import signal
import subprocess

from parley_test import (BIN_DIR, TOP, Daemon, Recorder, expect, expect_true, parley, post_inbound, run, store_sql, test, wait_until)

PUPPET = ["/usr/bin/python3", os.path.join(TOP, "tests/support/exec_puppet.py")]
PHONES = {"plugin": "sink", "options": {"address_kind": "phone"}}


def with_country(code="ES", **more):
    def change(conf):
        conf["defaults"] = {"country": code}
        conf.update(more)
    return change


def refused(daemon, number, want, hint=None):
    answer = daemon.post("/v1/messages", daemon.message("hello", to={"phone": number}))
    expect((answer.status, answer.json["errors"][0]["pointer"], answer.json["errors"][0]["code"]), (422, "/to/phone", "bad_phone"))
    expect_true(want in answer.json["errors"][0]["detail"], answer.text)
    expect_true((hint or "defaults.country") in answer.text if hint else "defaults.country" not in answer.text, answer.text)


def numbers_of(daemon, who):
    return sorted(each["value"] for each in daemon.get(f"/v1/customers/{who}").json["identities"] if each["kind"] == "phone")


def is_loaded(daemon):
    with open(f"/proc/{daemon.process.pid}/maps", encoding="ascii", errors="replace") as file:
        return "phonenumber" in file.read()


@test
def without_a_country_numbers_begin_with_a_plus_and_no_library_is_loaded(folder):
    with Daemon(folder, channels={"text": PHONES}) as daemon:
        for number in ("+34600111222", "tel:+34-600-111-222", "＋３４ ６００ １１１ ２２２"):
            expect(daemon.wait_status(daemon.send("hello", to={"phone": number}), "sent")["deliveries"][0]["to"], "+34***22")
        refused(daemon, "612 34 56 78", "must start with '+' and the country code", hint="defaults.country")
        refused(daemon, "0034612345678", "must start with '+' and the country code", hint="defaults.country")
        refused(daemon, "+34600111222;ext=5", "only digits", hint="defaults.country")
        refused(daemon, "tel:+34600111222;ext=5", "extension")
        refused(daemon, "12", "must start with '+'", hint="defaults.country")
        expect_true(not is_loaded(daemon), "the library is not loaded")
        daemon.config["defaults"] = {"country": "ES"}
        daemon.write_config()
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: "event=reloaded" in daemon.log(), "the daemon has reloaded")
        daemon.wait_status(daemon.send("hello", to={"phone": "612 34 56 78"}), "sent")
        expect_true(is_loaded(daemon), "the library is loaded by then")
        expect(daemon.get("/v1/customers?identity=phone:0034612345678").status, 200)
        del daemon.config["defaults"]
        daemon.write_config()
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: daemon.log().count("event=reloaded") == 2, "the daemon has reloaded again")
        refused(daemon, "612 34 56 78", "must start with '+'", hint="defaults.country")


@test
def with_a_country_a_number_is_read_as_people_there_write_it(folder):
    forms = {"news": {"topic": "newsletter", "channel": "text"}}
    with Daemon(folder, channels={"text": PHONES}, config=with_country(forms=forms)) as daemon:
        made = daemon.put("/v1/customers/external:ana", {"identities": {"phone": "(612) 34-56.78"}})
        expect(made.status, 201, made.text)
        ana = made.json["id"]
        expect(numbers_of(daemon, ana), ["+34612345678"])
        expect(store_sql(os.path.join(folder, "parley.db"), "SELECT raw FROM identity WHERE kind = 'phone'"), [["(612) 34-56.78"]], "the raw value is kept")
        for number in ("612345678", "+34612345678", "0034 612 34 56 78", "tel:612345678", "６１２ ３４ ５６ ７８", "34612345678"):
            expect(daemon.get(f"/v1/messages/{daemon.send('hello', to={'phone': number})}").json["customer"], ana, number)
        expect(parley(daemon, "send", "--to", "phone:612 34 56 78", "--topic", "orders", "--text", "hello").returncode, 0)
        expect(daemon.post("/v1/events", {"to": {"phone": "612 345 678"}, "type": "store.visit"}).status, 201)
        expect(daemon.get("/v1/customers?identity=phone:612345678").json["items"][0]["id"], ana)
        answer = daemon.post("/s/news", b"phone=612+34+56+99", headers={"Content-Type": "application/x-www-form-urlencoded"})
        expect(answer.status, 200, answer.text)
        wait_until(lambda: daemon.get("/v1/customers?identity=phone:%2B34612345699").json["items"], "the form's number is a customer's")
        put = daemon.post("/v1/suppressions", {"identity": "phone:612 34 56 78", "reason": "manual"})
        expect_true(put.status in (200, 201), put.text)
        expect(daemon.get(f"/v1/messages/{daemon.send('hello', to={'customer': ana})}").json["status"], "suppressed")
        expect(daemon.delete("/v1/suppressions/phone:0034612345678").status, 204)
        refused(daemon, "12345", "too short")
        refused(daemon, "612345678 ext. 4", "extension")
        refused(daemon, "612345678901234", "too long")


@test
def what_a_shop_reports_by_webhook_may_be_national(folder):
    with Recorder() as shop, Daemon(folder, channels={"hook": shop.channel()}, config=with_country("DE")) as daemon:
        answer = post_inbound(daemon, "hook", {"id": "1", "from": {"phone": "0151 23456789"}, "text": "Hallo"})
        expect(answer.status, 200, answer.text)
        expect(numbers_of(daemon, daemon.get(f"/v1/messages/{answer.json['id']}").json["customer"]), ["+4915123456789"])
        answer = post_inbound(daemon, "hook", {"id": "2", "from": {"phone": "Paketdienst"}, "text": "Hallo"})
        expect(answer.status, 422, answer.text)


@test
def short_codes_and_names_of_an_sms_network_stay_what_they_are(folder):
    """The network's program says who wrote; Norway has numbers of eight digits, which a short code may have, too."""
    text = {"plugin": "exec", "isolation": "inline", "options": {"command": PUPPET, "address_kind": "phone", "channel_kind": "sms"}}
    with Daemon(folder, channels={"text": text}, config=with_country("NO")) as daemon:
        def hears(number, event):
            program = (f"say('inbound', id={event!r}, text='hello', **{{'from': {{'phone': {number!r}}}}}); done = wait_for('done');"
                       "settle('accepted', code=done['status'], detail=done.get('reason') or done.get('message') or 'none')")
            attempt = daemon.wait_status(daemon.send(program, to={"phone": "+4790000001"}), "sent")["attempts"][0]
            expect(attempt["code"], "ok", attempt["detail"])
            return daemon.get(f"/v1/messages/{attempt['detail']}").json

        def identities(message):
            return [(each["kind"], each["value"]) for each in daemon.get(f"/v1/customers/{message['customer']}").json["identities"]]

        code = hears("91234567", "e1")
        expect(identities(code), [("phone", "91234567")])
        expect(identities(hears("+47 912 34 567", "e2")), [("phone", "+4791234567")])
        expect(identities(hears("004790000002", "e3")), [("phone", "+4790000002")])
        name = hears("Parcels", "e4")
        expect(identities(name), [("sender", "Parcels")])
        expect(hears("Parcels", "e5")["conversation"], name["conversation"])
        expect(daemon.get("/v1/customers?identity=phone:1999").json["items"], [])

        reply = daemon.post(f"/v1/conversations/{code['conversation']}/replies", {"content": {"text": "settle('accepted', id=message['to']['phone'])"}})
        expect(reply.status, 202, reply.text)
        expect(daemon.wait_status(reply.json["id"], "sent")["attempts"][0]["provider_id"], "91234567")
        reply = daemon.post(f"/v1/conversations/{name['conversation']}/replies", {"content": {"text": "settle('accepted')"}})
        expect(reply.status, 202, reply.text)
        ended = daemon.wait_status(reply.json["id"], "failed")
        expect_true("no_route" in str(ended), ended)


@test
def a_country_that_has_no_plan_or_a_library_that_is_missing_is_said_at_once(folder):
    with Daemon(folder, config=with_country("ES")) as daemon:
        def check(code, program):
            with open(daemon.config_path, encoding="utf-8") as file:
                text = file.read().replace('"ES"', f'"{code}"')
            path = os.path.join(folder, "other.yaml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            done = subprocess.run([*program, path], capture_output=True, text=True, timeout=60, env=dict(os.environ, PARLEY_KEY="k" * 40))
            return done.returncode, done.stdout + done.stderr

        ours = [os.path.join(BIN_DIR, "parleyd"), "--check", "-c"]
        expect(check("ES", ours)[0], 0)
        for program, code in ((ours, 78), ([os.path.join(BIN_DIR, "parley"), "config", "check"], 1)):
            got = check("AQ", program)
            expect(got[0], code, got[1])
            expect_true("AQ has no telephone numbers of its own" in got[1] and "other.yaml:" in got[1], got[1])
            expect_true("did you mean ES (Spain)?" in check("Spain", program)[1], "a country by name")
        elsewhere = os.path.join(folder, "bin")
        os.makedirs(elsewhere)
        shutil.copy(os.path.join(BIN_DIR, "parleyd"), elsewhere)
        got = check("ES", [os.path.join(elsewhere, "parleyd"), "--check", "-c"])
        expect(got[0], 78)
        expect_true("defaults.country: parley-phone.so is not there" in got[1], got[1])


if __name__ == "__main__":
    run()
