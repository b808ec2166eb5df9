#!/usr/bin/python3
# label: email
# timeout: 240
"""What customers open: unsubscribe by a button and by one click (RFC 8058), the preference page, sign-up with double opt-in, and links
and pictures that tell of clicks and opens. Every page by plain HTTP, without script, cookie or key."""

import contextlib
import email
import json
import os
import re
import subprocess
import time
import urllib.parse

from parley_test import TOP, Client, Daemon, expect, expect_true, run, test, wait_until, wall_clock

ONE_CLICK = b"List-Unsubscribe=One-Click"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
ANA = "ana@example.org"


def configure(config):
    config["topics"]["newsletter"] = {"class": "marketing", "title": "News & <offers>"}
    config["topics"]["told"] = {"class": "marketing", "track": {"clicks": True, "opens": True}}
    config["topics"]["events"] = {"class": "marketing"}
    config["pages"] = {"name": "Ana's Shop"}
    config["tracking"] = {"machine_within": "0s", "burst": "30s"}
    config["forms"] = {
        "news": {"topic": "newsletter", "channel": "mail", "from_page": "https://shop.example/news", "rate": "1000/h"},
        "onward": {"topic": "newsletter", "channel": "mail", "thanks_page": "https://shop.example/thanks?a=1"},
        "few": {"topic": "events", "channel": "mail", "rate": "2/h"}}
    config["plans"] = {"default": [{"channel": "mail"}]}


def daemon_in(folder, **more):
    return Daemon(folder, channels={"mail": {"plugin": "sink", "options": {"address_kind": "email"}},
                                    "sms": {"plugin": "sink", "options": {"address_kind": "phone"}}}, config=configure, **more)


def temp_folder_in(folder):
    path = os.path.join(folder, "other")
    os.makedirs(path)
    return path


def visit(daemon, method, url, body=None, headers=None, **more):
    """As a stranger, at a path or at a link of public_url."""
    path = urllib.parse.urlsplit(url)
    with contextlib.closing(Client(daemon.port, key=None)) as client:
        return client.request(method, path.path + ("?" + path.query if path.query else ""), body, headers={**BROWSER, **(headers or {})},
                              **more)


def post_form(daemon, url, *fields, **headers):
    return visit(daemon, "POST", url, urllib.parse.urlencode(fields).encode(), {**FORM, **headers})


def customer(daemon, key="ana", **more):
    answer = daemon.put(f"/v1/customers/external:{key}", {"identities": {"email": f"{key}@example.org"}, **more})
    expect(answer.status in (200, 201), True, answer.text)
    return answer.json["id"]


def grant(daemon, who, topic="newsletter", kind="*", granted=True):
    expect(daemon.put(f"/v1/customers/{who}/consents/{topic}/{kind}", {"granted": granted}).status, 200)


def consents(daemon, who):
    return {(each["topic"], each["channel_kind"]): each for each in daemon.get(f"/v1/customers/{who}/consents").json["items"]}


def kept(daemon, message, channel="mail"):
    """What the sink was handed."""
    daemon.wait_status(message, "sent")
    return daemon.get(f"/v1/channels/{channel}/sink?message={message}").json["items"][0]


def part(entry, kind):
    return next(each["text"] for each in entry["parts"] if each["kind"] == kind)


def newsletter(daemon, who, topic="newsletter", content=None, **more):
    answer = daemon.post("/v1/messages", {"to": {"customer": who}, "topic": topic, "content": content or {"text": "news"}, **more})
    expect(answer.status, 202, answer.text)
    return answer.json["id"]


def events(daemon, who, *types):
    rows = daemon.get(f"/v1/customers/{who}/timeline?limit=200").json["items"]
    return [row for row in rows if row["type"] in types]


def is_page(answer, status=200):
    expect((answer.status, answer.headers["Content-Type"]), (status, "text/html; charset=utf-8"), answer.text[:300])
    for name, value in (("Referrer-Policy", "no-referrer"), ("X-Robots-Tag", "noindex, nofollow"), ("Cache-Control", "no-store"),
                        ("X-Content-Type-Options", "nosniff"), ("Set-Cookie", None), ("Location", None)):
        expect(answer.headers[name], value, name)
    policy = answer.headers["Content-Security-Policy"]
    expect_true(policy.startswith("default-src 'none'; style-src 'nonce-") and "frame-ancestors 'none'" in policy, policy)
    expect_true("<script" not in answer.text and "http-equiv" not in answer.text, "no script")
    return answer


# --- unsubscribe ---

