"""Runs the built example cifar10 as a user does; exit status 77: skipped."""
import argparse
import contextlib
import json
import math
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time

FASHION_MNIST = "/usr/share/datasets/fashion-mnist"
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("case")
parser.add_argument("program")
parser.add_argument("--kills", type=int, default=50, help="of the case of that name (default: 50)")
parsed = parser.parse_args()
case, program = parsed.case, parsed.program


def run(*arguments, **environment):
    """The finished process of the program; variables may be unset with None."""
    variables = {k: v for k, v in {**os.environ, **environment}.items() if v is not None}
    return subprocess.run([program, *arguments], env=variables, capture_output=True, text=True)


def need_images():
    if not os.environ.get("CIFAR10_DIR") and not os.path.exists(FASHION_MNIST):
        print("skipped: CIFAR10_DIR is not set and dataset-fashion-mnist is not installed")
        sys.exit(77)


def trained(*arguments, epochs=1, limit=512):
    """Lines of a short run that must succeed."""
    need_images()
    done = run("--limit", str(limit), "--epochs", str(epochs), *arguments)
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert done.stderr == "", done.stderr
    return done.stdout.splitlines()


def content(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def header(folder, name):
    """Of a safetensors file, which must be as long as it says."""
    data = content(folder, name)
    length = int.from_bytes(data[:8], "little")
    tensors = json.loads(data[8:8 + length])
    assert len(data) == 8 + length + max(tensor["data_offsets"][1] for name, tensor in tensors.items() if name != "__metadata__")
    return tensors


def position(folder):
    """(epoch, batch) of the checkpoint in a folder."""
    metadata = header(folder, "last.safetensors")["__metadata__"]
    return int(metadata["position.epoch"]), int(metadata["position.batch"])


def started(*arguments, ignored=()):
    """A process of the program that is about to train; it ignores these signals, and no other that this one may ignore."""
    def dispositions():
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    process = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=dispositions)
    lines = []
    while not lines or not re.match(r"[a-z0-9-]+, \d+ parameters; ", lines[-1]):
        lines.append(process.stdout.readline())
        assert lines[-1], (arguments, lines, process.stderr.read())
    return process


def watched(process, number):
    """Whether the process has a handler for a signal."""
    with open(f"/proc/{process.pid}/status") as file:
        return any(line.startswith("SigCgt:") and int(line.split()[1], 16) >> (number - 1) & 1 for line in file)


def rest_of(process):
    """What it has printed since it was started. It has ended then."""
    said = process.stdout.read()  # communicate() would not have what was read ahead
    process.wait()
    return said


def weights(folder):
    """Bytes of the tensors of its checkpoint by their names."""
    data = content(folder, "last.safetensors")
    begin = 8 + int.from_bytes(data[:8], "little")
    tensors = header(folder, "last.safetensors")
    return {name: data[begin + part["data_offsets"][0] : begin + part["data_offsets"][1]] for name, part in tensors.items() if name != "__metadata__"}


def unfinished(folder):
    """Whether there is a file that is not yet in its place."""
    return os.path.exists(folder) and any(".tmp-" in name for name in os.listdir(folder))


def must_end_alike(folder, whole, *arguments, epochs=None):
    """Resumes in one folder and runs without a stop in another, both to the same epoch: equal in every byte."""
    arguments = *arguments, "--epochs", str(epochs or position(folder)[0] + 2)
    resumed = run("--resume", "--out", folder, *arguments, "--threads", "3")
    assert resumed.returncode == 0 and resumed.stderr == "", resumed
    straight = run("--out", whole, *arguments, "--threads", "1")
    assert straight.returncode == 0, straight
    assert resumed.stdout.splitlines()[-1] == straight.stdout.splitlines()[-1], (resumed.stdout, straight.stdout)
    for name in "last.safetensors", "best.safetensors":
        assert content(folder, name) == content(whole, name), name
    assert [row[:6] + row[8:] for row in epochs_of(folder)] == [row[:6] + row[8:] for row in epochs_of(whole)]  # the others are times
    names = {name for name in os.listdir(folder) if not name.startswith("events.out.tfevents.")}
    assert names - {"report.html"} == {"best.safetensors", "last.safetensors", "metrics.csv"}, names


