"""What end-to-end, contract and fault tests share: a daemon of their own, an HTTP client, a recorder that plays the
business's or a support system's endpoint, Standard Webhooks signatures, and a ledger outside the router. Python's
standard library alone (3.11, as Debian 12 has it).

    from parley_test import Daemon, Recorder, expect, run, test

    @test
    def an_accepted_message_reaches_the_webhook(folder):
        with Recorder() as shop, Daemon(folder, channels={"hook": shop.channel()}) as parley:
            answer = parley.post("/v1/messages", parley.message("hello"))
            expect(answer.status, 202)
            shop.wait_for(lambda request: "hello" in request.text)

    run()

Nothing here sleeps for a fixed time: every wait polls a condition until its deadline. run() prints `ok - name`,
`not ok - name` or `skip - name: reason`, and ends with exit code 1 when a test failed."""

import base64
import contextlib
import glob
import hashlib
import hmac
import http.client
import http.server
import inspect
import json
import os
import queue
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from parley_store import ON_POSTGRES, forget_below, store_sql, store_yaml  # noqa: F401, for those who import this

TOP = os.environ.get("PARLEY_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD_DIR = os.environ.get("PARLEY_BUILD_DIR") or os.path.join(TOP, "build", "debug")
BIN_DIR = os.environ.get("PARLEY_BIN_DIR") or os.path.join(BUILD_DIR, "bin")
PLUGIN_DIR = os.environ.get("PARLEY_PLUGIN_DIR") or os.path.join(BUILD_DIR, "plugins")
FULL = os.environ.get("FULL") == "1"
START_TIMEOUT_S = 30
WAIT_S = 20
POLL_S = 0.02
KEY = "test-key-3f6c0a7e5b1d4928a6c0e1f2d3b4a596"
SECRET = "whsec_" + base64.b64encode(b"parley tests sign with 32 bytes.").decode()
MARKER = re.compile(r"~([a-z0-9]+-\d+)~")  # what a test puts into a message's text to know it again
SANITIZER_REPORT = re.compile(r"ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error:")


class Failure(Exception):
    """A test's expectation that doesn't hold."""


class Skip(Exception):
    """Why a test cannot run here; "missing NAME" when bootstrap.sh should have brought it."""


# --- the tests of one file ---

_tests = []


def test(function):
    """Marks a function as a test; its name is the sentence that a failure prints. It may take `folder`, a fresh one."""
    _tests.append(function)
    return function


def skip(reason):
    raise Skip(reason)


def need_tool(name):
    """Skips the test when a program isn't there; returns its path."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise Skip(f"missing {name}")
    return found


def faketime_library():
    """libfaketime's, to preload: its wrapper program leaves things in /dev/shm behind when what it runs is killed."""
    need_tool("faketime")
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        raise Skip("missing faketime")
    return found[0]


def wall_clock(offset):
    """What stands before a program so that its wall clock is "+8d" ahead; the monotonic one is as it is."""
    return ["/usr/bin/env", f"LD_PRELOAD={faketime_library()}", f"FAKETIME={offset}", "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "DONT_FAKE_MONOTONIC=1"]


def forget_faketime(pid):
    """A process that was killed could not take its own away."""
    for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join("/dev/shm", name))


def expect(got, want, what=""):
    if got != want:
        raise Failure(f"{what + ': ' if what else ''}got {got!r}, want {want!r}")


def expect_true(value, what):
    if not value:
        raise Failure(what)


def wait_until(condition, what, timeout_s=WAIT_S):
    """Polls until condition() is true and returns its value."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"after {timeout_s} s still not: {what() if callable(what) else what}")
        time.sleep(POLL_S)


def temp_folder():
    return tempfile.mkdtemp(prefix="parley-test-")


def run_one(function):
    title = function.__name__.replace("_", " ")
    folder = temp_folder()
    try:
        if "folder" in inspect.signature(function).parameters:
            function(folder)
        else:
            function()
        print(f"ok - {title}", flush=True)
        return True
    except Skip as reason:
        print(f"skip - {title}: {reason}", flush=True)
        return True
    except Exception as error:  # a broken harness is a failed test too
        print(f"not ok - {title}: {error}", flush=True)
        if not isinstance(error, Failure):
            traceback.print_exc(file=sys.stdout)
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if name.endswith(".log"):
                print(f"# end of {name}:\n" + indented_end(os.path.join(folder, name)), flush=True)
        return False
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        forget_below(folder)


def indented_end(path, lines=15):
    with open(path, encoding="utf-8", errors="replace") as file:
        return "\n".join("#   " + line.rstrip() for line in file.readlines()[-lines:])


def run(only=None):
    """Runs this file's tests (those whose name contains argv[1], when given) and ends the program."""
    only = only or (sys.argv[1] if len(sys.argv) > 1 else "")
    results = [run_one(function) for function in _tests if only in function.__name__]
    sys.exit(0 if all(results) else 1)


# --- ports and configuration ---

_given_ports = set()


def free_port():
    """A loopback port nobody listens on now; never the same twice in one program."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _given_ports:
            _given_ports.add(port)
            return port


def yaml(value, indent=0):
    """Block YAML of dicts, lists and scalars; strings are quoted as JSON quotes them, which YAML reads the same."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        return "".join(f"{pad}{key}:{yaml_child(item, indent)}" for key, item in value.items())
    if isinstance(value, list) and value:
        return "".join(f"{pad}-{yaml_child(item, indent)}" for item in value)
    return pad + json.dumps(value) + "\n"


def yaml_child(value, indent):
    if isinstance(value, (dict, list)) and value:
        return "\n" + yaml(value, indent + 1)
    return " " + json.dumps(value, ensure_ascii=False) + "\n"


def base_config(port, channels, store_path="parley.db", folder="."):
    """The first channels in the default plan, one topic of each class, loopback allowed. folder: where it will lie."""
    return {
        "version": 1,
        "server": {
            "listen": f"127.0.0.1:{port}",
            "public_url": f"http://127.0.0.1:{port}",
            "keys": [{"name": "tests", "secret": {"env": "PARLEY_KEY"}, "scopes": ["admin"]}],
            "egress": {"allow": ["127.0.0.0/8"], "ports": ["1024-65535"]},
        },
        "store": store_yaml(store_path, folder),
        "plugins": {"dirs": [PLUGIN_DIR]},
        "channels": channels,
        "topics": {
            "orders": {"class": "transactional"},
            "newsletter": {"class": "marketing"},
            "support": {"class": "conversation"},
            "security": {"class": "critical"},
        },
        "plans": {"default": [{"channel": name} for name in list(channels)[:8]]},  # a plan has at most 8 steps
        "log": {"level": "info", "format": "text"},
    }


# --- the HTTP client ---

class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Failure(f"status {self.status}, no JSON ({error}): {self.body[:200]!r}") from None

    def __repr__(self):
        return f"<{self.status} {self.text[:300]}>"


class Client:
    """One kept-alive connection. Not shared between threads: each takes its own."""

    def __init__(self, port, key=KEY, timeout_s=30):
        self.port = port
        self.key = key
        self.timeout_s = timeout_s
        self.connection = None

    def request(self, method, path, body=None, headers=None, idempotency_key=None, retry=True):
        """body: bytes as they are, anything else as JSON. Connection trouble is raised as OSError or HTTPException."""
        head = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        if idempotency_key is not None:
            head["Idempotency-Key"] = idempotency_key
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            head["Content-Type"] = "application/json"
        head.update(headers or {})
        fresh = self.connection is None
        try:
            return self.exchange(method, path, body, head)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            if fresh or not retry or method not in ("GET", "HEAD"):
                raise
            return self.exchange(method, path, body, head)  # the server closed an idle connection

    def exchange(self, method, path, body, head):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout_s)
            self.connection.connect()
            self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.connection.request(method, path, body=body, headers=head)
            reply = self.connection.getresponse()
            answer = Answer(reply.status, reply.headers, reply.read())
            if reply.will_close:
                self.close()
            return answer
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.request("POST", path, body, **more)

    def put(self, path, body=None, **more):
        return self.request("PUT", path, body, **more)

    def patch(self, path, body=None, **more):
        return self.request("PATCH", path, body, **more)

    def delete(self, path, **more):
        return self.request("DELETE", path, **more)


