#!/usr/bin/env python3
"""Looks at the live page of a running server until it has shown a face, and the best shot of one that has gone.

  python3 scripts/check_page.py http://127.0.0.1:8080 [--timeout SECONDS]

With headless Chromium, where that is installed: the page itself says how many objects it has shown on a live picture
(`data-faces`), and how many best shots (`data-shots`). Else, and from when Chromium fails, over HTTP: the page's files, a
live picture, a result with a face, and an event with a picture are there. Exit status 0 once both were shown, 1 when not
in time.
"""

import argparse
import base64
import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
# How long the browser may take for one answer, and to end, in seconds.
PATIENCE = 20
END = 10


def get(url, limit=None):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read(limit)


class Browser:
    """Headless Chromium with one page, spoken to over the DevTools protocol: one JSON message after the other, each ended
    by a zero byte, on the file descriptors 3 and 4 of --remote-debugging-pipe."""

    def __init__(self, program, address, patience):
        self.patience, self.rest, self.number = patience, b"", 0
        # Undone from the last to the first, also when something fails half-way.
        with contextlib.ExitStack() as undo:
            profile = undo.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            command = [program, "--headless", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}",
                       "--remote-debugging-pipe", "--window-size=1280,900"]
            if os.geteuid() == 0:
                command.append("--no-sandbox")
            with contextlib.ExitStack() as theirs:
                theirs_in, self.to = os.pipe()
                theirs.callback(os.close, theirs_in)
                undo.callback(os.close, self.to)
                self.of, theirs_out = os.pipe()
                theirs.callback(os.close, theirs_out)
                undo.callback(os.close, self.of)
                shell = ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", *command]
                # A group of its own: what it starts ends with it.
                self.process = subprocess.Popen(shell, pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL,
                                                stderr=subprocess.DEVNULL, start_new_session=True,
                                                env={**os.environ, "TMPDIR": profile})
                undo.callback(self.end)
            target = self.call("Target.createTarget", {"url": f"{address}/"})["targetId"]
            self.session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
            self.undo = undo.pop_all()

    def call(self, method, parameters, **more):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters, **more}
        until = time.monotonic() + self.patience
        try:
            os.write(self.to, json.dumps(message).encode() + b"\0")
        except BrokenPipeError as error:
            raise BrowserFailed("it has ended") from error
        while True:
            while b"\0" in self.rest:
                text, self.rest = self.rest.split(b"\0", 1)
                answer = json.loads(text)
                if answer.get("id") == self.number:
                    if "error" in answer:
                        raise BrowserFailed(answer["error"]["message"])
                    return answer["result"]
            ready, _, _ = select.select([self.of], [], [], max(0, until - time.monotonic()))
            if not ready:
                raise BrowserFailed(f"no answer to {method} within {self.patience:g} s")
            chunk = os.read(self.of, 65536)
            if not chunk:
                raise BrowserFailed("it has ended")
            self.rest += chunk

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", {"expression": expression}, sessionId=self.session)
        return result["result"].get("value")

    def screenshot(self, file):
        result = self.call("Page.captureScreenshot", {}, sessionId=self.session)
        pathlib.Path(file).write_bytes(base64.b64decode(result["data"]))

    def end(self):
        group = self.process.pid
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(END)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        self.process.wait()

    def close(self):
        self.undo.close()


class BrowserFailed(Exception):
    pass


def seen_in(browser):
    """The numbers of faces and of best shots that the page has shown so far."""
    return tuple(int(browser.evaluate(f"document.documentElement.dataset.{name} || 0") or 0) for name in ["faces", "shots"])


def seen_over_http(address):
    """The number of faces in the newest result of a stream that has a live picture, and that of best shots."""
    for file in ["", "app.js", "common.js", "shots.js", "style.css"]:
        get(f"{address}/{file}")
    for stream in json.loads(get(f"{address}/v1/streams"))["streams"]:
        if stream["state"] != "online":
            continue
        part = get(f"{address}/v1/streams/{stream['id']}/live.mjpeg?annotate=1", 4096)
        if b"Content-Type: image/jpeg" not in part or b"\xff\xd8\xff" not in part:
            raise SystemExit(f"check: live.mjpeg of {stream['id']} is no picture")
        result = json.loads(get(f"{address}/v1/streams/{stream['id']}/results/latest"))
        return len(result["detections"]), shots_over_http(address)
    return 0, 0


def shots_over_http(address):
    """The number of newest events with a picture, whose newest is one."""
    shots = [event["snapshot"] for event in json.loads(get(f"{address}/v1/events?limit=24"))["events"] if "snapshot" in event]
    if shots and not get(address + shots[0]).startswith(b"\xff\xd8\xff"):
        raise SystemExit(f"check: {shots[0]} is no picture")
    return len(shots)


def some(number, name):
    return f"{number} {name}{'' if number == 1 else 's'}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("--timeout", type=float, default=60)
    parser.add_argument("--patience", metavar="SECONDS", type=float, default=PATIENCE,
                        help="how long Chromium may take for one answer; at most a third of the timeout")
    parser.add_argument("--screenshot", metavar="FILE", help="a PNG of what the browser sees in the end")
    args = parser.parse_args()
    address = args.address.rstrip("/")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    how = f"in {os.path.basename(program)}" if program else "over HTTP (no Chromium is installed)"
    patience = min(args.patience, args.timeout / 3)
    end, why, browser = time.monotonic() + args.timeout, "", None
    # The most that were seen at a time.
    faces = shots = 0
    try:
        while time.monotonic() < end:
            now = 0, 0
            if program:
                try:
                    browser = browser or Browser(program, address, patience)
                    now = seen_in(browser)
                    if all(now) and args.screenshot:
                        browser.screenshot(args.screenshot)
                except (BrowserFailed, OSError, ValueError, KeyError) as error:
                    print(f"check: {os.path.basename(program)} failed, looking over HTTP: {error}", file=sys.stderr)
                    if browser:
                        browser.close()
                    program, browser, faces, shots, how = None, None, 0, 0, "over HTTP (Chromium failed)"
                    continue
            else:
                try:
                    now = seen_over_http(address)
                except OSError as error:
                    why = f"; {error}"
            faces, shots = max(faces, now[0]), max(shots, now[1])
            if faces and shots:
                print(f"check: the page shows {some(faces, 'face')} and {some(shots, 'best shot')}, seen {how}")
                return 0
            time.sleep(0.5)
    finally:
        if browser:
            browser.close()
    seen = f"{some(faces, 'face')} and {some(shots, 'best shot')} were shown"
    print(f"check: failed after {args.timeout:.0f} s, looked {how}: {seen}{why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