def epochs_of(folder):
    """The lines of metrics.csv that are epochs, which must be 1, 2, ...; numbers as texts."""
    lines = [line for line in content(folder, "metrics.csv").decode().splitlines() if not line.startswith("#")]
    assert lines[0] == "epoch,step,train_loss,test_loss,test_accuracy,learning_rate,images_per_second,seconds,views_accuracy", lines[0]
    rows = [line.split(",") for line in lines[1:]]
    assert [row[0] for row in rows] == [str(epoch + 1) for epoch in range(len(rows))] and all(len(row) == 9 for row in rows), rows
    return rows


def event_files(folder):
    return sorted(name for name in os.listdir(folder) if name.startswith("events.out.tfevents."))


def without_times(lines):
    return [re.sub(r", [\d.]+ s, \d+ images/s|, \d threads", "", line) for line in lines]


if case == "help":
    done = run("--help")
    assert done.returncode == 0 and done.stderr == "", done
    assert "Usage: cifar10 [OPTIONS]" in done.stdout, done
    for option in "model recipe epochs batch-size optimizer learning-rate seed threads data limit out resume verbose".split():
        assert f"--{option} " in done.stdout, option
    assert run("--no-such-option").returncode != 0
    assert run("--model", "alexnet").returncode == 2
    unknown = run("--recipe", "best")
    assert unknown.returncode == 1 and unknown.stderr == "error: there is no recipe best for tutorial; there are tutorial, fast\n", unknown
    for wrong in (["--learning-rate", "nan"], ["--learning-rate", "1e39"], ["--learning-rate", "-1"], ["--seed", "-1"], ["--data", ""],
                  ["--seed", "18446744073709551616"], ["--seed", "010"], ["--epochs", "010"], ["--threads", "129"]):
        done = run(*wrong)
        assert done.returncode == 2 and wrong[0] in done.stderr and len(done.stderr) < 200, done

