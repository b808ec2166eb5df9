#!/usr/bin/python3
# label: email
# timeout: 240
# stores: sqlite postgres
"""parleyd is killed while mails come in by LMTP, again and again: whatever was answered 250 is there afterwards, once, however often
its sender has sent it again."""

import random
import smtplib
import threading
import time

from parley_mail_in import channel, crlf, mail
from parley_test import Daemon, expect, expect_true, free_port, run, test, wait_until

CLIENTS = 6
KILLS = 12


class Sender(threading.Thread):
    """Sends mails of one customer, one after the other, each again until it is answered 250."""

    def __init__(self, port, n):
        super().__init__()
        self.port, self.address, self.kept, self.stop = port, f"c{n}@example.org", [], False

    def made(self, number):
        text = f"{number} " + "x" * random.choice([10, 1000, 40000]) + "\n"
        return crlf(mail(text, message_id=f"<{number}.{self.address}>", sender=self.address))

    def deliver(self, raw):
        try:
            with smtplib.LMTP("127.0.0.1", self.port, timeout=10) as session:
                session.sendmail(self.address, ["support@shop.example"], raw)
            return True
        except smtplib.SMTPResponseException as error:
            expect_true(400 <= error.smtp_code < 500, f"it is never refused for good: {error}")
        except smtplib.SMTPRecipientsRefused as error:
            expect_true(all(code < 500 for code, _ in error.recipients.values()), str(error))
        except (OSError, smtplib.SMTPException):
            pass  # it was killed
        time.sleep(0.01)
        return False

    def run(self):
        number = 0
        while not self.stop:
            raw = self.made(number)
            while not self.stop and not self.deliver(raw):
                pass
            if not self.stop:
                self.kept.append(number)
            number += 1


def texts(daemon, address):
    found, cursor = [], ""
    customers = daemon.get(f"/v1/customers?identity=email:{address}").json["items"]
    while customers:
        page = daemon.get(f"/v1/customers/{customers[0]['id']}/timeline?limit=200{cursor}").json
        found += [int(entry["message"]["content"]["text"].split(" ")[0]) for entry in page["items"] if "message" in entry]
        if page["next"] is None:
            break
        cursor = "&cursor=" + page["next"]
    return found


@test
def what_was_answered_250_is_there_once_after_every_kill(folder):
    port = free_port()
    with Daemon(folder, channels={"mail": channel(port)}) as daemon:
        senders = [Sender(port, n) for n in range(CLIENTS)]
        for sender in senders:
            sender.start()
        for _ in range(KILLS):
            time.sleep(random.uniform(0.1, 0.6))
            daemon.kill()
            daemon.start()
        wait_until(lambda: all(sender.kept for sender in senders), "each has delivered something")
        for sender in senders:
            sender.stop = True
        for sender in senders:
            sender.join()
        for sender in senders:
            there = texts(daemon, sender.address)
            expect(len(there), len(set(there)), "no mail is there twice")
            expect(sorted(set(sender.kept) - set(there)), [], "lost, though answered 250")


if __name__ == "__main__":
    raise SystemExit(run())