# --- the daemon ---

class Daemon:
    """parleyd with a configuration of its own in `folder`. Leaving the `with` block kills what still runs.

    config: a function that changes the configuration dict before it is written. wrap: words before the program's own
    (strace, prlimit). env: more environment. store_path: where the database lies, relative to folder; on PostgreSQL a name
    for one, see parley_store.py."""

    def __init__(self, folder, channels=None, config=None, wrap=(), env=None, store_path="parley.db", port=None):
        self.folder = folder
        self.port = port or free_port()
        self.config = base_config(self.port, channels or {"inbox": {"plugin": "sink"}}, store_path, folder)
        if config:
            config(self.config)
        self.wrap = list(wrap)
        self.env = env or {}
        self.config_path = os.path.join(folder, "parley.yaml")
        self.log_path = os.path.join(folder, "parleyd.log")
        self.process = None
        self.local = threading.local()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, value, trace):
        ended = self.process is not None and self.process.poll()
        if self.process is not None:
            self.kill()
        self.check_sanitizers(quiet=kind is not None)
        if kind is None and ended not in (False, None):
            raise Failure(f"parleyd ended by itself with {ended}:\n{self.log_end()}")

    def write_config(self):
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(yaml(self.config))

    def start(self, ready=True, timeout_s=START_TIMEOUT_S):
        self.write_config()
        program = os.path.join(BIN_DIR, "parleyd")
        if not os.access(program, os.X_OK):
            raise Failure(f"{program} isn't built")
        env = dict(os.environ, PARLEY_KEY=KEY, HOOK_SECRET=SECRET, FEED_SECRET=SECRET, **self.env)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.wrap + [program, "-c", self.config_path], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env=env, cwd=self.folder, start_new_session=True)
        if ready:
            self.wait_ready(timeout_s)

    def wait_ready(self, timeout_s=START_TIMEOUT_S):
        def is_ready():
            if self.process.poll() is not None:
                raise Failure(f"parleyd ended with {self.process.returncode} before it was ready:\n{self.log_end()}")
            return self.probe("/readyz") == 200

        wait_until(is_ready, lambda: f"/readyz answers 200\n{self.log_end()}", timeout_s)

    def probe(self, path):
        """The status of an open route, None while nobody answers."""
        with contextlib.closing(Client(self.port, key=None, timeout_s=5)) as client:
            try:
                return client.get(path).status
            except (OSError, http.client.HTTPException):
                return None

    def wait_exit(self, timeout_s=WAIT_S):
        try:
            code = self.process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise Failure(f"parleyd still runs after {timeout_s} s:\n{self.log_end()}") from None
        self.process = None
        return code

    def signal(self, number):
        os.kill(self.process.pid, number)

    def stop(self, timeout_s=WAIT_S):
        """SIGTERM; returns the exit code."""
        self.signal(signal.SIGTERM)
        code = self.wait_exit(timeout_s)
        self.check_sanitizers()
        return code

    def kill(self):
        """kill -9 of the daemon and of all that it or its wrapper started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        forget_faketime(self.process.pid)
        self.process = None
        self.drop_client()

    def restart(self):
        """kill -9 and a new start; a daemon that had ended by itself is a failure."""
        if self.process.poll() is not None:
            raise Failure(f"parleyd ended by itself with {self.process.returncode}:\n{self.log_end()}")
        self.kill()
        self.start()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def log_end(self):
        return indented_end(self.log_path, 20)

    def check_sanitizers(self, quiet=False):
        found = SANITIZER_REPORT.search(self.log()) if os.path.exists(self.log_path) else None
        if found and not quiet:
            raise Failure(f"a sanitizer spoke:\n{self.log()[found.start():found.start() + 3000]}")

    # Requests: one client a thread.
    def client(self):
        if getattr(self.local, "client", None) is None:
            self.local.client = Client(self.port)
        return self.local.client

    def drop_client(self):
        if getattr(self.local, "client", None) is not None:
            self.local.client.close()
            self.local.client = None

    def get(self, path, **more):
        return self.client().get(path, **more)

    def post(self, path, body=None, **more):
        return self.client().post(path, body, **more)

    def put(self, path, body=None, **more):
        return self.client().put(path, body, **more)

    def patch(self, path, body=None, **more):
        return self.client().patch(path, body, **more)

    def delete(self, path, **more):
        return self.client().delete(path, **more)

    @staticmethod
    def message(text, to=None, topic="orders", **more):
        return {"to": to or {"email": "ana@example.org"}, "topic": topic, "content": {"text": text}, **more}

    def send(self, text, **more):
        """Accepts one message and returns its id."""
        answer = self.post("/v1/messages", self.message(text, **more))
        expect(answer.status, 202, f"POST /v1/messages {answer.text[:300]}")
        return answer.json["id"]

    def message_state(self, message_id):
        answer = self.get(f"/v1/messages/{message_id}")
        expect(answer.status, 200, f"GET /v1/messages/{message_id}")
        return answer.json

    def wait_status(self, message_id, *statuses, timeout_s=WAIT_S):
        state = {}

        def has_status():
            state.update(self.message_state(message_id))
            return state["status"] in statuses

        wait_until(has_status, lambda: f"{message_id} is {' or '.join(statuses)}, but {state.get('status')}: "
                   f"{json.dumps(state.get('attempts'))}", timeout_s)
        return state

    def metric(self, name, labels=""):
        """The value of one line of /metrics, None when it isn't there."""
        for line in self.get("/metrics").text.splitlines():
            if line.startswith(name + labels + " ") or (not labels and line.startswith(name + "{")):
                return float(line.rsplit(" ", 1)[1])
        return None