elif case == "trains":
    lines = trained()
    assert re.fullmatch(r"(CIFAR-10|Fashion-MNIST) from .*: 512 training and 512 test images", lines[-4]), lines
    assert lines[-3].startswith("tutorial, 4910410 parameters; recipe tutorial, adam, learning rate 0.001, batches of 128, seed 1, "), lines
    assert re.fullmatch(r"epoch 1/1: mean loss \d\.\d{4}, \d+\.\d s, \d+ images/s, test accuracy \d+\.\d\d %", lines[-2]), lines
    accuracy = re.fullmatch(r"test accuracy: (\d+\.\d\d) %", lines[-1])
    assert accuracy and 0 <= float(accuracy[1]) <= 100, lines

    fast = trained("--recipe", "fast")
    assert "recipe fast, adamw, learning rate 0.004, batches of 128" in fast[-3], fast
    assert without_times(fast)[-2] != without_times(lines)[-2]

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
    for number, status in (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129):
        process = started("--epochs", "1000")
        begin = time.monotonic()
        process.send_signal(number)
        time.sleep(0.005)
        if time.monotonic() - begin < 0.5:  # twice at once, as a shell and then the terminal say it, and timeout
            process.send_signal(number)
        said = rest_of(process)
        assert process.returncode == status, (process.returncode, said)
        assert re.search(r"^stopped in epoch 1/1000 after \d+ of \d+ images, .*not tested yet$", said, re.M), said

    # A second Ctrl-C, a second after the first, ends the program at once, here while it waits for room in a pipe.
    # A terminal that has gone away before, or a pipe's reader, does not count as the first.
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    process = subprocess.Popen([program, "--limit", "128"], stdout=writer, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    while not watched(process, signal.SIGINT):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    time.sleep(1.1)
    begin = time.monotonic()
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    assert process.returncode == -signal.SIGINT and time.monotonic() - begin >= 1, process.returncode
    os.close(reader)
    os.close(writer)

    with tempfile.TemporaryDirectory() as folder:  # a reader that goes away, such as `| less`, costs no epoch
        out = os.path.join(folder, "run")
        process = started("--limit", "128", "--epochs", "100000", "--out", out)
        process.stdout.close()
        assert process.wait() == 128 + signal.SIGPIPE, process.stderr.read()
        process.stderr.close()
        assert position(out) > (0, 0), position(out)

    # What is ignored from the beginning, as `&` has it in a script, stays so.
    process = started("--limit", "128", "--epochs", "3", ignored=[signal.SIGINT])
    process.send_signal(signal.SIGINT)
    said = rest_of(process)
    assert process.returncode == 0 and "epoch 3/3" in said, (process.returncode, said)

elif case == "outputs":  # the numbers that are printed, with settings and seed in each file
    need_images()
    with tempfile.TemporaryDirectory() as folder:
        lines = trained("--out", f"{folder}/a", "--seed", "5", epochs=2)
        last = epochs_of(f"{folder}/a")[-1]
        assert last[:2] == ["2", "8"] and float(last[5]) == 1e-3, last
        printed = re.fullmatch(r"epoch 2/2: mean loss ([\d.]+), [\d.]+ s, (\d+) images/s, test accuracy ([\d.]+) %", lines[-2])
        assert [f"{float(last[2]):.4f}", f"{float(last[6]):.0f}", f"{100 * float(last[4]):.2f}"] == list(printed.groups()), (last, lines)
        settings = [line for line in content(f"{folder}/a", "metrics.csv").decode().splitlines() if line.startswith("# ")]
        for name in "data epochs model recipe optimizer learning-rate batch-size seed compiler threads".split() + ["library", "instruction set", "weight decay", "batch norm's biases",
                     "batch norm's weights", "label smoothing", "schedule", "augmentation", "lookahead", "test images"]:
            assert len([line for line in settings if line.startswith(f"# {name}: ")]) == 1, (name, settings)
        assert "# seed: 5" in settings and "# batch-size: 128" in settings, settings
        (events,) = event_files(f"{folder}/a")
        data = content(f"{folder}/a", events)
        for text in "| seed | 5 |", "loss/train", "loss/test", "accuracy/test", "learning_rate", "images_per_second":
            assert text.encode() in data, text
        assert data.count(b"loss/test") == 2
        if any("no report.html" in line for line in lines):
            assert "Chart.js was not found" in "".join(lines) and not os.path.exists(f"{folder}/a/report.html")
        else:
            assert b"<dt>seed</dt><dd>5</dd>" in content(f"{folder}/a", "report.html")
        for name in "last.safetensors", "best.safetensors":
            metadata = header(f"{folder}/a", name)["__metadata__"]
            assert metadata["note.option seed"] == "5" and metadata["note.option recipe"] == "tutorial", metadata
            assert ", 512 images, checksum " in metadata["note.data"], metadata

        # The same command, the same numbers. An epoch behind the checkpoint, as a kill between the two leaves it, is written anew.
        lines = trained("--out", f"{folder}/b", "--seed", "5")
        metrics = f"{folder}/b/metrics.csv"
        with open(metrics, "a") as file:
            file.write("2,8,9,9,9,9,9,9,\n")
        done = run("--resume", "--out", f"{folder}/b", "--epochs", "2")
        assert done.returncode == 0 and done.stderr == "", done
        assert [row[:6] for row in epochs_of(f"{folder}/a")] == [row[:6] for row in epochs_of(f"{folder}/b")]
        assert len(event_files(f"{folder}/b")) == 2

        os.rename(metrics, f"{metrics}.away")  # an epoch that is missing is said
        done = run("--resume", "--out", f"{folder}/b", "--epochs", "2")
        assert done.returncode == 0 and done.stderr == f"warning: {metrics} has 0 of the 2 epochs that are done\n", done
        row = "4,9,9,9,9,9,9,\n"
        for text, line, expected, found in [("# a sheet was here\n1;2;3\n", 2, "epoch,step,", "1;2;3"), ("7" + row[1:], 1, "epoch,step,", "7,9,9"),
                                            (f"1,{row}1,{row}", 2, "an epoch after 1", "1,4,9"), (f"-5,{row}", 1, "an epoch after 0", "-5,4,9"),
                                            (f"nan,{row}", 1, "epoch,step,", "nan,4,9"), (f"2,{row}1,{row}", 2, "an epoch after 2", "1,4,9")]:
            with open(metrics, "w") as file:
                file.write(text)
            done = run("--resume", "--out", f"{folder}/b", "--epochs", "4")
            assert done.returncode == 1 and done.stderr.startswith(f"error: {metrics}, line {line}: expected {expected}"), (text, done)
            assert f"found {found}" in done.stderr and "mean loss" not in done.stdout, done
            assert content(f"{folder}/b", "metrics.csv") == text.encode()
        with open(f"{metrics}.away", newline="") as file:
            lines = file.read().splitlines()
        with open(metrics, "w", newline="\r\n") as file:  # an editor's
            file.write("\n".join(lines) + "\n")
        done = run("--resume", "--out", f"{folder}/b", "--epochs", "3")
        assert done.returncode == 0 and done.stderr == "" and [row[0] for row in epochs_of(f"{folder}/b")] == ["1", "2", "3"], done

        # What is printed where standard output is closed goes into no file; where it can't be written, that is said.
        def without_streams():
            os.close(0)
            os.close(1)
        options = "--limit", "128", "--epochs", "2"
        done = subprocess.run([program, *options, "--out", f"{folder}/c"], preexec_fn=without_streams, stderr=subprocess.PIPE, text=True)
        (events,) = event_files(f"{folder}/c")
        assert done.returncode == 0 and done.stderr == "" and b"mean loss" not in content(f"{folder}/c", events), done
        with open("/dev/full", "w") as full:
            done = subprocess.run([program, *options], stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 1 and done.stderr == "error: standard output could not be written\n", done

        # Another event file has all epochs where one was removed.
        os.mkdir(f"{folder}/d")
        process = started("--limit", "128", "--epochs", "100000", "--out", f"{folder}/d")
        while not (names := event_files(f"{folder}/d")):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        os.remove(f"{folder}/d/{names[0]}")
        while not event_files(f"{folder}/d"):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        rest_of(process)
        (events,) = event_files(f"{folder}/d")
        assert process.stderr.read() == "" and content(f"{folder}/d", events).count(b"loss/test") == position(f"{folder}/d")[0]

elif case == "resume":  # stopped by either signal, it goes on as if nothing had been
    need_images()
    with tempfile.TemporaryDirectory() as folder:
        out, whole = os.path.join(folder, "a", "run"), os.path.join(folder, "whole")
        options = "--limit", "512", "--seed", "5", "--optimizer", "sgd"
        first = started("--out", out, "--epochs", "1000", *options)
        first.send_signal(signal.SIGINT)
        said = rest_of(first)
        assert first.returncode == 130 and re.search(r"^stopped in epoch \d+/1000 after \d+ of 512 images, ", said, re.M), said
        before = position(out)
        second = started("--resume", "--out", out)  # with the options of the first
        second.send_signal(signal.SIGTERM)
        said = rest_of(second)
        assert second.returncode == 143 and re.search(r"^stopped in epoch \d+/1000 ", said, re.M), said
        assert f"resuming from {out}/last.safetensors: {before[0]} epochs and {before[1]} batches are done" in said, said
        assert position(out) > before, (position(out), before)
        must_end_alike(out, whole, *options)

        # With an average that lookahead gives back to the model, a frozen layer and other rates of biases.
        options = "--limit", "64", "--model", "resnet9", "--recipe", "fast", "--batch-size", "16"
        first = started("--out", f"{folder}/resnet9", *options, "--epochs", "2")
        first.send_signal(signal.SIGINT)
        assert rest_of(first) and first.returncode == 130, first
        must_end_alike(f"{folder}/resnet9", f"{folder}/resnet9 whole", *options, epochs=2)

        # What agrees with the checkpoint may be given again, also where the network of the recipe is not.
        lines = trained("--model", "resnet9", "--recipe", "best", "--out", f"{folder}/best", limit=32)
        done = run("--resume", "--out", f"{folder}/best", "--recipe", "best")
        assert done.returncode == 0 and done.stderr == "" and done.stdout.splitlines()[-1] == lines[-1], (done, lines)

        done = run("--resume", "--out", out)  # nothing is left to do
        assert done.returncode == 0 and re.search(r"^test accuracy: [\d.]+ %$", done.stdout, re.M), done
        assert "batches are done; nothing is left to train\n" in done.stdout, done
        assert "mean loss" not in done.stdout and content(out, "last.safetensors") == content(whole, "last.safetensors")

elif case == "lookahead":  # ends with an average that has moved, also in five steps; with fewer there is none
    need_images()
    with tempfile.TemporaryDirectory() as folder:
        for epochs in 5, 2:
            runs = []
            for rate in ["--learning-rate", "1e-30"], []:  # the first stays where it begins
                out = os.path.join(folder, f"{epochs} {len(runs)}")
                options = "--model", "resnet9", "--recipe", "fast", "--limit", "32", "--batch-size", "32", "--epochs", str(epochs)
                done = run(*options, *rate, "--out", out)
                assert done.returncode == 0, done
                runs.append(weights(out))
            assert runs[0].keys() == runs[1].keys() and "linear.weight" in runs[0], runs[0].keys()
            assert runs[0]["linear.weight"] != runs[1]["linear.weight"], epochs
            moved = runs[1]["average/linear.weight"] != runs[0]["average/linear.weight"]
            assert moved == (epochs == 5) == (runs[1]["average/linear.weight"] == runs[1]["linear.weight"]), epochs

elif case == "recipes":  # reach the trainer: its settings, what is frozen, and the learning rate of each epoch's last step
    need_images()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        def after_eight_steps(out, *options):
            lines[:] = trained(*options, "--batch-size", "8", "--out", out, epochs=2, limit=32)
            return header(out, "last.safetensors")["__metadata__"], [float(row[5]) for row in epochs_of(out)]

        def close(rates, expected):
            return all(abs(rate - value) < 1e-5 * value for rate, value in zip(rates, expected, strict=True))

        metadata, rates = after_eight_steps(f"{folder}/resnet9", "--model", "resnet9", "--recipe", "fast")
        expected = {"label_smoothing": "0.2", "learning_rate factors": "1 1 1 64 1", "weight_decay factors": "1 1 1 0.015625 1"}
        assert expected == {name: metadata[f"fingerprint.{name}"] for name in expected}, metadata
        expected = {"name": "SGD", "momentum": "0.85", "weight_decay": "0.0013", "nesterov": "true"}
        assert expected == {name: metadata[f"optimizer.{name}"] for name in expected}, metadata
        frozen = metadata["frozen"].split()
        scales = [name for name in weights(f"{folder}/resnet9") if re.search(r"norm\d?\.weight$", name) and "/" not in name]
        assert len(scales) > 5 and sorted(frozen) == sorted([*scales, "whiten.weight"]), (frozen, scales)
        assert close(rates, [0.75 - 0.6975 / 6, 0.75 - 0.6975 * 5 / 6]), rates  # a triangle with its peak at step 2 of 8

        # All views of the test images make one figure of the whole run; epochs are compared without them.
        *before, last = epochs_of(f"{folder}/resnet9")
        assert len(before) == 1 and before[0][8] == "" and last[8] != "", (before, last)
        views = f"{100 * float(last[8]):.2f} % from all views"
        assert lines[-1] == f"test accuracy: {100 * float(last[4]):.2f} %; {views}", (lines, last)
        (events,) = event_files(f"{folder}/resnet9")
        assert content(f"{folder}/resnet9", events).count(b"accuracy/test_all_views") == 1

        # The first layer is the images', whatever the seed.
        after_eight_steps(f"{folder}/seed 2", "--model", "resnet9", "--recipe", "fast", "--seed", "2")
        first, second = weights(f"{folder}/resnet9"), weights(f"{folder}/seed 2")
        assert first["whiten.weight"] == second["whiten.weight"] and first["linear.weight"] != second["linear.weight"]

        metadata, rates = after_eight_steps(f"{folder}/fast", "--recipe", "fast")
        assert metadata["optimizer.name"] == "AdamW" and metadata["optimizer.weight_decay"] == "0.05", metadata
        assert metadata["frozen"] == "" and metadata["fingerprint.label_smoothing"] == "0", metadata
        part = (3 - 1.4) / (7 - 1.4)  # one cycle: up to step 0.3 * 8 - 1, down to the last
        lowest = 4e-3 / 25 / 1e4
        assert close(rates, [lowest + (4e-3 - lowest) * (1 + math.cos(math.pi * part)) / 2, lowest]), rates

elif case == "resume_errors":
    need_images()
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "run")
        last = os.path.join(out, "last.safetensors")
        nothing = run("--resume", "--out", out)
        assert nothing.returncode == 1 and nothing.stderr.startswith(f"error: {last}: expected a safetensors file"), nothing
        assert run("--resume").returncode != 0  # where from?
        trained("--out", out)
        kept = content(out, "last.safetensors")
        for option, value, was in [("model", "cifar-resnet18", "tutorial"), ("recipe", "fast", "tutorial"), ("optimizer", "sgd", "adam"), ("seed", "2", "1"),
                                   ("batch-size", "64", "128"), ("limit", "256", "512"), ("learning-rate", "0.1", "0.001")]:
            done = run("--resume", "--out", out, f"--{option}", value)
            message = f"error: --{option} {value} contradicts {last}, which was made with --{option} {was}\n"
            assert done.returncode == 1 and done.stderr == message, done
        again = run("--out", out, "--limit", "512")
        assert again.returncode == 1 and f"{last} is there already" in again.stderr, again
        assert content(out, "last.safetensors") == kept
        other = run("--resume", "--out", out, "--epochs", "2", RESNET_ISA="baseline")
        assert other.returncode == 0 and "epoch 2/2: " in other.stdout, other
        assert re.fullmatch(r"(warning: .*instruction set \w+, now baseline\n)?", other.stderr), other
        sets = re.findall(rb"^# instruction set: (.*)$", content(out, "metrics.csv"), re.M)  # whose epochs are whose
        assert len(sets) == 1 and re.fullmatch(rb"\w+; from epoch 2: baseline" if other.stderr else rb"baseline", sets[0]), sets

        fast = os.path.join(folder, "fast")
        trained("--recipe", "fast", "--out", fast)
        longer = run("--resume", "--out", fast, "--epochs", "2")
        assert longer.returncode == 1 and "--epochs 2 contradicts" in longer.stderr, longer

        def small_disk():  # as a full one, but for the reason: files end at 1 MiB. Python ignores the signal that tells of it
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        kept = content(out, "last.safetensors")
        full = subprocess.run([program, "--resume", "--out", out, "--epochs", "3"], preexec_fn=small_disk, restore_signals=False,
                              capture_output=True, text=True)
        assert full.returncode == 1 and "mean loss" not in full.stdout, full  # known before the first epoch
        assert re.search(r"^error: .*safetensors: expected to write it, found File too large$", full.stderr, re.M), full
        assert content(out, "last.safetensors") == kept and not unfinished(out), os.listdir(out)

        # So is a file that can't be replaced.
        for name, message in [("metrics.csv", "/nowhere/metrics.csv: expected to "), ("best.safetensors", f"{out}/best.safetensors is a folder")]:
            own = os.path.join(out, name)
            os.rename(own, f"{own}.away")
            if name == "metrics.csv":
                os.symlink("/nowhere/metrics.csv", own)
            else:
                os.mkdir(own)
            done = run("--resume", "--out", out, "--epochs", "3")
            assert done.returncode == 1 and f"error: {message}" in done.stderr and "mean loss" not in done.stdout, done
            if name == "metrics.csv":
                os.remove(own)
            else:
                os.rmdir(own)
            os.rename(f"{own}.away", own)

        with open(last, "r+b") as file:
            file.seek(1_000_000)
            file.write(b"damaged")
        done = run("--resume", "--out", out)
        assert done.returncode == 1 and "the file is damaged" in done.stderr, done
        done = run("--out", "/dev/null/run", "--limit", "512")
        assert done.returncode == 1 and "/dev/null/run" in done.stderr and "mean loss" not in done.stdout, done

elif case == "one_run":  # a folder belongs to one run at a time, and what is in it is not written over
    need_images()
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "run")
        options = "--limit", "128", "--out", out
        first = started(*options, "--epochs", "100000")
        for again in options, ("--resume", "--out", out):
            for _ in range(5):
                done = run(*again)
                assert done.returncode == 1 and done.stderr.startswith(f"error: {out} is in use by another run"), done
        first.send_signal(signal.SIGINT)
        said = first.communicate()
        assert first.returncode == 130, said
        kept = position(out)[0]

        best = os.path.join(out, "best.safetensors")  # one that is gone comes back
        if os.path.exists(best):
            os.remove(best)
        done = run("--resume", "--out", out, "--epochs", str(kept + 2))
        assert done.returncode == 0 and os.path.exists(best), done
        assert kept == 0 or done.stderr.startswith(f"warning: {best} is gone"), done
        # What is somebody's own stays.
        for name in "last.safetensors", "best.safetensors", "metrics.csv", "report.html", "events.out.tfevents.1":
            for other in os.listdir(out):
                os.remove(os.path.join(out, other))
            own = os.path.join(out, name)
            with open(own, "w") as file:
                file.write("precious")
            done = run(*options, "--epochs", "1")
            assert done.returncode == 1 and f"{own} is there already" in done.stderr and content(out, name) == b"precious", done

