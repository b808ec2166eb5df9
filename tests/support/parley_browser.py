"""A real browser for tests: Debian's chromium, driven through chromedriver by the W3C WebDriver protocol. Python's standard library
alone. It has no script: what customers see must work without.

    with Browser(folder) as browser:
        browser.open(url)
        browser.click("button")"""

import base64
import contextlib
import http.client
import json
import os
import subprocess

from parley_test import Failure, expect, free_port, need_tool, wait_until

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's name for a reference to one
START_S = 60


class Browser:
    """folder: for its profile. language: what it accepts. script: false, as a careful person has it. dark: the colours it asks for."""

    def __init__(self, folder, language="en", script=False, dark=False, size=(900, 900)):
        self.port = free_port()
        self.log_path = os.path.join(folder, "chromedriver.log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([need_tool("chromedriver"), f"--port={self.port}"], stdout=log, stderr=log,
                                            env={**os.environ, "HOME": folder, "TMPDIR": folder})
        self.session = None
        try:
            wait_until(self.is_up, "chromedriver listens", START_S)
            self.begin(language, script, dark, size)
        except BaseException:
            self.stop()
            raise

    def is_up(self):
        expect(self.process.poll(), None, "chromedriver runs")
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.ask("GET", "/status")["ready"]
        return False

    def begin(self, language, script, dark, size):
        words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", f"--lang={language}",
                 f"--accept-lang={language}", f"--window-size={size[0]},{size[1]}"]
        words += ["--force-dark-mode"] if dark else []
        options = {"binary": need_tool("chromium"), "args": words,
                   "prefs": {"intl.accept_languages": language,
                             "profile.managed_default_content_settings.javascript": 1 if script else 2}}
        value = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}})
        self.session = f"/session/{value['sessionId']}"

    def ask(self, method, path, body=None):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_S)) as peer:
            peer.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
            value = json.loads(peer.getresponse().read())["value"]
        if isinstance(value, dict) and "error" in value:
            raise Failure(f"{method} {path}: {value['error']}: {value['message'][:300]}")
        return value

    def open(self, url):
        self.ask("POST", f"{self.session}/url", {"url": url})

    @property
    def url(self):
        return self.ask("GET", f"{self.session}/url")

    @property
    def source(self):
        return self.ask("GET", f"{self.session}/source")

    def find(self, selector):
        return self.ask("POST", f"{self.session}/element", {"using": "css selector", "value": selector})[ELEMENT]

    def text(self, selector="main"):
        """What a person reads there."""
        return self.ask("GET", f"{self.session}/element/{self.find(selector)}/text")

    def is_ticked(self, selector):
        return self.ask("GET", f"{self.session}/element/{self.find(selector)}/selected")

    def label(self, selector):
        """The name that a screen reader says."""
        return self.ask("GET", f"{self.session}/element/{self.find(selector)}/computedlabel")

    def click(self, selector):
        self.ask("POST", f"{self.session}/element/{self.find(selector)}/click", {})

    def go(self, selector):
        """Clicks what leads to another page, and waits until that is there."""
        before = self.find("html")
        self.click(selector)
        wait_until(lambda: self.is_gone(before), f"{selector} leads to another page")
        wait_until(lambda: self.ask("POST", f"{self.session}/elements", {"using": "css selector", "value": "h1, main"}), "it is there")

    def is_gone(self, element):
        try:
            self.ask("GET", f"{self.session}/element/{element}/name")
        except Failure:
            return True
        return False

    def type(self, selector, text):
        self.ask("POST", f"{self.session}/element/{self.find(selector)}/value", {"text": text})

    def shot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.ask("GET", f"{self.session}/screenshot")))

    def stop(self):
        if self.session:
            with contextlib.suppress(Failure, OSError, http.client.HTTPException):
                self.ask("DELETE", self.session)
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