@test
def only_marketing_has_a_way_out_and_it_names_the_topic(folder):
    with daemon_in(folder) as daemon:
        who = customer(daemon)
        grant(daemon, who)
        grant(daemon, who, "events")
        links = [kept(daemon, newsletter(daemon, who, topic)).get("unsubscribe_url") for topic in ("newsletter", "events")]
        expect_true(all(link.startswith(f"http://127.0.0.1:{daemon.port}/u/") for link in links), links)
        expect(len(set(links)), 2)
        for topic in ("orders", "support", "security"):
            expect(kept(daemon, newsletter(daemon, who, topic)).get("unsubscribe_url"), None, topic)


@test
def one_click_ends_the_topic_at_once_and_again_changes_nothing(folder):
    with daemon_in(folder) as daemon:
        who = customer(daemon)
        grant(daemon, who)
        message = newsletter(daemon, who)
        link = kept(daemon, message)["unsubscribe_url"]
        for method in ("GET", "HEAD"):
            expect(visit(daemon, method, link).status, 200)
        expect(len(events(daemon, who, "consent.withdrawn")), 0, "GET and HEAD change nothing")
        boundary = b"--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n"
        is_page(visit(daemon, "POST", link, boundary, {"Content-Type": "multipart/form-data; boundary=b", "User-Agent": "A" * 3000}))
        is_page(visit(daemon, "POST", link, ONE_CLICK, FORM))
        is_page(visit(daemon, "POST", link, b"", {"Content-Length": "0"}))
        entry = consents(daemon, who)[("newsletter", "email")]
        expect((entry["granted"], entry["source"]), (False, "one_click"))
        proof = json.loads(entry["proof"])
        expect((proof["message"], proof["address"], proof["agent"]), (message, "127.0.0.1", "A" * 255))
        expect(len(events(daemon, who, "consent.withdrawn")), 1)
        daemon.wait_status(newsletter(daemon, who), "suppressed")
        expect(daemon.message_state(newsletter(daemon, who))["reason"], "no_consent")
        daemon.wait_status(newsletter(daemon, who, "orders"), "sent")


@test
def a_forged_link_is_404_and_tells_nothing(folder):
    with daemon_in(folder) as daemon, contextlib.ExitStack() as stack:
        other = stack.enter_context(daemon_in(temp_folder_in(folder)))
        who = customer(daemon)
        grant(daemon, who)
        link = kept(daemon, newsletter(daemon, who))["unsubscribe_url"]
        token = link.rsplit("/", 1)[1]
        for bad in (token[:-1] + ("0" if token[-1] != "0" else "1"), token[:-8], token + "0", "x", "0" * 8000, "%00", "..%2f"):
            for method, body in (("GET", None), ("POST", ONE_CLICK)):
                for where in ("u", "p", "d", "c"):
                    answer = visit(daemon, method if where != "c" else "GET", f"/{where}/{bad}", body if where != "c" else None, FORM)
                    expect_true(answer.status in (404, 400, 414) and answer.headers["Location"] is None, f"{where} {bad[:40]} {answer}")
        for where in ("p", "d", "c"):
            expect(visit(daemon, "GET", f"/{where}/{token}").status, 404, "a token of one kind is none of another")
        expect(visit(other, "POST", f"/u/{token}", ONE_CLICK, FORM).status, 404, "another secret")
        expect(consents(daemon, who)[("newsletter", "*")]["granted"], True)


@test
def what_is_queued_or_held_in_memory_is_not_sent_after_an_unsubscribe(folder):
    def slow(config):
        configure(config)
        config["channels"]["mail"]["rate"] = "1/m"

    with Daemon(folder, channels={"mail": {"plugin": "sink", "options": {"address_kind": "email"}}}, config=slow) as daemon:
        who = customer(daemon)
        grant(daemon, who)
        first = newsletter(daemon, who)
        link = kept(daemon, first)["unsubscribe_url"]
        waiting = [newsletter(daemon, who) for _ in range(5)]  # in memory: the channel's rate holds them
        order = newsletter(daemon, who, "orders")
        later = newsletter(daemon, who, send_at=in_a_day())  # in the store
        is_page(visit(daemon, "POST", link, ONE_CLICK, FORM))
        for message in waiting:
            expect(daemon.wait_status(message, "suppressed")["reason"], "no_consent")
        expect(daemon.message_state(order)["status"] in ("queued", "sending"), True)
        expect(daemon.message_state(later)["status"], "queued")
        expect(daemon.metric("parley_messages_add_up"), 1.0)
        expect(daemon.get("/v1/channels/mail/sink").json["count"], 1)


def in_a_day():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400))


