#!/usr/bin/python3
# label: border
# timeout: 300
# build: debug asan
"""The exec plugin with a real daemon: programs that work (examples/exec_channel.py among them), and programs that die, hang, talk
nonsense, say too much, or do not listen, beside a channel that must not notice. tests/support/exec_puppet.py runs what each message
says."""

import base64
import json
import os
import re
import signal
import subprocess
import threading
import time

from parley_test import (BIN_DIR, PLUGIN_DIR, SECRET, TOP, Daemon, Failure, Recorder, Reply, expect, expect_true, media_bytes, parley,
                         run, test, wait_until)

PYTHON = "/usr/bin/python3"
PUPPET = [PYTHON, os.path.join(TOP, "tests/support/exec_puppet.py")]
SLOW_MS = 1000
PHONE = {"phone": "+34600111222"}


def program(*words, isolation="inline", **options):
    """The configuration of a channel that runs the puppet, or the program given by its words."""
    return {"plugin": "exec", "isolation": isolation,
            "options": {"command": list(words) or PUPPET, "address_kind": "phone", **options}}


def in_both(function):
    """A test that is run with the plugin in the daemon, and again with it in a process of its own."""
    for isolation in ("inline", "process"):
        def one(folder, isolation=isolation):
            function(folder, isolation)

        one.__name__ = f"{function.__name__}_{isolation}"
        test(one)
    return function


def subscribed(desk, *types):
    def change(config):
        config["subscriptions"] = {"desk": desk.subscription(*types)}
    return change


def send(daemon, python, channel="chat", **more):
    return daemon.send(python, to=more.pop("to", PHONE), channels=[channel], **more)


def channel_of(daemon, name):
    for item in daemon.get("/v1/channels").json["items"]:
        if item["name"] == name:
            return item
    raise Failure(f"no channel {name}")


def wait_state(daemon, state, cause="", name="chat"):
    """Waits until the channel is up, or down for a cause that holds these words."""
    seen = {}

    def is_so():
        seen.update(channel_of(daemon, name))
        return seen["state"] == state and cause in (seen.get("cause") or "")

    wait_until(is_so, lambda: f"channel {name} is {state} ({cause}): {json.dumps(seen)}")


