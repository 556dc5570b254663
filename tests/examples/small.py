#!/usr/bin/env python3
"""Runs an example of a few lines as a user does: small.py NAME PROGRAM CIFAR10-PROGRAM CLASSIFY-PROGRAM, or small.py usage PROGRAM...

Those that need CIFAR-10 itself find it in CIFAR10_DIR; without it the exit status is 77."""
import glob
import os
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib

name, program, *others = sys.argv[1:]
folder = os.environ.get("CIFAR10_DIR")
if name not in ("custom_block", "usage") and not folder:
    print("CIFAR10_DIR is not set: skipped")
    sys.exit(77)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout


def accuracy(output):
    return float(re.search(r"^test accuracy: (\d+\.\d\d) %$", output, re.M)[1])


def write_png(path, rows):
    """RGB, 8 bits: one string of bytes a row."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", len(rows[0]) // 3, len(rows), 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 1)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


def write_photos(out, count):
    """The first `count` images of CIFAR-10's first batch, enlarged to sides of 160 to 400 pixels: a folder a class."""
    draw = random.Random(1)
    with open(os.path.join(folder, "data_batch_1.bin"), "rb") as file:
        for i in range(count):
            record = file.read(3073)
            planes = [record[1 + 1024 * c : 1025 + 1024 * c] for c in range(3)]
            height, width = draw.randint(160, 400), draw.randint(160, 400)
            columns = [x * 32 // width for x in range(width)]
            rows = []
            for y in range(32):
                pixels = [bytes(plane[32 * y + x] for plane in planes) for x in range(32)]
                rows.append(b"".join(pixels[x] for x in columns))
            label = os.path.join(out, f"class {record[0]}")
            os.makedirs(label, exist_ok=True)
            write_png(os.path.join(label, f"{i}.png"), [rows[y * 32 // height] for y in range(height)])


if name == "usage":
    for path in (program, *others):
        done = subprocess.run([path], capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr.startswith(f"usage: {os.path.basename(path)}"), done
        if os.path.basename(path) == "image_folder":
            for epochs in ("0", "-1", "many"):
                done = subprocess.run([path, "photos", "weights", epochs], capture_output=True, text=True)
                assert done.returncode == 2 and done.stderr.startswith("usage: image_folder"), done
elif name == "custom_block":
    assert re.search(r"^loss of step 60: 0\.0\d+$", run(program), re.M)
elif name == "quickstart":
    output = run(program, folder)
    assert accuracy(output) > 50, output
    assert re.search(r"^the first test image is an? \w+, the network says \w+$", output, re.M), output
elif name == "fine_tune":
    with tempfile.TemporaryDirectory() as out:
        run(others[0], "--data", folder, "--epochs", "1", "--limit", "10000", "--out", os.path.join(out, "run"))
        output = run(program, os.path.join(out, "run", "best.safetensors"), folder)
        assert accuracy(output) > 70, output  # always saying "animal" gives 60
elif name == "resume":
    with tempfile.TemporaryDirectory() as out:
        path = os.path.join(out, "run.safetensors")
        first = subprocess.Popen([program, path, folder], stdout=subprocess.PIPE, text=True)
        while not os.path.exists(path) and first.poll() is None:  # an epoch
            time.sleep(0.01)
        first.send_signal(signal.SIGINT)
        begun = re.findall(r"^saved after (\d+) batches of epoch (\d)$", first.communicate(timeout=120)[0], re.M)
        assert first.returncode == 130 and begun[0] == ("391", "1") and begun[-1][1] in ("1", "2"), begun
        rest = run(program, path, folder).splitlines()
        assert rest[-2:] == ["saved after 391 batches of epoch 2", "saved after 391 batches of epoch 3"], rest
elif name == "image_folder":
    with tempfile.TemporaryDirectory() as out:
        photos = os.path.join(out, "photos")
        write_photos(photos, 200)
        with open(os.path.join(photos, "class 3", "broken.png"), "wb") as file:
            file.write(b"no picture")
        weights = os.path.join(out, "photos.safetensors")
        done = subprocess.run([program, photos, weights], capture_output=True, text=True)
        assert done.returncode == 0, done
        assert done.stdout.startswith("200 photos of 10 classes\n"), done
        assert float(re.search(r"^training accuracy: (\d+\.\d\d) %$", done.stdout, re.M)[1]) > 90, done
        assert re.fullmatch(r"left out: .*broken\.png: expected .*\n", done.stderr), done
        print(done.stdout)
        # classify sees a photo as the training did, and names its class.
        said = run(others[1], "--model", "tutorial", "--weights", weights, "--top", "1", *glob.glob(os.path.join(photos, "*", "*[0-9].png")))
        answers = re.findall(r"/(class \d)/\d+\.png\n +[\d.]+ %  (.+)$", said, re.M)
        assert len(answers) == 200 and sum(folder == name for folder, name in answers) > 180, answers
else:
    sys.exit(__doc__)