@test
def a_paused_channel_lets_go_of_what_was_unsubscribed_meanwhile(folder):
    with daemon_in(folder) as daemon:
        who = customer(daemon)
        grant(daemon, who)
        link = kept(daemon, newsletter(daemon, who))["unsubscribe_url"]
        daemon.post("/v1/channels/mail/pause")
        message = newsletter(daemon, who)
        expect(post_form(daemon, link, ("by", "page")).status, 200)
        daemon.restart()
        daemon.post("/v1/channels/mail/resume")
        expect(daemon.wait_status(message, "suppressed")["reason"], "no_consent")
        entry = next(each for each in consents(daemon, who).values() if not each["granted"])
        expect(entry["source"], "page")


@test
def the_page_speaks_the_customers_language_and_escapes_what_it_shows(folder):
    with daemon_in(folder) as daemon:
        for locale, accept, tag, word in ((None, "fr-CH, fr;q=0.9, en;q=0.8", "fr", "Se désabonner"), ("es-AR", "de", "es", "Darse de baja"),
                                          (None, "pt, xx;q=0.1", "en", "Unsubscribe"), ("ja", "de-AT;q=0.5, en;q=0.4", "de", "Abbestellen")):
            who = customer(daemon, f"c{tag}", **({"locale": locale} if locale else {}))
            grant(daemon, who)
            link = kept(daemon, newsletter(daemon, who))["unsubscribe_url"]
            page = is_page(visit(daemon, "GET", link, headers={"Accept-Language": accept}))
            expect_true(f'<html lang="{tag}">' in page.text and word in page.text, page.text[:2000])
            expect(page.headers["Content-Language"], tag)
            expect_true("News &amp; &lt;offers&gt;" in page.text and "Ana&#39;s Shop" in page.text, page.text[-1500:])
            expect_true("c***@example.org" in page.text and f"c{tag}@example.org" not in page.text, "the address in short")