def processes_with(marker):
    """Pids of the processes whose environment holds the marker."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and marker.encode() in open(f"/proc/{name}/environ", "rb").read():
                found.append(int(name))
        except OSError:
            pass
    return found


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1][0] not in "ZX"
    except OSError:
        return False


def good_neighbour(daemon, shop, count=5):
    """Another channel carries its messages, and no call of ours held the loop. 50 ms are logged, which a busy machine takes."""
    for i in range(count):
        daemon.wait_status(daemon.send(f"neighbour {i}", channels=["hook"]), "sent")
    slow = [int(ms) for ms in re.findall(r"event=slow_call channel=chat .*took_ms=([0-9]+)", daemon.log())]
    expect_true(max(slow, default=0) < SLOW_MS, f"no call into the plugin took long: {slow} ms")
    expect(daemon.metric("parley_messages_add_up"), 1.0)


# --- what works ---

class Gateway:
    """What examples/exec_channel.py talks to: takes texts at /messages, has answers at /answers until they are deleted."""

    def __init__(self):
        self.lock = threading.Lock()
        self.answers = []
        self.recorder = Recorder(answer=self.reply)

    def reply(self, request):
        with self.lock:
            if request.method == "POST":
                return Reply(body={"id": "gw-" + request.json["key"]})
            if request.method == "DELETE":
                self.answers = [a for a in self.answers if a["id"] != request.path.rsplit("/", 1)[1]]
                return Reply(body={})
            return Reply(body=json.dumps(self.answers).encode())


@test
def the_example_sends_through_a_gateway_and_takes_answers_in(folder):
    gateway = Gateway()
    with gateway.recorder, Recorder() as desk:
        example = program(PYTHON, os.path.join(TOP, "examples/exec_channel.py"),
                          env={"SMS_GATEWAY": f"http://127.0.0.1:{gateway.recorder.port}", "POLL_S": "0.1"})
        with Daemon(folder, channels={"sms": example}, config=subscribed(desk, "message.received")) as daemon:
            wait_state(daemon, "up", name="sms")
            message = send(daemon, "Your order is on its way.", channel="sms")
            daemon.wait_status(message, "sent")
            sent = [r.json for r in gateway.recorder.matching(lambda r: r.method == "POST")]
            expect(sent, [{"to": PHONE["phone"], "text": "Your order is on its way.", "key": message}])
            with gateway.lock:
                gateway.answers.append({"id": "a-1", "from": PHONE["phone"], "text": "Thank you"})
            event = desk.wait_for()[0].json
            expect(event["data"]["message"]["content"]["text"], "Thank you")
            expect_true(any(entry.get("message", {}).get("id") == message or message in json.dumps(entry)
                            for entry in event["data"]["recent"]), "the customer's order stands beside the answer")
            wait_until(lambda: not gateway.answers, "the answer is forgotten once it is stored")
            probe = parley(daemon, "channel", "check", "sms")
            expect(probe.returncode, 0, probe.stdout + probe.stderr)


def code_block(path, language):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read().split(f"```{language}\n", 1)[1].split("```", 1)[0]


@test
def the_smallest_program_of_the_readme_works(folder):
    smallest = program(PYTHON, "-c", code_block("plugins/exec/README.md", "python"))
    with Daemon(folder, channels={"chat": smallest}) as daemon:
        daemon.wait_status(send(daemon, "hello"), "sent")
        expect(parley(daemon, "channel", "check", "chat").returncode, 0)


@test
def the_example_in_the_configuration_is_right(folder):
    with open(os.path.join(TOP, "conf/parley.yaml"), encoding="utf-8") as file:
        lines = file.read().splitlines(keepends=True)
    begin = next(i for i, line in enumerate(lines) if line.startswith("  # sms-program:"))
    end = next(i for i in range(begin + 1, len(lines)) if not lines[i].startswith("  #   "))
    lines[begin:end] = ["  " + line[4:] for line in lines[begin:end]]
    path = os.path.join(folder, "parley.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(lines)
    env = dict(os.environ, PARLEY_KEY="x" * 20, HOOK_SECRET=SECRET, FEED_SECRET=SECRET, SMS_API_TOKEN="t" * 20,
               PARLEY_PLUGINS=PLUGIN_DIR)
    check = subprocess.run([os.path.join(BIN_DIR, "parley"), "-c", path, "config", "check"], capture_output=True, text=True,
                           env=env)
    expect(check.returncode, 0, check.stdout + check.stderr)
    with open(path, "w", encoding="utf-8") as file:
        file.write("".join(lines).replace("receipts: [delivered]", "receipts: [deliverd]"))
    check = subprocess.run([os.path.join(BIN_DIR, "parley"), "-c", path, "config", "check"], capture_output=True, text=True,
                           env=env)
    expect_true(check.returncode != 0 and "sent, delivered, read" in check.stdout + check.stderr, "a wrong word is found")


@test
def receipts_answers_and_events_come_in_and_are_acknowledged_after_the_commit(folder):
    with Recorder() as desk:
        with Daemon(folder, channels={"chat": program(receipts=["delivered", "read"])},
                    config=subscribed(desk, "message.received", "touchpoint.*")) as daemon:
            message = send(daemon, "settle('accepted', ids=['p-1'])\n"
                                   "say('receipt', id='r-1', provider_id='p-1', status='delivered')\n"
                                   "say('log', line='receipt ' + wait_for('done')['status'])")
            daemon.wait_status(message, "delivered")
            send(daemon, "settle('accepted')\n"
                         "say('inbound', id='m-1', text='Where is it?', reply_to='p-1', **{'from': message['to']})\n"
                         "first = wait_for('done')\n"
                         "say('inbound', id='m-1', text='Where is it?', reply_to='p-1', **{'from': message['to']})\n"
                         "again = wait_for('done')\n"
                         "say('log', line=f\"{first['message'] == again['message']} {again['duplicate']}\")\n"
                         "say('event', id='e-1', event='call.ended', who=message['to'], fields={'seconds': '12'})\n"
                         "say('log', line='event ' + wait_for('done')['status'])\n"
                         "say('inbound', id='m-2', text='x', **{'from': {'email': 'none'}})\n"
                         "say('log', line='bad address ' + wait_for('done')['status'])")
            events = desk.wait_for(count=2)
            expect(sorted(event.json["type"] for event in events), ["message.received", "touchpoint.call.ended"])
            wait_until(lambda: "bad address" in daemon.log(), "the last line of the program")
            for words in ("receipt ok", "True True", "event ok", "bad address invalid"):
                expect_true(f'line="{words}"' in daemon.log(), f"the program heard: {words}")


@in_both
def what_a_program_hands_in_is_media_that_the_message_names(folder, isolation):
    card = b"BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Ana\r\nEND:VCARD\r\n"
    large = bytes(range(256)) * 2000
    with Recorder() as desk, Daemon(folder, channels={"chat": program(isolation=isolation)},
                                    config=subscribed(desk, "message.received")) as daemon:
        encoded = [base64.b64encode(data).decode() for data in (large, card)]
        for times, number in enumerate((1, 1, 2), 1):
            send(daemon, "settle('accepted')\n"
                         "import base64\n"
                         f"card = {encoded[1]!r}\n"
                         "picture = base64.b64encode(bytes(range(256)) * 2000).decode()\n"
                         f"say('inbound', id='m-{number}', parts=[{{'kind': 'text', 'text': 'It is broken'}},\n"
                         "    {'kind': 'media', 'data': picture, 'media_type': 'image/png', 'name': 'lamp.png', 'caption': 'see'},\n"
                         "    {'kind': 'contact', 'data': card}], **{'from': message['to']})\n"
                         "say('log', line='handed in ' + wait_for('done')['status'])")
            wait_until(lambda: daemon.log().count('line="handed in ok"') == times, "it is stored")
        seen = [event.json["data"]["message"] for event in desk.wait_for(count=2)]
        expect(len(desk.requests), 2)
        for message in seen:
            expect(message["content"]["text"], "It is broken")
            picture, contact = message["content"]["media"]
            expect([picture[name] for name in ("type", "name", "caption")], ["image/png", "lamp.png", "see"])
            expect(contact["type"], "text/vcard")
            expect(media_bytes(daemon, picture["id"]) == large, True)
            expect(media_bytes(daemon, contact["id"]), card)
        expect(seen[0]["content"]["media"], seen[1]["content"]["media"], "the same content is the same media")
        expect(daemon.metric("parley_inbound_other_body_total"), 0.0)


@test
def a_program_cannot_be_told_from_the_configuration_without_running_it(folder):
    with Daemon(folder, channels={"chat": program(channel_kind="sms", in_flight=3)}) as daemon:
        seen = channel_of(daemon, "chat")
        expect((seen["address_kind"], seen["channel_kind"]), ("phone", "sms"))
        daemon.config["channels"]["chat"]["options"]["carrys"] = ["html"]
        daemon.write_config()
        check = subprocess.run([os.path.join(BIN_DIR, "parley"), "-c", daemon.config_path, "config", "check"],
                               capture_output=True, text=True, env=dict(os.environ, PARLEY_KEY="x" * 20))
        expect_true(check.returncode != 0 and "did you mean 'carries'" in check.stdout + check.stderr,
                    f"the typo is found: {check.stdout}{check.stderr}")


@test
def a_program_that_is_not_there_refuses_a_reload_and_leaves_the_old_one_at_work(folder):
    with Daemon(folder, channels={"chat": program()}) as daemon:
        wait_state(daemon, "up")
        daemon.config["channels"]["chat"]["options"]["command"] = ["/nowhere/program"]
        daemon.write_config()
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: "event=reload_refused" in daemon.log(), "the refusal")
        expect_true("/nowhere/program" in daemon.log(), "it names the program")
        daemon.wait_status(send(daemon, "settle('accepted')"), "sent")


# --- what fails, beside a neighbour ---

def faulty(folder, shop, isolation, **options):
    return Daemon(folder, channels={"chat": program(isolation=isolation, **options), "hook": shop.channel()})


@in_both
def one_that_is_killed_is_started_again_and_what_it_had_is_marked(folder, isolation):
    with Recorder() as shop, faulty(folder, shop, isolation) as daemon:
        message = send(daemon, "settle('accepted') if line['resent'] else os.kill(os.getpid(), 9)")
        wait_until(lambda: "ended by signal 9 (Killed)" in daemon.log(), "the end is told")
        good_neighbour(daemon, shop)
        state = daemon.wait_status(message, "sent")
        expect([attempt["outcome"] for attempt in state["attempts"]], ["unknown", "accepted"])
        expect(state["possible_duplicate"], True)
        wait_state(daemon, "up")


@in_both
def a_message_that_kills_it_three_times_is_held_and_its_neighbours_go(folder, isolation):
    with Recorder() as shop, faulty(folder, shop, isolation) as daemon:
        killer = send(daemon, "os.kill(os.getpid(), 9)")
        good = [send(daemon, "settle('accepted')", to={"phone": f"+3460011{number:04}"}) for number in range(20)]
        state = daemon.wait_status(killer, "held", timeout_s=120)
        expect((state["reason"], state["deliveries"][0]["deaths"]), ("poison", 3))
        for message in good:
            daemon.wait_status(message, "sent", timeout_s=60)
        expect_true(all(daemon.message_state(message)["deliveries"][0].get("deaths", 0) <= 1 for message in good), "one death at most")


@in_both
def one_that_exits_at_once_is_down_with_its_last_words(folder, isolation):
    with Recorder() as shop:
        broken = program(PYTHON, "-c", "import sys; sys.exit('the modem is unplugged')", isolation=isolation)
        with Daemon(folder, channels={"chat": broken, "hook": shop.channel()}) as daemon:
            wait_state(daemon, "down", "exit 1: the modem is unplugged")
            wait_until(lambda: daemon.log().count("event=program_ended") >= 4, "it is tried again, and again")
            message = send(daemon, "later")
            good_neighbour(daemon, shop)
            expect_true(daemon.message_state(message)["status"] in ("queued", "sending"), "the message waits")
            checked = parley(daemon, "channel", "check", "chat")
            expect_true(checked.returncode != 0 and "modem" in checked.stdout + checked.stderr, "the check says why")


@in_both
def one_that_talks_nonsense_is_killed(folder, isolation):
    with Recorder() as shop, faulty(folder, shop, isolation) as daemon:
        send(daemon, "settle('accepted')\nwhile True: write('Hello World\\n')")
        wait_until(lambda: "killed: 20 lines that are no protocol" in daemon.log(), "it is killed")
        good_neighbour(daemon, shop)
        wait_state(daemon, "up")
        expect_true(daemon.log().count("event=program_line_bad") <= 20, "the log is bounded")


@in_both
def one_that_hangs_is_killed_and_its_message_is_unknown(folder, isolation):
    with Recorder() as shop, faulty(folder, shop, isolation, timeout="500ms", kill_after="50ms") as daemon:
        wait_state(daemon, "up")
        message = send(daemon, "settle('accepted') if line['resent'] else time.sleep(1000)")
        wait_until(lambda: "killed: it hangs" in daemon.log(), "it is killed")
        good_neighbour(daemon, shop)
        daemon.wait_status(message, "sent")


@in_both
def one_that_floods_its_output_slows_nobody(folder, isolation):
    with Recorder() as shop, faulty(folder, shop, isolation) as daemon:
        message = send(daemon, "settle('accepted')\nwhile True: say('log', line='flood ' * 100)")
        daemon.wait_status(message, "sent")
        wait_until(lambda: "event=program_lines_not_logged" in daemon.log(), "lines are left out")
        good_neighbour(daemon, shop, count=20)
        expect_true(daemon.log().count('line="flood') < 2000, "the log is bounded")


@in_both
def one_that_floods_its_stderr_slows_nobody(folder, isolation):
    with Recorder() as shop, faulty(folder, shop, isolation) as daemon:
        message = send(daemon, "settle('accepted')\nwhile True: os.write(2, b'flood ' * 1000 + b'\\n')")
        daemon.wait_status(message, "sent")
        wait_until(lambda: "event=program_lines_not_logged" in daemon.log(), "lines are left out")
        good_neighbour(daemon, shop, count=20)


@in_both
def one_that_does_not_read_is_killed_and_what_it_never_read_is_no_duplicate(folder, isolation):
    with Recorder() as shop:
        deaf = program(*PUPPET, "say('ready'); time.sleep(1000)", timeout="500ms", kill_after="50ms", isolation=isolation)
        with Daemon(folder, channels={"chat": deaf, "hook": shop.channel()}) as daemon:
            messages = [send(daemon, "#" + "x" * 20000, to={"phone": f"+3460011122{i}"}) for i in range(8)]
            good_neighbour(daemon, shop)
            for message in messages:
                wait_until(lambda: daemon.message_state(message)["attempts"][0]["outcome"] != "open", "it is given up")
                state = daemon.message_state(message)
                expect((state["attempts"][0]["outcome"], state.get("possible_duplicate", False)), ("retry", False))
            expect_true("why=\"killed: it " in daemon.log(), "it is killed")


@in_both
def a_line_of_megabytes_costs_itself_alone(folder, isolation):
    with Recorder() as shop, faulty(folder, shop, isolation) as daemon:
        message = send(daemon, "say('log', line='x' * 30000000); settle('accepted')")
        daemon.wait_status(message, "sent")
        expect_true("code=too_long" in daemon.log(), "the line is told of")
        good_neighbour(daemon, shop)


@in_both
def a_program_that_takes_memory_without_end_hurts_itself_alone(folder, isolation):
    with Recorder() as shop, faulty(folder, shop, isolation, memory="200M") as daemon:
        message = send(daemon, "settle('accepted') if line['resent'] else [bytearray(10 << 20) for i in range(10000)]")
        wait_until(lambda: "MemoryError" in daemon.log(), "its memory ends")
        good_neighbour(daemon, shop)
        daemon.wait_status(message, "sent")


# --- secrets, and the end ---

@in_both
def a_secret_reaches_the_program_and_nobody_else(folder, isolation):
    secret = "correct-horse-battery-staple"
    channel = program(secrets={"API_TOKEN": {"env": "TEST_API_TOKEN"}}, env={"MARK": folder},
                      isolation=isolation)
    with Recorder() as shop, Daemon(folder, channels={"chat": channel, "hook": shop.channel()},
                                    env={"TEST_API_TOKEN": secret}) as daemon:
        message = send(daemon, "token_ = os.environ['API_TOKEN']; print('stderr', token_, file=sys.stderr)\n"
                               "say('log', line='log ' + token_); say('health', level='degraded', cause='cause ' + token_)\n"
                               "sys.stderr.write('padding ' * 126 + token_ + '\\n')\n"
                               "settle('rejected', code=token_, detail='detail ' + 'x' * 495 + token_)")
        state = daemon.wait_status(message, "failed")
        wait_until(lambda: "line=\"stderr ***\"" in daemon.log() and "line=\"log ***\"" in daemon.log(), "its words")
        programs = [pid for pid in processes_with("MARK=" + folder) if pid != daemon.process.pid]
        expect(len(programs), 1)
        environ = open(f"/proc/{programs[0]}/environ", "rb").read()
        expect_true(f"API_TOKEN={secret}".encode() in environ and b"PARLEY_KEY" not in environ, "its own secret alone")
        shown = json.dumps(state) + json.dumps(daemon.get("/v1/channels").json) + daemon.log()
        shown += open(f"/proc/{programs[0]}/cmdline").read()
        expect_true(secret[:12] not in shown, "no piece of the secret is shown")
        expect_true("cause ***" in shown, "the cause is")


@in_both
def programs_end_with_the_daemon_however_it_ends(folder, isolation):
    channel = program(env={"MARK": folder}, kill_after="100ms", isolation=isolation)
    with Daemon(folder, channels={"chat": channel}) as daemon:
        wait_state(daemon, "up")
        message = send(daemon, "say('log', line='taken'); wait_for('drain'); settle('accepted')")
        wait_until(lambda: 'line="taken"' in daemon.log(), "it is in its hands")
        expect(daemon.stop(), 0)
        wait_until(lambda: not processes_with("MARK=" + folder), "nothing is left after SIGTERM")
        daemon.start()
        expect(daemon.message_state(message)["status"], "sent")
        send(daemon, "import signal; signal.signal(15, signal.SIG_IGN); say('log', line='stubborn')\nwhile True: time.sleep(1000)")
        wait_until(lambda: 'line="stubborn"' in daemon.log(), "it is in its hands")
        pids = processes_with("MARK=" + folder)
        expect_true(pids, "a program runs")
        daemon.kill()
        wait_until(lambda: not any(alive(pid) for pid in pids), "nothing is left after SIGKILL of the daemon")


@in_both
def a_reload_puts_a_new_program_to_work_and_lets_the_old_one_finish(folder, isolation):
    with Daemon(folder, channels={"chat": program(isolation=isolation)}) as daemon:
        wait_state(daemon, "up")
        sent = []
        for i in range(3):
            sent += [send(daemon, "time.sleep(0.02); settle('accepted')", to={"phone": f"+346001112{n:02d}"}) for n in range(20)]
            daemon.config["channels"]["chat"]["options"]["in_flight"] = 4 + i
            daemon.write_config()
            daemon.signal(signal.SIGHUP)
        for message in sent:
            state = daemon.wait_status(message, "sent")
            expect(len([a for a in state["attempts"] if a["outcome"] == "accepted"]), 1, f"{state['attempts']}")
        expect(daemon.metric("parley_messages_add_up"), 1.0)


@in_both
def one_that_is_exclusive_never_runs_beside_its_older_self(folder, isolation):
    gate = os.path.join(folder, "gate")
    chat = program(*PUPPET, "say('log', line='begun'); say('ready')", exclusive=True, isolation=isolation)

    def begun():
        return daemon.log().count('line="begun"')

    def reload(name):
        answer = daemon.post(f"/v1/channels/{name}/reload")
        expect(answer.status, 200, answer.text[:300])

    with Daemon(folder, channels={"chat": chat, "other": {"plugin": "sink"}},
                config=lambda config: config["server"].update(drain="30s")) as daemon:
        wait_state(daemon, "up")
        message = send(daemon, f"say('log', line='taken')\nwhile not os.path.exists({gate!r}): time.sleep(0.01)\nsettle('accepted')")
        wait_until(lambda: 'line="taken"' in daemon.log(), "it is in its hands")
        reload("chat")   # the new one waits its turn,
        reload("chat")   # then another one does,
        for _ in range(10):
            reload("other")  # and that one goes on waiting
        expect((begun(), channel_of(daemon, "chat")["state"]), (1, "new"), "programs, and the new channel's state")
        daemon.config["channels"].pop("chat")
        daemon.config["plans"]["default"] = [{"channel": "other"}]
        daemon.write_config()
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: len(daemon.get("/v1/channels").json["items"]) == 1, "it is configured away")
        daemon.config["channels"]["chat"] = chat
        daemon.write_config()
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: len(daemon.get("/v1/channels").json["items"]) == 2, "it is back")
        expect((begun(), channel_of(daemon, "chat")["state"]), (1, "new"))
        with open(gate, "w", encoding="ascii"):
            pass
        daemon.wait_status(message, "sent")
        wait_state(daemon, "up")
        daemon.wait_status(send(daemon, "settle('accepted')"), "sent")
        expect(begun(), 2)
        expect(daemon.stop(), 0)


run()
