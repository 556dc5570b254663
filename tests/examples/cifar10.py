"""Runs the built example cifar10 as a user does. Usage: cifar10.py CASE PROGRAM; exit status 77: skipped."""
import os
import re
import signal
import subprocess
import sys
import tempfile

FASHION_MNIST = "/usr/share/datasets/fashion-mnist"
case, program = sys.argv[1:]


def run(*arguments, **environment):
    """The finished process of the program; variables may be unset with None."""
    variables = {k: v for k, v in {**os.environ, **environment}.items() if v is not None}
    return subprocess.run([program, *arguments], env=variables, capture_output=True, text=True)


def need_images():
    if not os.environ.get("CIFAR10_DIR") and not os.path.exists(FASHION_MNIST):
        print("skipped: CIFAR10_DIR is not set and dataset-fashion-mnist is not installed")
        sys.exit(77)


def trained(*arguments):
    """Lines of a short run that must succeed."""
    need_images()
    done = run("--limit", "512", "--epochs", "1", *arguments)
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert done.stderr == "", done.stderr
    return done.stdout.splitlines()


def without_times(lines):
    return [re.sub(r", [\d.]+ s, \d+ images/s|, \d threads", "", line) for line in lines]


if case == "help":
    done = run("--help")
    assert done.returncode == 0 and done.stderr == "", done
    for option in "model epochs batch-size optimizer learning-rate seed threads data limit verbose".split():
        assert f"--{option} " in done.stdout, option
    assert run("--no-such-option").returncode != 0
    assert run("--model", "alexnet").returncode != 0

elif case == "trains":
    lines = trained()
    assert re.fullmatch(r"(CIFAR-10|Fashion-MNIST) from .*: 512 training and 512 test images", lines[-4]), lines
    assert lines[-3].startswith("tutorial, 4910410 parameters; adam, learning rate 0.001, batches of 128, seed 1, "), lines
    assert re.fullmatch(r"epoch 1/1: mean loss \d\.\d{4}, \d+\.\d s, \d+ images/s, test accuracy \d+\.\d\d %", lines[-2]), lines
    accuracy = re.fullmatch(r"test accuracy: (\d+\.\d\d) %", lines[-1])
    assert accuracy and 0 <= float(accuracy[1]) <= 100, lines

elif case == "same_numbers":  # whatever the number of threads; other seeds give others
    lines = without_times(trained("--seed", "3", "--threads", "1", "--verbose"))
    assert lines == without_times(trained("--seed", "3", "--threads", "3", "--verbose"))
    assert lines != without_times(trained("--seed", "4", "--threads", "1", "--verbose"))

elif case == "verbose":  # also the other optimizers, and a last batch that is not full
    text = "\n".join(trained("--verbose", "--optimizer", "sgd", "--batch-size", "100", "--learning-rate", "0.01"))
    assert re.search(r"^logits: tensor\(\[\[ *-?\d+\.\d{4}, ", text, re.M), text
    assert re.search(r"^pred: tensor\(\[\d, \d, \d, \.\.\., \d, \d, \d\]\)$", text, re.M), text
    assert re.search(r"^label: tensor\(\[\d, \d, \d, \.\.\., \d, \d, \d\]\)$", text, re.M), text
    assert "4,910,410" in text, text  # the summary
    trained("--optimizer", "adamw")

elif case == "interrupt":
    need_images()
    for number, status in (signal.SIGINT, 130), (signal.SIGTERM, 143):
        with subprocess.Popen([program, "--epochs", "1000"], stdout=subprocess.PIPE, text=True) as process:
            while "training and" not in process.stdout.readline():  # it says what it read, then trains
                pass
            process.send_signal(number)
            said = process.stdout.read()
            assert process.wait() == status, (process.returncode, said)
            assert re.search(r"^stopped in epoch 1/1000 after \d+ of \d+ images, .*not tested yet$", said, re.M), said

elif case == "late_failure":  # 513 = 4 x 128 + 1: refused before the first epoch
    need_images()
    done = run("--limit", "513", "--epochs", "1")
    assert done.returncode == 1 and "epoch" not in done.stdout, done
    assert "the last batch of an epoch would have 1 of the 513 images" in done.stderr, done.stderr
    assert "change --batch-size or --limit" in done.stderr, done.stderr

elif case == "no_data":  # a place that is named but has no data is an error, the option before the variable
    with tempfile.TemporaryDirectory() as folder:
        done = run("--data", folder, CIFAR10_DIR="/nowhere")
        assert done.returncode == 1 and done.stderr.startswith(f"error: {folder}: expected data_batch_1.bin"), done
        done = run(CIFAR10_DIR=folder)
        assert done.returncode == 1 and done.stderr.startswith(f"error: {folder}: expected data_batch_1.bin"), done
        if os.path.exists(FASHION_MNIST):
            done = run("--limit", "2", "--epochs", "1", CIFAR10_DIR=None, XDG_CACHE_HOME=folder)
            assert done.returncode == 0 and done.stdout.startswith("CIFAR-10 was not found: "), done
            assert "cifar-10-binary.tar.gz" in done.stdout and "--data" in done.stdout, done

else:
    sys.exit(f"no such case: {case}")