elif case == "replaced_folder":  # a folder that takes the place of the run's gets nothing of it
    need_images()
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "run")
        process = started("--out", out)  # of all images: it will train for seconds
        while not os.path.exists(os.path.join(out, "metrics.csv")):  # all is made that a run begins with
            assert process.poll() is None, rest_of(process)
            time.sleep(0.001)
        os.rename(out, f"{out} before")
        os.mkdir(out)
        process.send_signal(signal.SIGINT)
        rest_of(process)
        said = process.stderr.read()
        assert process.returncode == 1 and said == f"error: {out} is no longer the folder that this run began with\n", said
        assert os.listdir(out) == [] and position(f"{out} before") == (0, 0), os.listdir(out)

elif case == "other_data":  # images that are not those of the checkpoint, though as many: one of their bits differs
    with tempfile.TemporaryDirectory() as folder:
        data, out = os.path.join(folder, "data"), os.path.join(folder, "run")
        os.mkdir(data)
        files = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
        for name in files:
            with open(os.path.join(data, name), "wb") as file:
                file.truncate(10000 * 3073)
        options = "--data", data, "--limit", "4", "--batch-size", "4", "--out", out
        done = run(*options, "--epochs", "1")
        assert done.returncode == 0, done
        for name in files[0], files[-1]:
            for byte in b"\1\0":
                with open(os.path.join(data, name), "r+b") as file:
                    file.seek(3072)
                    file.write(bytes([byte]))
                done = run("--resume", *options, "--epochs", "1")
                assert done.returncode == byte, done
                assert not byte or done.stderr.startswith("error: the data is CIFAR-10, 4 images, checksum "), done

