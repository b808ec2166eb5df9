#!/usr/bin/python3
# label: email
# timeout: 240
"""A browser without script, Debian's chromium, does what a customer does: unsubscribes by the button, chooses on the preference page,
signs up by a form on the business's own page and confirms, follows a link of a newsletter."""

import re

from parley_browser import Browser
from parley_test import Daemon, Recorder, Reply, expect, expect_true, run, test, wait_until

HTML = {"Content-Type": "text/html; charset=utf-8"}
FORM_PAGE = """<!doctype html><title>Shop</title><h1>Our news</h1>
<form method="post" action="%s"><label>E-mail <input name="email" type="email" required></label>
<p style="position:absolute;left:-200rem"><label>Leave empty <input name="website" tabindex="-1"></label></p><button>Subscribe</button></form>"""


def shop_page(daemon, form):
    """The business's own pages: one with the form, one for afterwards."""
    def answer(request):
        if request.path == "/news":
            return Reply(200, (FORM_PAGE % f"http://127.0.0.1:{daemon.port}/s/{form}").encode(), HTML)
        return Reply(200, b"<!doctype html><title>Thanks</title><main>Thank you from the shop", HTML)
    return answer


def start(folder, shop):
    def configure(config):
        config["topics"]["newsletter"] = {"class": "marketing", "title": "News", "track": {"clicks": True, "opens": True}}
        config["topics"]["orders"]["title"] = "Your orders"
        config["pages"] = {"name": "Ana's Shop"}
        config["tracking"] = {"machine_within": "0s"}
        config["forms"] = {"news": {"topic": "newsletter", "channel": "mail", "thanks_page": f"http://127.0.0.1:{shop.port}/thanks"},
                           "plain": {"topic": "newsletter", "channel": "mail"}}
        config["plans"] = {"default": [{"channel": "mail"}]}

    return Daemon(folder, channels={"mail": {"plugin": "sink", "options": {"address_kind": "email"}}}, config=configure)


def handed(daemon, topic):
    """The newest message of this topic that the sink was given."""
    def newest():
        return [each for each in daemon.get("/v1/channels/mail/sink").json["items"] if each["topic"] == topic]

    return wait_until(newest, f"a message about {topic}")[0]


def part(entry, kind):
    return next(each["text"] for each in entry["parts"] if each["kind"] == kind)


def subscribed(daemon, **more):
    who = daemon.put("/v1/customers/external:ana", {"identities": {"email": "ana@example.org"}, **more}).json["id"]
    daemon.put(f"/v1/customers/{who}/consents/newsletter/email", {"granted": True})
    return who


def granted(daemon, who):
    return {f"{each['topic']}:{each['channel_kind']}": (each["granted"], each["source"])
            for each in daemon.get(f"/v1/customers/{who}/consents").json["items"]}


def newsletter(daemon, who, html):
    daemon.post("/v1/messages", {"to": {"customer": who}, "topic": "newsletter", "content": {"html": html}})
    return handed(daemon, "newsletter")


@test
def the_button_unsubscribes_and_the_preference_page_takes_it_back(folder):
    with Recorder() as shop, start(folder, shop) as daemon, Browser(folder) as browser:
        who = subscribed(daemon)
        browser.open(newsletter(daemon, who, "<p>hello")["unsubscribe_url"])
        expect(browser.text("h1"), "Unsubscribe")
        expect_true("stop receiving “News” by e-mail" in browser.text(), browser.text())
        expect(granted(daemon, who), {"newsletter:email": (True, "api")}, "a look changes nothing")
        browser.go("button")
        expect(browser.text("h1"), "You are unsubscribed")
        expect(granted(daemon, who), {"newsletter:email": (False, "page")})
        browser.go("main a")
        expect(browser.text("h1"), "Your messages")
        expect((browser.is_ticked("[value='newsletter:email']"), browser.is_ticked("[value='orders:email'][type=checkbox]")), (False, True))
        expect(browser.label("[value='newsletter:email'][type=checkbox]"), "News, e-mail", "what a screen reader says of the box")
        browser.click("[value='newsletter:email'][type=checkbox]")
        browser.go("button[value=save]")
        expect_true("Your choice is saved" in browser.text("[role=status]"), browser.text())
        expect(browser.is_ticked("[value='newsletter:email'][type=checkbox]"), True)
        expect(granted(daemon, who), {"newsletter:email": (True, "preferences")})
        browser.go("button[value=stop]")
        expect(browser.is_ticked("[value='newsletter:email'][type=checkbox]"), False)
        expect(granted(daemon, who), {"newsletter:email": (False, "preferences")})


@test
def a_form_on_the_shops_own_page_signs_up_and_the_mailed_button_confirms(folder):
    with Recorder() as shop, start(folder, shop) as daemon, Browser(folder, language="es") as browser:
        shop.answer = shop_page(daemon, "news")
        browser.open(f"http://127.0.0.1:{shop.port}/news")
        browser.type("[name=email]", "bea@example.org")
        browser.go("button")
        expect((browser.url, browser.text()), (f"http://127.0.0.1:{shop.port}/thanks", "Thank you from the shop"))
        mail = handed(daemon, "confirmation")
        expect(mail["subject"], "Por favor, confirme: News")
        link = re.search(r'href="([^"]+/d/[^"]+)"', part(mail, "html")).group(1)
        who = daemon.get("/v1/customers?identity=email:bea@example.org").json["items"][0]["id"]
        browser.open(link)
        expect((browser.text("h1"), granted(daemon, who)), ("Confirmar", {}))
        browser.go("button")
        expect((browser.text("h1"), granted(daemon, who)), ("Gracias", {"newsletter:email": (True, "double_opt_in")}))


@test
def our_own_form_page_signs_up_and_leads_on_to_the_shop(folder):
    with Recorder() as shop, start(folder, shop) as daemon, Browser(folder) as browser:
        shop.answer = shop_page(daemon, "news")
        for form, where in (("plain", f"http://127.0.0.1:{daemon.port}/s/plain"), ("news", f"http://127.0.0.1:{shop.port}/thanks")):
            browser.open(f"http://127.0.0.1:{daemon.port}/s/{form}")
            expect(browser.label("[name=email]"), "E-mail address")
            browser.type("[name=email]", f"{form}@example.org")
            browser.go("button")
            expect(browser.url, where)
            wait_until(lambda: daemon.get(f"/v1/customers?identity=email:{form}@example.org").json["items"], f"{form} signed up")


@test
def a_link_of_a_newsletter_leads_to_the_shop_and_its_picture_tells_of_the_open(folder):
    with Recorder() as shop, start(folder, shop) as daemon, Browser(folder) as browser:
        shop.answer = shop_page(daemon, "news")
        who = subscribed(daemon)
        html = part(newsletter(daemon, who, f"<p><a href='http://127.0.0.1:{shop.port}/sale?a=1&amp;b=2'>Sale</a></p>"), "html")
        shop.answer = lambda request: Reply(200, html.encode() if request.path == "/mail" else b"<main>sale", HTML)
        browser.open(f"http://127.0.0.1:{shop.port}/mail")  # as a mail reader shows it
        browser.go("a")
        expect(browser.url, f"http://127.0.0.1:{shop.port}/sale?a=1&b=2")
        expect([request.headers["Referer"] for request in shop.requests if request.path.startswith("/sale")], [None])
        kinds = wait_until(lambda: {row["type"] for row in daemon.get(f"/v1/customers/{who}/timeline").json["items"]}
                           >= {"message.opened", "message.clicked"}, "both stand on the timeline")
        expect(kinds, True)


if __name__ == "__main__":
    run()