def parley(daemon, *words, key=KEY):
    """Runs the CLI against a daemon; returns the finished process (returncode, stdout, stderr as text)."""
    return subprocess.run([os.path.join(BIN_DIR, "parley"), "--url", f"http://127.0.0.1:{daemon.port}", *words],
                          capture_output=True, text=True, env=dict(os.environ, PARLEY_KEY=key), timeout=60)


# --- Standard Webhooks ---

def webhook_key(secret):
    return base64.b64decode(secret.removeprefix("whsec_"))


def webhook_signature(secret, message_id, timestamp, body):
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(webhook_key(secret), signed, hashlib.sha256).digest()).decode()


def webhook_headers(secret, message_id, body, timestamp=None):
    timestamp = int(time.time()) if timestamp is None else timestamp
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "Content-Type": "application/json",
            "webhook-signature": webhook_signature(secret, message_id, timestamp, body)}


def webhook_verified(secret, headers, body, tolerance_s=300, at=None):
    """Whether one of the signatures in webhook-signature is right and the timestamp is of now, or of `at`."""
    message_id, timestamp = headers.get("webhook-id"), headers.get("webhook-timestamp", "")
    if not message_id or not timestamp.isdigit() or abs((at or time.time()) - int(timestamp)) > tolerance_s:
        return False
    wanted = webhook_signature(secret, message_id, timestamp, body)
    return any(hmac.compare_digest(given, wanted) for given in headers.get("webhook-signature", "").split(" "))


