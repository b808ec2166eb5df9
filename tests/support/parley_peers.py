"""The npm packages of tests/peers, which tests/run.sh installs under build/peers: finding them, and talking to a script
that uses them; and the Debian packages that bootstrap.sh unpacks there. Python's standard library alone.

    with Peer("webhooks", "tests/contract/standard_webhooks.cjs") as peer:
        peer.ask({"do": "sign", ...})"""

import json
import os
import subprocess

from parley_test import TOP, Failure, Skip, need_tool

PEERS = os.environ.get("PARLEY_PEERS") or os.path.join(TOP, "build", "peers")


def peer_path(group, *parts):
    """A file of an installed group; skips the test when the group isn't there."""
    folder = os.path.join(PEERS, group, "node_modules")
    if not os.path.isdir(folder):
        raise Skip(f"missing npm packages of tests/peers/{group} in {PEERS}")
    return os.path.join(folder, *parts)


def unpacked(package, path):
    """A program of a Debian package that is unpacked in build/peers/debian, or installed; skips the test when it isn't there."""
    for root in (os.path.join(PEERS, "debian", package), "/"):
        found = os.path.join(root, path)
        if os.path.exists(found):
            return found
    raise Skip(f"missing {package}")


def peer_env(group):
    """The environment in which a script of ours finds the group's packages."""
    return dict(os.environ, NODE_PATH=peer_path(group), NO_COLOR="1", NODE_ENV="test")


class Peer:
    """A node script that answers each line of JSON with one, in order. Its first line says that it is ready. group: None when it
    needs no packages."""

    def __init__(self, group, script, *words):
        self.process = subprocess.Popen([need_tool("node"), os.path.join(TOP, script), *words], env=peer_env(group) if group else None, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ready = self.next()

    def next(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failure(f"{self.process.args[1]} ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.next()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
