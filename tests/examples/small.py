#!/usr/bin/env python3
"""Runs an example of a few lines as a user does: small.py NAME PROGRAM [CIFAR10-PROGRAM].

Those that need CIFAR-10 itself find it in CIFAR10_DIR; without it the exit status is 77."""
import os
import re
import subprocess
import sys
import tempfile

name, program, *others = sys.argv[1:]
folder = os.environ.get("CIFAR10_DIR")
if name != "custom_block" and not folder:
    print("CIFAR10_DIR is not set: skipped")
    sys.exit(77)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout


def accuracy(output):
    return float(re.search(r"^test accuracy: (\d+\.\d\d) %$", output, re.M)[1])


if name == "custom_block":
    assert re.search(r"^loss after 60 steps: 0\.0\d+$", run(program), re.M)
elif name == "quickstart":
    output = run(program, folder)
    assert accuracy(output) > 50, output
    assert re.search(r"^the first test image is an? \w+, the network says \w+$", output, re.M), output
elif name == "fine_tune":
    with tempfile.TemporaryDirectory() as out:
        run(others[0], "--data", folder, "--epochs", "1", "--limit", "10000", "--out", os.path.join(out, "run"))
        output = run(program, os.path.join(out, "run", "best.safetensors"), folder)
        assert accuracy(output) > 70, output  # always saying "animal" gives 60
    wrong = subprocess.run([program], capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr.startswith("usage: fine_tune"), wrong
else:
    sys.exit(__doc__)