def post_inbound(daemon, channel, event, message_id=None, secret=SECRET, headers=None):
    """Signs and posts one inbound event as the webhook plugin wants it at /in/<channel>."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    message_id = message_id or (event.get("id") if isinstance(event, dict) else None) or f"in-{time.monotonic_ns()}"
    return daemon.post(f"/in/{channel}", body, headers={**webhook_headers(secret, message_id, body), **(headers or {})})


def media_bytes(daemon, media):
    """What stands in the store under this id, by its signed link."""
    link = daemon.get(f"/v1/media/{media}").json["url"]
    return daemon.get(link[link.index("/media/"):]).body


# --- the recorder: an endpoint of the business or of a support system ---

class Request:
    def __init__(self, method, path, headers, body):
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.at = time.time()

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def webhook_id(self):
        return self.headers.get("webhook-id")

    def verified(self, secret=SECRET):
        """As it was when it came: a long test looks at it much later."""
        return webhook_verified(secret, self.headers, self.body, at=self.at)

    def __repr__(self):
        return f"<{self.method} {self.path} {self.text[:200]}>"


class Reply:
    """One scripted answer. delay_s waits first; hang keeps the connection open and silent until the recorder ends;
    drop closes it after the request was read, reset does so with RST: the peer can't know what became of it."""

    def __init__(self, status=200, body=b"{}", headers=None, delay_s=0, hang=False, drop=False, reset=False):
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = headers or {}
        self.delay_s = delay_s
        self.hang = hang
        self.drop = drop
        self.reset = reset


