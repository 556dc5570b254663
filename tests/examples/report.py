"""Opens the report of the example cifar10 in headless Chromium; exit status 77: skipped.

    report.py check PROGRAM                     runs the program and judges its report, then reports that are spoilt
    report.py picture REPORT PICTURE [WIDTH [HEIGHT [dark]]]   a screenshot, such as docs/report.png
"""
import csv
import os
import subprocess
import sys
import tempfile

from chromium import PROGRAM, Chromium

FASHION_MNIST = "/usr/share/datasets/fashion-mnist"


def rows_of(folder):
    with open(f"{folder}/metrics.csv", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def check(program, folder):
    report, epochs = f"{folder}/report.html", 2
    subprocess.run([program, "--limit", "512", "--epochs", str(epochs), "--seed", "7", "--out", folder], check=True, stdout=subprocess.DEVNULL)
    with open(report) as file:
        page = file.read()
    if "<canvas" not in page:
        sys.exit("the report has no chart")
    last = rows_of(folder)[-1]
    assert last["epoch"] == str(epochs), last
    values = [f"{100 * float(last['test_accuracy']):.2f} %", f"{float(last['test_loss']):.4f}", f"{float(last['train_loss']):.4f}",
              f"{float(last['images_per_second']):.0f}", "seed\n7", "compiler", "instruction set", "4,910,410", "Worst mistakes"]

    with Chromium() as chromium:
        def problems(content, **window):
            with open(f"{folder}/page.html", "w") as file:
                file.write(content)
            found = chromium.open(f"{folder}/page.html", **window)
            text = chromium.text()
            return found + [f"not on the page: {value}" for value in values if value not in text]

        for window in {}, {"dark": True}, {"width": 360, "height": 740}:
            found = problems(page, **window)
            assert found == [], (window, found)
        assert chromium.evaluate("document.querySelectorAll('canvas').length") == 4
        assert chromium.evaluate("[...document.images].every(image => image.naturalWidth === 32)")
        assert chromium.evaluate("document.images.length") == 24
        assert chromium.evaluate("new Set([...document.images].map(image => image.src)).size") == 24
        captions = chromium.evaluate("[...document.querySelectorAll('figcaption')].map(caption => caption.firstChild.textContent)")
        assert len(captions) == 24 and all(len(set(caption.split(", taken for "))) == 2 for caption in captions), captions
        assert chromium.evaluate("document.querySelectorAll('.confusion tbody td').length") == 100

        # Each of these is found, or this test proves nothing.
        accuracy = values[0]
        policy = page[page.index('<meta http-equiv'):page.index('<link rel="icon"')]
        image = '<img src="https://192.0.2.1/picture.png">'
        for defect, spoilt in [("exception: ReferenceError", page.replace("new Chart(", "new Chrt(")),
                               ("blank: Loss", page.replace("new Chart(", "new Chrt(")),
                               ("exception: ", page.replace('"use strict";\nconst charts', '"use strict";\nconst const')),
                               ("no line: Test accuracy (%), test", page.replace("y: series.y[n]", "y: chart.title.startsWith('Test') ? null : series.y[n]")),
                               ("no line: Loss, test", page.replace("chart.series.map(", "chart.series.slice(0).map(").replace(
                                   "x: x, y: series.y[n]", "x: x, y: k === 1 ? null : series.y[n]")),
                               (f"not on the page: {accuracy}", page.replace(accuracy, "")),
                               ("console error: ", page.replace("draw();\n", "draw(); console.error('spoilt');\n", 1)),
                               ("log error: ", page.replace("<main>", f"<main>{image}")),
                               ("request: https://192.0.2.1/", page.replace(policy, "").replace("<main>", f"<main>{image}")),
                               ("wide: ", page.replace("overflow-x: auto", "overflow-x: visible"))]:
            assert spoilt != page, defect
            found = problems(spoilt, width=360)
            assert any(problem.startswith(defect) for problem in found), (defect, found)


if sys.argv[1:2] == ["picture"]:
    report, picture, *size = sys.argv[2:]
    width, height = int(size[0]) if size else 1100, int(size[1]) if size[1:] else 900
    with Chromium() as chromium:
        print(chromium.open(report, width, height, "dark" in size))
        chromium.screenshot(picture)
elif PROGRAM is None:
    print("skipped: chromium is not installed")
    sys.exit(77)
elif not os.environ.get("CIFAR10_DIR") and not os.path.exists(FASHION_MNIST):
    print("skipped: CIFAR10_DIR is not set and dataset-fashion-mnist is not installed")
    sys.exit(77)
else:
    with tempfile.TemporaryDirectory() as folder:
        check(sys.argv[2], folder)