elif case == "kills":  # at random moments: of both files the old one or the new one is left, whole
    need_images()
    seed = random.randrange(2**32)
    print(f"{parsed.kills} kills at moments of seed {seed}")
    random.seed(seed)
    options = "--limit", "128"  # most of the time goes into saves
    with tempfile.TemporaryDirectory() as folder:
        out, whole = os.path.join(folder, "run"), os.path.join(folder, "whole")
        process = started("--out", whole, "--epochs", "3", *options)
        begin = time.monotonic()
        assert process.wait() == 0
        longest = time.monotonic() - begin
        process.communicate()
        in_a_save, reached = 0, (0, 0)
        for kill in range(parsed.kills):
            resume = os.path.exists(os.path.join(out, "last.safetensors"))
            process = started(*(["--resume"] if resume else options), "--out", out, "--epochs", "100000")
            time.sleep(random.uniform(0, longest))
            if kill % 2 == 1:  # every other one aims at a save
                while not unfinished(out):
                    assert process.poll() is None, process.stderr.read()
                    time.sleep(0.001)
                time.sleep(random.uniform(0, 0.05))
            process.kill()
            said = process.communicate()
            assert process.returncode == -signal.SIGKILL, (process.returncode, said)
            in_a_save += unfinished(out)
            if os.path.exists(os.path.join(out, "last.safetensors")):
                assert position(out) >= reached, (position(out), reached)
                reached = position(out)
        print(f"{in_a_save} of them in a save; {reached[0]} epochs were reached")
        assert in_a_save > 0 or parsed.kills < 50
        for name in os.listdir(whole):
            os.remove(os.path.join(whole, name))
        must_end_alike(out, whole, *options)