class Recorder:
    """An HTTP server on a loopback port, one thread a connection. Keeps every request, in order of arrival, before it
    answers. Answers come from script (a Reply for each next request), then from answer: a Reply, or a function that is
    given the Request and returns one."""

    def __init__(self, answer=None, port=None, path="/hook"):
        self.port = port or free_port()
        self.path = path
        self.answer = answer or Reply()
        self.script = queue.Queue()
        self.requests = []
        self.markers = {}  # marker: the requests that bear it
        self.arrived = threading.Condition()
        self.ending = threading.Event()
        self.server = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}{self.path}"

    def channel(self, **options):
        """The configuration of a webhook channel that posts here."""
        channel = {"plugin": "webhook", "options": {"url": self.url, "secret": {"env": "HOOK_SECRET"}, **options}}
        return channel

    def subscription(self, *types):
        """The configuration of a subscription that is pushed here."""
        return {"url": self.url, "secret": {"env": "FEED_SECRET"}, "types": list(types)}

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.ending.clear()
        self.server = RecorderServer(("127.0.0.1", self.port), RecorderHandler)
        self.server.recorder = self
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self):
        """Stops listening and closes every connection, as an endpoint that goes down does."""
        if self.server is not None:
            self.ending.set()
            self.server.shutdown()
            self.server.close_connections()
            self.server.server_close()
            self.server = None

    def add(self, request):
        with self.arrived:
            self.requests.append(request)
            for marker in set(MARKER.findall(request.text)):
                self.markers.setdefault(marker, []).append(request)
            self.arrived.notify_all()

    def next_reply(self, request):
        try:
            return self.script.get_nowait()
        except queue.Empty:
            return self.answer(request) if callable(self.answer) else self.answer

    def then(self, *replies):
        for reply in replies:
            self.script.put(reply)
        return self

    def matching(self, predicate):
        with self.arrived:
            return [request for request in self.requests if predicate(request)]

    def wait_for(self, predicate=lambda request: True, count=1, timeout_s=WAIT_S):
        """Returns the requests that match once there are `count` of them."""
        deadline = time.monotonic() + timeout_s
        with self.arrived:
            while True:
                found = [request for request in self.requests if predicate(request)]
                if len(found) >= count:
                    return found
                left = deadline - time.monotonic()
                if left <= 0 or not self.arrived.wait(left):
                    raise Failure(f"{len(found)} of {count} requests at {self.url} after {timeout_s} s")


class RecorderServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, *args):
        self.open_sockets = set()
        self.resets = set()
        self.sockets_lock = threading.Lock()
        super().__init__(*args)

    def process_request(self, request, client_address):
        with self.sockets_lock:
            self.open_sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        with self.sockets_lock:
            self.open_sockets.discard(request)
        if request in self.resets:
            self.resets.discard(request)
            self.close_request(request)  # no shutdown first: that would send FIN before the RST
        else:
            super().shutdown_request(request)

    def close_connections(self):
        with self.sockets_lock:
            sockets = list(self.open_sockets)
        for open_socket in sockets:
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        """A peer that was killed mid-request is what many tests are about."""


class RecorderHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body of an answer in one segment

    def handle_any(self):
        recorder = self.server.recorder
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = self.read_chunked()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, self.headers, body)
        recorder.add(request)
        self.carry_out(recorder, recorder.next_reply(request))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def read_chunked(self):
        body = b""
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            body += self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                return body

    def carry_out(self, recorder, reply):
        if reply.hang:
            recorder.ending.wait()
        elif reply.delay_s:
            recorder.ending.wait(reply.delay_s)
        if reply.hang or reply.drop or reply.reset or recorder.ending.is_set():
            if reply.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.server.resets.add(self.connection)
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)
        self.wfile.flush()

    def log_message(self, *_):
        """The recorder keeps requests; it doesn't print them."""


# --- the ledger outside the router ---

class Ledger:
    """What the outside world knows: which messages were acknowledged, and which arrived where. Thread: any.
    A marker ~run-number~ in the text ties the two together whatever the router does with ids."""

    def __init__(self, run_name="m"):
        self.run_name = run_name
        self.lock = threading.Lock()
        self.next_number = 0
        self.accepted = {}  # marker: (message id, wall-clock time of the 202)
        self.offered = {}  # marker: anything, for those whose answer is not known
        self.refused = {}  # marker: time of the refusal

    def new_marker(self):
        with self.lock:
            self.next_number += 1
            marker = f"{self.run_name}-{self.next_number}"
            self.offered[marker] = f"key-{marker}"
            return marker

    def note(self, marker, answer):
        """Files an answer; None is a connection that died, so that the message may or may not be in."""
        with self.lock:
            if answer is None:
                return
            self.offered.pop(marker, None)
            if answer.status in (200, 202):
                self.accepted[marker] = (answer.json["id"], time.time())
            else:
                self.refused[marker] = time.time()

    def doubt_refusals_after(self, at):
        """A disk that died may hold what it could not confirm: such a message may arrive and may not."""
        with self.lock:
            for marker in [marker for marker, when in self.refused.items() if when >= at]:
                self.offered[marker] = self.refused.pop(marker)

    def accepted_before(self, at):
        with self.lock:
            return {marker: ids[0] for marker, ids in self.accepted.items() if ids[1] < at}

    def accepted_ids(self):
        with self.lock:
            return {marker: ids[0] for marker, ids in self.accepted.items()}


