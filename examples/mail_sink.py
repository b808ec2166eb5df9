#!/usr/bin/env python3
"""A mail server for looking at: takes mail over SMTP on 127.0.0.1:PORT (python3-aiosmtpd) and prints each as a line of JSON.
usage: mail_sink.py PORT"""
import email, email.policy, json, signal, sys
from aiosmtpd.controller import Controller


class Sink:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        text = mail.get_body(("plain", "html"))
        print(json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos, "subject": mail["subject"],
                          "message-id": mail["message-id"], "text": text.get_content().strip() if text else ""}), flush=True)
        return "250 OK"


server = Controller(Sink(), hostname="127.0.0.1", port=int(sys.argv[1]))
server.start()
signal.sigwait({signal.SIGINT, signal.SIGTERM})
server.stop()