elif case == "late_failure":  # 513 = 4 x 128 + 1: refused before the first epoch
    need_images()
    done = run("--limit", "513", "--epochs", "1")
    assert done.returncode == 1 and "epoch" not in done.stdout, done
    assert "the last batch of an epoch would have 1 of the 513 images" in done.stderr, done.stderr
    assert "change --batch-size or --limit" in done.stderr, done.stderr

    def little_memory():
        resource.setrlimit(resource.RLIMIT_AS, (1_400_000_000, 1_400_000_000))
    with open(program, "rb") as file:
        if b"__asan_init" not in file.read():  # which takes all addresses for itself
            done = subprocess.run([program, "--threads", "1", "--limit", "8000", "--batch-size", "8000"], preexec_fn=little_memory,
                                  capture_output=True, text=True)
            assert done.returncode == 1 and done.stderr == "error: there is not enough memory; a lower --batch-size needs less\n", done

elif case == "diverged":  # the last update of an epoch ruins the weights: what was kept before stays
    need_images()
    with tempfile.TemporaryDirectory() as out:
        done = run("--limit", "128", "--epochs", "2", "--learning-rate", "1e30", "--out", out)
        assert done.returncode == 1 and done.stderr.startswith("error: epoch 1/2: the mean test loss is "), done
        assert position(out) == (0, 0) and not os.path.exists(os.path.join(out, "best.safetensors")), os.listdir(out)
        trained("--out", out, limit=128)  # nothing is there that another run could spoil
        assert position(out) == (1, 0) and len(epochs_of(out)) == 1

elif case == "unwritable_report":  # costs a warning, not the epoch
    need_images()
    with tempfile.TemporaryDirectory() as out:
        os.symlink("/nowhere/report.html", os.path.join(out, "report.html"))
        done = run("--limit", "128", "--epochs", "2", "--out", out)
        assert done.returncode == 0 and position(out) == (2, 0) and len(epochs_of(out)) == 2, done
        has_report = "no report.html" not in done.stdout
        assert done.stderr.count("warning: /nowhere/report.html: expected to ") == (2 if has_report else 0), done

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
