"""Opens pages in headless Chromium, by its DevTools protocol over a pipe (chromedevtools.github.io/devtools-protocol)."""
import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile

PROGRAM = shutil.which("chromium")

# Of each canvas: whether it has any pixel, and the lines of its chart of whose colour there is none between the axes.
CANVASES = """[...document.querySelectorAll("canvas")].map(canvas => {
  const pixels = (left, top, width, height) => canvas.getContext("2d").getImageData(left, top, width, height).data;
  const chart = typeof Chart === "undefined" ? undefined : Chart.getChart(canvas);
  const has = colour => {
    const rgb = [1, 3, 5].map(at => parseInt(colour.slice(at, at + 2), 16));
    const { left, top, width, height } = chart.chartArea;
    const inside = pixels(left, top, width, height);
    for (let i = 0; i < inside.length; i += 4)
      if (inside[i + 3] > 250 && rgb.every((value, c) => Math.abs(value - inside[i + c]) < 4)) return true;
    return false;
  };
  return { name: canvas.getAttribute("aria-label"), blank: pixels(0, 0, canvas.width, canvas.height).every(value => value === 0),
           missing: chart ? chart.data.datasets.filter(set => !has(set.borderColor)).map(set => set.label) : [] };
})"""


class Chromium:
    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        from_us, self.to = os.pipe()
        self.fro, to_us = os.pipe()
        high = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (from_us, to_us)]  # it reads 3 and writes 4
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        command = [PROGRAM, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={self.folder.name}", "--disable-gpu", "--no-first-run",
                   "--disable-background-networking", "--hide-scrollbars", *sandbox, "about:blank"]
        self.process = subprocess.Popen(["bash", "-c", f'exec "$@" 3<&{high[0]} 4>&{high[1]}', "-", *command], pass_fds=high,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for end in from_us, to_us, *high:
            os.close(end)
        self.buffer, self.last, self.session, self.events = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in "Runtime", "Log", "Network", "Page":
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.to)
        os.close(self.fro)
        self.folder.cleanup()

    def receive(self):
        while b"\0" not in self.buffer:
            part = os.read(self.fro, 1 << 20)
            assert part, "Chromium has ended"
            self.buffer += part
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while (answer := self.receive()).get("id") != self.last:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"]["value"]

    def open(self, path, width=1100, height=900, dark=False):
        """Loads a file and lists what is wrong with it: errors, requests, canvases, a page wider than the window."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.events.clear()
        url = f"file://{os.path.abspath(path)}"
        self.call("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self.receive())
        # Chart.js draws again where a frame is over: two of them later all is done, and its errors are reported.
        self.call("Runtime.evaluate", awaitPromise=True,
                  expression="new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
        problems = []
        for event in self.events:
            said = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                problems.append("exception: " + said["exceptionDetails"]["exception"]["description"].splitlines()[0])
            elif event["method"] == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
                problems.append(f"console {said['type']}: {said['args']}")
            elif event["method"] == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
                problems.append(f"log {said['entry']['level']}: {said['entry']['text']}")
            elif event["method"] == "Network.requestWillBeSent" and not said["request"]["url"].startswith(("data:", url)):
                problems.append(f"request: {said['request']['url']}")
        for canvas in self.evaluate(CANVASES):
            if canvas["blank"]:
                problems.append(f"blank: {canvas['name']}")
            problems += [f"no line: {canvas['name']}, {line}" for line in canvas["missing"]]
        if (found := self.evaluate("document.documentElement.scrollWidth")) > width:
            problems.append(f"wide: {found} pixels in a window of {width}")
        return problems

    def text(self):
        return self.evaluate("document.body.innerText")

    def screenshot(self, path, whole=False):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]))