def arrivals(recorder):
    """marker: how often it arrived."""
    with recorder.arrived:
        return {marker: len(requests) for marker, requests in recorder.markers.items()}


class Load:
    """Threads that send one after the other, into a ledger, until stop() or for `count` messages a thread. A dead
    daemon is tried again after a short pause; an unanswered message is filed as offered and never sent again."""

    PAUSE_S = 0.01

    def __init__(self, daemon, ledger, threads=4, make_body=None, count=None, pace_s=0, end_on_death=False):
        self.daemon = daemon
        self.count = count
        self.pace_s = pace_s
        self.end_on_death = end_on_death
        self.saw_death = False
        self.ledger = ledger
        self.make_body = make_body or self.default_body
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.send_all, args=(number,), daemon=True) for number in range(threads)]

    @staticmethod
    def default_body(marker, number):
        return Daemon.message(f"order ~{marker}~", to={"email": f"customer-{number % 50}@example.org"})

    def send_all(self, number):
        client = Client(self.daemon.port, timeout_s=15)
        sent = 0
        while not self.ending.is_set() and (self.count is None or sent < self.count):
            marker = self.ledger.new_marker()
            sent += 1
            try:
                body = self.make_body(marker, sent * len(self.threads) + number)
                answer = client.post("/v1/messages", body, idempotency_key=f"key-{marker}")
            except (OSError, http.client.HTTPException):
                answer = None
            self.ledger.note(marker, answer)
            self.saw_death = self.saw_death or answer is None
            if answer is None and self.end_on_death:
                break
            self.ending.wait(self.pace_s if answer is not None and answer.status == 202 else self.PAUSE_S)
        client.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.ending.set()
        self.join()

    def join(self, timeout_s=60):
        for thread in self.threads:
            thread.join(timeout=timeout_s)


def message_of(body):
    """The message id in a message.send body: `message` is an id or an object with one."""
    message = body["data"]["message"]
    return message["id"] if isinstance(message, dict) else message


def duplicates_not_marked(daemon, recorder):
    """What arrived twice while the router says nothing of a possible duplicate."""
    with recorder.arrived:
        repeated = {marker: list(requests) for marker, requests in recorder.markers.items() if len(requests) > 1}
    unmarked = []
    for marker, requests in repeated.items():
        message_id = message_of(requests[0].json)
        if not daemon.message_state(message_id).get("possible_duplicate"):
            unmarked.append((marker, message_id, len(requests)))
    return unmarked, len(repeated)


def judge(daemon, recorder, ledger, accepted=None, timeout_s=120):
    """The oracle: waits until every acknowledged message arrived, then holds what arrived against what the router says.
    Returns the counts. Raises Failure on a loss, on an arrival nobody offered, on a duplicate that isn't marked, and on
    a message that the router hasn't settled. accepted: the acknowledgements that count, all of them by default."""
    everything = ledger.accepted_ids()
    accepted = everything if accepted is None else accepted
    missing = []

    def all_arrived():
        counts = arrivals(recorder)
        missing[:] = [marker for marker in accepted if marker not in counts]
        return not missing

    wait_until(all_arrived, lambda: f"every acknowledged message arrived: {len(missing)} of {len(accepted)} lost, "
               f"such as {[(marker, accepted[marker]) for marker in sorted(missing)[:3]]}", timeout_s)
    strangers = [marker for marker in arrivals(recorder) if marker not in everything and marker not in ledger.offered]
    expect(strangers[:5], [], f"{len(strangers)} messages that were refused and sent all the same")
    for message_id in accepted.values():
        daemon.wait_status(message_id, "sent", "delivered", "read", timeout_s=timeout_s)
    unmarked, repeated = duplicates_not_marked(daemon, recorder)
    expect(unmarked[:5], [], f"{len(unmarked)} duplicates that are not marked possible_duplicate")
    return {"accepted": len(accepted), "arrived": len(arrivals(recorder)), "duplicates": repeated,
            "unanswered": len(ledger.offered), "refused": len(ledger.refused)}