@contextlib.contextmanager
def smtp_sink():
    """A real SMTP server: yields its port and a function that returns the next mail."""
    process = subprocess.Popen(["/usr/bin/python3", os.path.join(TOP, "tests/support/smtp_sink.py"), "--port", "0", "--raw"],
                               stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(process.stdout.readline())["port"], lambda: email.message_from_string(json.loads(process.stdout.readline())["raw"])
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@test
def a_mail_has_one_link_and_what_posts_to_it_ends_the_newsletter_but_no_receipt(folder):
    with smtp_sink() as (port, next_mail):
        options = {"smtp": f"smtp://127.0.0.1:{port}", "from": "Shop <news@shop.example>"}
        with Daemon(folder, channels={"mail": {"plugin": "email", "options": options}}, config=configure) as daemon:
            who = customer(daemon)
            grant(daemon, who)
            newsletter(daemon, who)
            mail = next_mail()
            expect(len(mail.get_all("List-Unsubscribe")), 1)
            links = re.findall(r"<(https?://[^>]+)>", re.sub(r"\s", "", mail["List-Unsubscribe"]))
            expect((len(links), mail["List-Unsubscribe-Post"]), (1, "List-Unsubscribe=One-Click"))
            newsletter(daemon, who, "orders")
            expect(next_mail()["List-Unsubscribe"], None, "a receipt has none")
            is_page(visit(daemon, "POST", links[0], ONE_CLICK, FORM))
            daemon.wait_status(newsletter(daemon, who), "suppressed")
            daemon.wait_status(newsletter(daemon, who, "orders"), "sent")


# --- preferences ---

def choices(page):
    """{pair: ticked}, as a browser would post them."""
    rows = re.findall(r'name="want" value="([^"]+)"( checked)?>', page.text)
    expect(sorted(re.findall(r'name="shown" value="([^"]+)"', page.text)), sorted(pair for pair, _ in rows))
    return {pair: bool(ticked) for pair, ticked in rows}


def save(daemon, link, ticked, shown):
    return is_page(post_form(daemon, link, *[("want", pair) for pair in ticked], *[("shown", pair) for pair in shown], ("do", "save")))


@test
def the_preference_page_shows_what_is_in_force_and_keeps_what_is_ticked(folder):
    with daemon_in(folder) as daemon:
        who = customer(daemon, identities={"email": ANA, "phone": "+34600111222"})
        grant(daemon, who)
        link = kept(daemon, newsletter(daemon, who))["unsubscribe_url"]
        link = re.search(r'href="([^"]+/p/[^"]+)"', is_page(visit(daemon, "GET", link)).text).group(1)
        first = choices(is_page(visit(daemon, "GET", link)))
        expect({pair.split(":")[0] for pair in first}, {"newsletter", "told", "events", "orders"})
        kinds = {pair.split(":")[1] for pair in first}
        expect(all(first[f"newsletter:{kind}"] and first[f"orders:{kind}"] and not first[f"events:{kind}"] for kind in kinds), True)
        kind = sorted(kinds)[0]
        wanted = {pair for pair, ticked in first.items() if ticked} - {f"newsletter:{kind}", f"orders:{kind}"} | {f"events:{kind}"}
        page = save(daemon, link, wanted, first)
        expect({pair for pair, ticked in choices(page).items() if ticked}, wanted, "the answer shows it")
        expect({pair for pair, ticked in choices(visit(daemon, "GET", link)).items() if ticked}, wanted, "and so does the next visit")
        ledger = consents(daemon, who)
        expect(ledger[("events", kind)]["granted"], True)
        expect(ledger[("orders", kind)]["granted"], False)
        expect(json.loads(ledger[("newsletter", kind)]["proof"])["address"], "127.0.0.1")
        expect(len(events(daemon, who, "consent.granted", "consent.withdrawn")), 4, "the first grant and three changes")
        save(daemon, link, wanted, first)
        expect(len(events(daemon, who, "consent.granted", "consent.withdrawn")), 4, "what is in force is not said again")


@test
def what_the_page_did_not_offer_is_not_changed_and_all_marketing_stops_at_once(folder):
    with daemon_in(folder) as daemon:
        who = customer(daemon)
        grant(daemon, who)
        grant(daemon, who, "events")
        link = kept(daemon, newsletter(daemon, who))["unsubscribe_url"]
        link = re.search(r'href="([^"]+/p/[^"]+)"', visit(daemon, "GET", link).text).group(1)
        pairs = choices(visit(daemon, "GET", link))
        kind = next(iter(pairs)).split(":")[1]
        page = save(daemon, link, [], [f"events:{kind}", "nothing:email", "security:email", "support:email", "confirmation:email"])
        expect(choices(page)[f"newsletter:{kind}"], True, "it was not offered")
        expect(choices(page)[f"events:{kind}"], False)
        expect(set(consents(daemon, who)), {("newsletter", "*"), ("events", "*"), ("events", kind)})
        page = is_page(post_form(daemon, link, ("do", "stop")))
        expect([pair for pair, ticked in choices(page).items() if ticked], [f"orders:{kind}"])
        expect(is_page(visit(daemon, "POST", link, b"{}", {"Content-Type": "application/json"}), 400).status, 400)


# --- sign-up and double opt-in ---

def confirmations(daemon):
    return [each for each in daemon.get("/v1/channels/mail/sink?limit=200").json["items"] if each["topic"] == "confirmation"]


def sign_up(daemon, address, form="news", **headers):
    return post_form(daemon, f"/s/{form}", ("email", address), ("website", ""), **headers)


def confirm_link(entry):
    return re.search(r"http://\S+/d/\S+", part(entry, "text")).group(0)


@test
def a_sign_up_counts_once_it_is_confirmed_and_both_halves_are_proof(folder):
    with daemon_in(folder) as daemon:
        is_page(visit(daemon, "GET", "/s/news"))
        is_page(sign_up(daemon, "Ana@Example.org", **{"Accept-Language": "de"}))
        mail = wait_until(lambda: confirmations(daemon), "the message to confirm")[0]
        expect(mail["to"]["value"], "Ana@example.org")
        expect(mail["subject"], "Bitte bestätigen: News & <offers>")
        link = confirm_link(mail)
        expect_true(f'href="{link}"' in part(mail, "html"), "the button")
        who = daemon.get("/v1/customers?identity=email:ana@example.org").json["items"][0]["id"]
        expect(consents(daemon, who), {})
        expect(len(events(daemon, who, "consent.requested")), 1)
        page = is_page(visit(daemon, "GET", link, headers={"Accept-Language": "es"}))
        expect_true("Sí, quiero recibir «News &amp; &lt;offers&gt;»" in page.text, page.text[-900:])
        expect(visit(daemon, "HEAD", link).status, 200)
        expect(consents(daemon, who), {}, "GET and HEAD change nothing")
        expect(daemon.post("/v1/messages", {"to": {"customer": who}, "topic": "newsletter", "content": {"text": "x"}}).json["status"],
               "suppressed")
        for _ in range(2):
            is_page(post_form(daemon, link, ("do", "confirm")))
        entry = next(iter(consents(daemon, who).values()))
        expect((entry["topic"], entry["granted"], entry["source"]), ("newsletter", True, "double_opt_in"))
        proof = json.loads(entry["proof"])
        expect((proof["asked"]["form"], proof["asked"]["page"], proof["asked"]["address"]), ("news", "https://shop.example/news", "127.0.0.1"))
        expect((proof["asked"]["agent"], proof["confirmed"]["agent"]), (BROWSER["User-Agent"], BROWSER["User-Agent"]))
        expect(len(events(daemon, who, "consent.granted")), 1)
        daemon.wait_status(newsletter(daemon, who), "sent")


@test
def a_link_to_confirm_brings_nothing_back_that_was_withdrawn_later(folder):
    with daemon_in(folder) as daemon:
        is_page(sign_up(daemon, "ana@example.org"))
        link = confirm_link(wait_until(lambda: confirmations(daemon), "the message to confirm")[0])
        is_page(post_form(daemon, link, ("do", "confirm")))
        who = daemon.get("/v1/customers?identity=email:ana@example.org").json["items"][0]["id"]
        grant(daemon, who, kind=next(iter(consents(daemon, who)))[1], granted=False)
        page = is_page(post_form(daemon, link, ("do", "confirm")), 410)
        choose = re.search(r'href="(http://[^"]+/p/[^"]+)"', page.text).group(1)
        expect([entry["granted"] for entry in consents(daemon, who).values()], [False])
        expect(len(events(daemon, who, "consent.granted")), 1)
        is_page(visit(daemon, "GET", choose))


@test
def a_link_to_confirm_ends_when_the_customer_says_no_first(folder):
    with daemon_in(folder) as daemon:
        is_page(sign_up(daemon, "ana@example.org"))
        link = confirm_link(wait_until(lambda: confirmations(daemon), "the message to confirm")[0])
        who = daemon.get("/v1/customers?identity=email:ana@example.org").json["items"][0]["id"]
        grant(daemon, who, granted=False, kind="*")
        is_page(post_form(daemon, link, ("do", "confirm")), 410)
        expect([entry["granted"] for entry in consents(daemon, who).values()], [False])


@test
def a_form_sends_one_message_an_address_and_none_to_a_program(folder):
    with daemon_in(folder) as daemon:
        for _ in range(3):
            is_page(sign_up(daemon, "bea@example.org"))
        is_page(sign_up(daemon, "BEA@example.org"))
        daemon.restart()  # what was counted in memory is gone; what is stored is not
        is_page(sign_up(daemon, "bea@example.org"))
        is_page(post_form(daemon, "/s/news", ("email", "cleo@example.org"), ("website", "http://spam.example")))
        expect(daemon.get("/v1/customers?identity=email:cleo@example.org").json["items"], [])
        expect(len(daemon.get("/v1/messages?topic=confirmation").json["items"]), 1)


@test
def a_crowd_from_one_network_is_bounded_and_refuses_nobody_elsewhere(folder):
    def behind_a_proxy(config):
        configure(config)
        config["server"]["proxies"] = ["127.0.0.0/8"]

    def from_address(address, n):
        return sign_up(daemon, f"n{n}@example.org", "few", **{"X-Forwarded-For": address}).status

    with Daemon(folder, channels={"mail": {"plugin": "sink", "options": {"address_kind": "email"}}}, config=behind_a_proxy) as daemon:
        for site, neighbour, elsewhere in (("2001:db8:5:{:x}::1", "2001:db8:5:ffff::1", "2001:db8:6::1"),
                                           ("192.0.2.{}", "192.0.2.254", "192.0.3.1")):
            went = [from_address(site.format(n // 2), f"{len(site)}.{n}") for n in range(16)]  # 8 hosts with 2 each: all a site has
            expect(went, [200] * 16)
            expect(from_address(neighbour, f"{len(site)}.x"), 429)
            expect([from_address(elsewhere, f"{len(site)}.y{n}") for n in range(3)], [200, 200, 429])


@test
def what_is_no_address_is_asked_for_again_and_too_many_are_refused(folder):
    with daemon_in(folder) as daemon:
        for bad in ("", "ana", "a@b@c", "a@b.example\r\nBcc: x@y.example", "x" * 5000 + "@example.org"):
            page = is_page(sign_up(daemon, bad), 422)
            expect_true('role="alert"' in page.text, page.text[-800:])
        expect(is_page(visit(daemon, "POST", "/s/news", b"email=%ff", FORM), 400).status, 400)
        expect(visit(daemon, "GET", "/s/nothing").status, 404)
        expect([sign_up(daemon, f"d{i}@example.org", "few").status for i in range(4)], [200, 200, 429, 429])
        expect(sign_up(daemon, "d9@example.org", "few").headers["Retry-After"], "60")
        answer = sign_up(daemon, "eva@example.org", "onward")
        expect((answer.status, answer.headers["Location"]), (303, "https://shop.example/thanks?a=1"))
        expect_true("form-action 'self' https://shop.example;" in visit(daemon, "GET", "/s/onward").headers["Content-Security-Policy"],
                    "a browser lets the form lead there")


@test
def a_proxy_of_ours_is_believed_about_who_asks_and_nobody_else(folder):
    def behind(config):
        config["server"]["proxies"] = ["127.0.0.0/8", "10.0.0.0/8"]

    def address_kept(daemon, key, forwarded):
        who = customer(daemon, key)
        grant(daemon, who)
        link = kept(daemon, newsletter(daemon, who))["unsubscribe_url"]
        is_page(visit(daemon, "POST", link, ONE_CLICK, {**FORM, "X-Forwarded-For": forwarded}))
        return json.loads(consents(daemon, who)[("newsletter", "email")]["proof"])["address"]

    with daemon_in(folder) as daemon:
        expect(address_kept(daemon, "stranger", "203.0.113.9"), "127.0.0.1")
        daemon.stop()
        daemon.drop_client()
        behind(daemon.config)
        daemon.start()
        for i, (forwarded, want) in enumerate((("6.6.6.6, 203.0.113.9, 10.1.1.1", "203.0.113.9"), ("2001:db8::7", "2001:db8::7"),
                                               ("203.0.113.9, rubbish", "127.0.0.1"), ("", "127.0.0.1"), ("10.0.0.2", "10.0.0.2"))):
            expect(address_kept(daemon, f"c{i}", forwarded), want, forwarded)


@test
def a_link_to_confirm_expires(folder):
    def short(config):
        configure(config)
        config["pages"]["confirm_within"] = "1m"

    with daemon_in(folder) as daemon:
        sign_up(daemon, ANA)
        link = confirm_link(wait_until(lambda: confirmations(daemon), "the message")[0])
        daemon.stop()
        daemon.wrap = wall_clock("+8d")
        daemon.start()
        expect(is_page(visit(daemon, "GET", link), 410).status, 410)
        expect(is_page(post_form(daemon, link, ("do", "confirm")), 410).status, 410)


@test
def the_api_asks_for_a_confirmation_too(folder):
    with daemon_in(folder) as daemon:
        who = customer(daemon, locale="fr")
        kind = daemon.get("/v1/channels/mail").json["channel_kind"]
        path = f"/v1/customers/{who}/consents/newsletter/{kind}"
        answer = daemon.put(path, {"granted": True, "confirm": True, "source": "till 4", "proof": "signed slip 77"})
        expect((answer.status, answer.json["granted"], answer.json["repeated"]), (202, False, False), answer.text)
        again = daemon.put(path, {"granted": True, "confirm": True})
        expect((again.status, again.json["confirmation"], again.json["repeated"]), (202, answer.json["confirmation"], True))
        mail = wait_until(lambda: confirmations(daemon), "the message")[0]
        expect(mail["subject"], "Veuillez confirmer : News & <offers>")
        is_page(post_form(daemon, confirm_link(mail)))
        proof = json.loads(consents(daemon, who)[("newsletter", kind)]["proof"])
        expect((proof["asked"]["source"], proof["asked"]["proof"], proof["asked"]["key"]), ("till 4", "signed slip 77", "tests"))
        for body, code in (({"granted": False, "confirm": True}, "bad_value"),
                           ({"granted": True, "confirm": True, "at": "2026-01-01T00:00:00Z"}, "bad_value")):
            refused = daemon.put(path, body)
            expect((refused.status, refused.json["code"]), (422, code))
        expect(daemon.put(f"/v1/customers/{who}/consents/newsletter/*", {"granted": True, "confirm": True}).status, 422)
        expect(daemon.put(f"/v1/customers/{who}/consents/newsletter/voice", {"granted": True, "confirm": True}).json["code"], "no_address")
        expect(daemon.put("/v1/customers/external:nobody/consents/newsletter/email", {"granted": True, "confirm": True}).status, 404)


# --- clicks and opens ---

HTML = '<p><a href="https://shop.example/a?x=1&amp;y=2">A</a> <a href="mailto:help@shop.example">mail</a>' \
       '<a href="{{unsubscribe_url}}">out</a><a href="{{preferences_url}}">choose</a></p></body>'
TEXT = "See https://shop.example/t(1). Out: {{unsubscribe_url}} Choose: {{preferences_url}}"


def told_message(daemon, who, **more):
    return newsletter(daemon, who, "told", {"text": TEXT, "html": HTML, "buttons": [{"label": "Go", "url": "https://shop.example/b"}], **more})


@test
def links_and_picture_are_ours_and_lead_where_the_message_says(folder):
    with daemon_in(folder) as daemon:
        who = customer(daemon)
        grant(daemon, who, "told")
        message = told_message(daemon, who)
        entry = kept(daemon, message)
        text, html = part(entry, "text"), part(entry, "html")
        base = f"http://127.0.0.1:{daemon.port}"
        expect_true("shop.example" not in html.replace("mailto:help@shop.example", "") and "mailto:help@shop.example" in html, html)
        expect(html.count(f"{base}/o/"), 1)
        expect_true(html.endswith('style="border:0"></body>'), html)
        expect_true(f'href="{entry["unsubscribe_url"]}"' in html and f"Out: {entry['unsubscribe_url']} " in text, "the way out is told of nothing")
        preferences = re.search(r'href="([^"]+/p/[^"]+)"', html).group(1)
        expect_true(f"Choose: {preferences}" in text, text)
        is_page(visit(daemon, "GET", preferences))
        clicks = re.findall(rf"{base}/c/[a-z0-9]+", html + " " + text)
        targets = []
        for link in clicks:
            answer = visit(daemon, "GET", link)
            expect((answer.status, answer.headers["Referrer-Policy"], answer.headers["Set-Cookie"]), (302, "no-referrer", None), answer.text[:200])
            targets.append(answer.headers["Location"])
        expect(targets, ["https://shop.example/a?x=1&y=2", "https://shop.example/t(1)"])
        picture = visit(daemon, "GET", re.search(rf"{base}/o/[a-z0-9]+", html).group(0))
        expect((picture.status, picture.headers["Content-Type"], picture.body[:6], len(picture.body)), (200, "image/gif", b"GIF89a", 43))
        rows = events(daemon, who, "message.clicked", "message.opened")
        expect(sorted((row["type"], row["data"].get("link"), row["data"].get("machine")) for row in rows),
               [("message.clicked", "https://shop.example/a?x=1&y=2", None), ("message.clicked", "https://shop.example/t(1)", None),
                ("message.opened", None, None)])
        expect(rows[0]["data"]["agent"], BROWSER["User-Agent"])
        expect(daemon.message_state(message)["content"]["html"], HTML, "what was said is kept as it was said")


@test
def a_topic_that_does_not_tell_leaves_links_alone(folder):
    with daemon_in(folder) as daemon:
        who = customer(daemon)
        entry = kept(daemon, newsletter(daemon, who, "orders", {"text": "https://shop.example/", "html": "<a href=javascript:x>y</a>"}))
        expect((part(entry, "text"), part(entry, "html")), ("https://shop.example/", "<a href=javascript:x>y</a>"))


@test
def programs_are_marked_and_a_burst_counts_once(folder):
    with daemon_in(folder) as daemon:
        who = customer(daemon)
        grant(daemon, who, "told")
        entry = kept(daemon, told_message(daemon, who))
        link, other = re.findall(r"http://[^\"\s]+/c/[a-z0-9]+", part(entry, "html") + " " + part(entry, "text"))
        with contextlib.closing(Client(daemon.port, key=None)) as client:
            path = urllib.parse.urlsplit(link).path
            for _ in range(1000):
                expect(client.request("GET", path, headers=BROWSER).status, 302)
        rows = events(daemon, who, "message.clicked")
        expect([row["data"].get("machine") for row in rows], [None])
        for headers in ({"User-Agent": "Googlebot/2.1"}, {"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}, {"User-Agent": ""}):
            expect(visit(daemon, "GET", link, headers=headers).status, 302)
        head = visit(daemon, "HEAD", other)
        expect((head.status, head.headers["Location"]), (302, "https://shop.example/t(1)"))
        rows = events(daemon, who, "message.clicked")
        expect(sorted(row["data"].get("machine", False) for row in rows), [False, True, True])


@test
def what_comes_seconds_after_the_hand_over_is_no_person(folder):
    def quick(config):
        configure(config)
        config["tracking"]["machine_within"] = "1h"

    with Daemon(folder, channels={"mail": {"plugin": "sink", "options": {"address_kind": "email"}}}, config=quick) as daemon:
        who = customer(daemon)
        grant(daemon, who, "told")
        html = part(kept(daemon, told_message(daemon, who)), "html")
        visit(daemon, "GET", re.search(r"http://[^\"]+/o/[a-z0-9]+", html).group(0))
        expect([row["data"]["machine"] for row in events(daemon, who, "message.opened")], [True])


OWN_LINKS = {"locales": {"en": {
    "text": "Hello {{name}}. Out: {{unsubscribe_url}} Choose: {{preferences_url}}",
    "html": '<p>Hello {{name}} <a href="{{unsubscribe_url}}">out</a> <a href="{{preferences_url}}">choose</a></p>',
    "buttons": [{"label": "Out", "url": "{{unsubscribe_url}}"}]}}}


@test
def a_template_carries_each_recipients_own_way_out(folder):
    with daemon_in(folder) as daemon:
        expect(daemon.put("/v1/templates/news", OWN_LINKS).status, 200)
        seen = {}
        for name in ("ana", "bea"):
            who = customer(daemon, name)
            grant(daemon, who)
            grant(daemon, who, "told")
            for topic in ("newsletter", "told"):
                answer = daemon.post("/v1/messages", {"to": {"customer": who}, "topic": topic, "template": "news", "data": {"name": name}})
                entry = kept(daemon, answer.json["id"])
                html, out = part(entry, "html"), entry["unsubscribe_url"]
                choose = re.search(r'href="([^"]+/p/[^"]+)"', html).group(1)
                expect(part(entry, "text").split("\n")[0], f"Hello {name}. Out: {out} Choose: {choose}")
                expect_true(f'<a href="{out}">out</a>' in html and f'"{out}"' in json.dumps(entry), html)
                seen[name, topic] = out, choose
        expect(len({out for out, _ in seen.values()}), 4, "one for each recipient and message")
        expect(len({choose for _, choose in seen.values()}), 2, "one for each recipient")
        is_page(visit(daemon, "POST", seen["ana", "newsletter"][0], b"List-Unsubscribe=One-Click", FORM))
        wants = {name: daemon.get(f"/v1/customers?identity=email:{name}@example.org").json["items"][0]["consents"] for name in ("ana", "bea")}
        expect([[one["granted"] for one in wants[name] if one["topic"] == "newsletter" and one["channel_kind"] == "email"] for name in wants],
               [[False], []], "of ana alone")


@test
def what_is_tried_out_shows_what_such_links_look_like(folder):
    with daemon_in(folder) as daemon:
        expect(daemon.put("/v1/templates/news", OWN_LINKS).status, 200)
        shown = daemon.post("/v1/templates/news/render", {"data": {"name": "Ana"}}).json["content"]
        base = f"http://127.0.0.1:{daemon.port}"
        expect(shown["text"], f"Hello Ana. Out: {base}/u/example Choose: {base}/p/example")
        expect(shown["buttons"][0]["url"], f"{base}/u/example")
        is_page(visit(daemon, "GET", f"{base}/u/example"), 404)


@test
def a_template_makes_no_link_that_could_not_be_told(folder):
    with daemon_in(folder) as daemon:
        who = customer(daemon)
        for n, content in enumerate(({"html": '<a href="javascript:go()">{{x}}</a>'}, {"text": "{{x}}", "html": "{{{x}}}"},
                                     {"text": "x", "channels": {"email": {"html": '<a href="https://{{x}}/">'}}},
                                     {"text": "x", "channels": {"email": {"html": '<a href="http:">{{x}}</a>'}}})):
            put = daemon.put(f"/v1/templates/t{n}", {"locales": {"en": content}})
            if n == 2:
                expect(put.json["errors"][0]["code"], "unsafe_place")
                continue
            expect(put.status, 200, put.text)
            asked = {"to": {"customer": who}, "topic": "told", "template": f"t{n}", "data": {"x": '<a href="data:text/html,x">'}}
            answer = daemon.post("/v1/messages", asked)
            expect(answer.status, 422, answer.text)
            refused = answer.json["errors"][0]
            expect((refused["code"], refused["pointer"].startswith("/template/")), ("bad_link", True))
            expect(daemon.post("/v1/messages", {**asked, "topic": "newsletter"}).status, 202, "nothing is told of this topic")


@test
def a_target_that_no_browser_should_open_is_refused_when_the_message_is_accepted(folder):
    with daemon_in(folder) as daemon:
        who = customer(daemon)
        for html in ('<a href="javascript:alert(1)">', '<a href="data:text/html,x">', "<a href='https://a.example/\r\nX: y'>",
                     '<a href="https://a.example/' + "a" * 5000 + '">', '<a href="java&#115cript:x">'):
            for content, pointer in (({"html": html}, "/content/html"),
                                     ({"text": "x", "channels": {"email": {"html": html}}}, "/content/channels/email/html")):
                answer = daemon.post("/v1/messages", {"to": {"customer": who}, "topic": "told", "content": content})
                expect((answer.status, answer.json["errors"][0]["code"], answer.json["errors"][0]["pointer"]), (422, "bad_link", pointer))
        expect(daemon.get("/v1/messages").json["items"], [])


@test
def the_picture_is_the_same_whatever_is_asked_for(folder):
    with daemon_in(folder) as daemon:
        for path in ("/o/x", "/o/../../etc/passwd", "/o/", "/o/" + "0" * 5000, "/o/%zz", "/o/%3Cscript%3E"):
            answer = visit(daemon, "GET", path, headers={"User-Agent": "<script>" + "x" * 9000})
            expect((answer.status, answer.headers["Content-Type"], len(answer.body)), (200, "image/gif", 43), path[:40])


if __name__ == "__main__":
    run()
