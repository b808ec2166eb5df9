"""Mail into an email channel: channels that listen, mails, deliveries by LMTP and SMTP, and what a customer's history then shows.
Python's standard library alone."""

import email.message
import os
import smtplib

from parley_test import expect

KEY_OF_OLD_SHOP = "old-shop-software"


def channel(port, smtp=None, submission=None, isolation=None, **listen):
    options = {"from": "Shop <orders@shop.example>", "helo": "mx.shop.example"}
    if port:
        options["listen"] = {"address": f"127.0.0.1:{port}", "domains": ["shop.example"], **listen}
    if smtp:
        options["smtp"] = f"smtp://127.0.0.1:{smtp}"
    if submission:
        options["submission"] = submission
    return {"plugin": "email", "options": options, **({"isolation": isolation} if isolation else {})}


def mail(text="Where is my order?\n", message_id="<a1@example.org>", to="support@shop.example", sender="Ana <ana@example.org>", **headers):
    made = email.message.EmailMessage()
    made["From"], made["To"], made["Subject"] = sender, to, "Order 1042"
    if message_id:
        made["Message-ID"] = message_id
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    made.set_content(text)
    return made


def crlf(made):
    return made.as_bytes(policy=made.policy.clone(linesep="\r\n"))


def codes(port, made, to=("support@shop.example",), sender="ana@example.org", client=smtplib.LMTP):
    """The code of each recipient, refused at RCPT or answered after the final dot."""
    raw = made if isinstance(made, bytes) else crlf(made)
    with client("127.0.0.1", port, timeout=20) as session:
        session.ehlo_or_helo_if_needed()
        session.mail(sender)
        answers = {address: session.rcpt(address)[0] for address in to}
        taken = [address for address in to if answers[address] == 250]
        if taken:
            expect(session.docmd("DATA")[0], 354)
            session.send(raw + b"\r\n.\r\n")
            for address in taken if client is smtplib.LMTP else taken[:1]:
                answers[address] = session.getreply()[0]
        return [answers[address] for address in to]


def messages(daemon, address="ana@example.org"):
    found = daemon.get(f"/v1/customers?identity=email:{address}").json["items"]
    if not found:
        return []
    items = daemon.get(f"/v1/customers/{found[0]['id']}/timeline").json["items"]
    return [entry["message"] for entry in items if "message" in entry]


def old_shop(folder):
    def change(config):
        for name, scope in (("old", "messages:send"), ("reader", "messages:read")):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(KEY_OF_OLD_SHOP + ("" if name == "old" else "-reads"))
            config["server"]["keys"].append({"name": name, "secret": {"file": os.path.join(folder, name)}, "scopes": [scope],
                                             "topic": "orders"})
    return change
