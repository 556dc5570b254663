"""Runs the built example classify as a user does. Usage: classify.py CASE PROGRAM

The weights are made here: a network that tells red photos (class 0) from blue ones (class 1) by the mean of a channel.
"""
import ctypes
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import zlib

RED, BLUE = (255, 0, 0), (0, 0, 255)
MODELS = {  # kernel of the stem, names of the shortcut and of the last layer, classes, names of the first two
    "imagenet-resnet18": (7, "downsample", "fc", 1000, "tench", "goldfish"),
    "cifar-resnet18": (3, "shortcut", "linear", 10, "airplane", "automobile"),
}
case, program = sys.argv[1:]


def write_weights(path, model, bias=0, prefix=""):
    """A ResNet18 whose blocks hand on channel 0 (red) and 1 (blue), and nothing else; `bias` is that of class 3."""
    kernel, shortcut, head, classes, *_ = MODELS[model]
    tensors = {}  # name: (shape, {element: value}); other elements are 0

    def convolution(name, inputs, outputs, kernel, taps):
        tensors[name + ".weight"] = [outputs, inputs, kernel, kernel], taps

    def batch_norm(name, channels, handed_on=0):
        tensors[name + ".weight"] = [channels], {c: 1 for c in range(handed_on)}
        tensors[name + ".bias"] = tensors[name + ".running_mean"] = [channels], {}
        tensors[name + ".running_var"] = [channels], {c: 1 for c in range(channels)}

    area, middle = kernel * kernel, kernel // 2 * (kernel + 1)
    convolution("conv1", 3, 64, kernel, {middle: 1, (1 * 3 + 2) * area + middle: 1})
    batch_norm("bn1", 64, 2)
    inputs = 64
    for stage, outputs in enumerate((64, 128, 256, 512), 1):
        for block in 0, 1:
            name = f"layer{stage}.{block}"
            convolution(f"{name}.conv1", inputs, outputs, 3, {})
            batch_norm(f"{name}.bn1", outputs)
            convolution(f"{name}.conv2", outputs, outputs, 3, {})
            batch_norm(f"{name}.bn2", outputs)
            if inputs != outputs:
                convolution(f"{name}.{shortcut}.0", inputs, outputs, 1, {0: 1, inputs + 1: 1})
                batch_norm(f"{name}.{shortcut}.1", outputs, 2)
            inputs = outputs
    tensors[head + ".weight"] = [classes, 512], {0: 1, 512 + 1: 1}
    tensors[head + ".bias"] = [classes], {3: bias}

    header, offset = {}, 0
    for name, (shape, _) in tensors.items():
        size = 4
        for extent in shape:
            size *= extent
        header[prefix + name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + offset)
        for name, (_, elements) in tensors.items():
            for element, value in elements.items():
                file.seek(8 + len(text) + header[prefix + name]["data_offsets"][0] + 4 * element)
                file.write(struct.pack("<f", value))


def write_png(path, width, height, colour):
    """colour(x): red, green and blue of a column."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    row = b"\0" + b"".join(bytes(colour(x)) for x in range(width))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(row * height)) + chunk(b"IEND", b""))


def run(*arguments, **options):
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, **options)


def obey_permissions():
    """Before the program begins: also root's may then read nothing without permission."""
    drop, read_search, override = 24, 2, 1  # PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE
    if os.geteuid() == 0:
        for capability in override, read_search:
            assert ctypes.CDLL(None).prctl(drop, capability, 0, 0, 0) == 0


def classified(*arguments, status=0, **options):
    """The JSON of a run and what it says on the standard error stream."""
    done = run("--json", *arguments, **options)
    assert done.returncode == status, (done.returncode, done.stderr)
    assert status != 0 or done.stderr == "", done.stderr
    return json.loads(done.stdout), done.stderr


def first_classes(photos):
    return {pathlib.Path(photo["file"]).name: photo["classes"][0]["class"] for photo in photos}


def main(folder):
    weights, photos = folder / "weights", folder / "photos"
    write_png(photos / "red.png", 300, 200, lambda x: RED)
    write_png(photos / "blue.PNG", 20, 30, lambda x: BLUE)
    cifar = "--model", "cifar-resnet18", "--weights", weights
    write_weights(weights, "imagenet-resnet18" if case in ("imagenet", "other_weights") else "cifar-resnet18")

    if case == "help":
        done = run("--help")
        assert done.returncode == 0 and done.stderr == "", done
        assert "Usage: classify [OPTIONS] photos..." in done.stdout, done
        for option in "model weights prefix top batch json".split():
            assert f"--{option} " in done.stdout, option
        assert run("--weights", weights).returncode not in (0, 1)  # no photo
        assert run(photos).returncode not in (0, 1)  # no weights
        assert run(*cifar, "--model", "alexnet", photos).returncode not in (0, 1)

    elif case == "imagenet":  # only what lies in the middle of a photo counts
        write_png(photos / "wide.png", 600, 200, lambda x: BLUE if 180 <= x < 420 else RED)
        found, _ = classified("--weights", weights, photos)
        assert first_classes(found) == {"blue.PNG": "goldfish", "red.png": "tench", "wide.png": "goldfish"}, found
        assert [len(photo["classes"]) for photo in found] == [5, 5, 5], found
        write_png(photos / "flat.png", 16000, 1, lambda x: RED)  # too long once its shorter side has 256 pixels
        found, said = classified("--weights", weights, photos / "flat.png", photos / "red.png", status=1)
        assert said.startswith(f"error: {photos}/flat.png: resize: ") and len(found) == 1, (said, found)

    elif case == "table":
        done = run(*cifar, "--top", 3, photos / "red.png", photos / "blue.PNG")
        assert done.returncode == 0 and done.stderr == "", done
        line = r" +\d+\.\d\d %  "
        expected = rf"{photos}/red.png\n{line}airplane\n{line}automobile\n{line}bird\n" \
                   rf"{photos}/blue.PNG\n{line}automobile\n{line}airplane\n{line}bird\n"
        assert re.fullmatch(expected.replace(".PNG", r"\.PNG"), done.stdout), done.stdout

    elif case == "json":
        found, _ = classified(*cifar, "--top", 10, photos / "red.png", photos / "blue.PNG")
        assert [photo["file"] for photo in found] == [f"{photos}/red.png", f"{photos}/blue.PNG"], found
        for photo in found:
            classes = photo["classes"]
            assert sorted(c["index"] for c in classes) == list(range(10)), classes
            assert abs(sum(c["probability"] for c in classes) - 1) < 1e-6, classes
            assert classes == sorted(classes, key=lambda c: -c["probability"]), classes
        assert [c["class"] for c in found[0]["classes"][:2]] == ["airplane", "automobile"], found[0]

    elif case == "damaged":  # the others are classified, in batches of any size
        content = (photos / "red.png").read_bytes()
        (photos / "cut.png").write_bytes(content[: len(content) // 2])
        (photos / "text.png").write_text("no image")
        for batch in 1, 2, 5, 100:
            found, said = classified(*cifar, "--batch", batch, photos, photos / "missing.png", status=1)
            assert first_classes(found) == {"blue.PNG": "automobile", "red.png": "airplane"}, found
            lines = said.splitlines()
            assert len(lines) == 3, said
            for line, name in zip(lines, ("cut.png", "text.png", "missing.png")):
                assert line.startswith(f"error: {photos}/{name}: "), said
                assert line.count(name) == 1, said
        assert classified(*cifar, photos / "cut.png", status=1)[0] == []

    elif case == "folder":  # and what is below, sorted, in many batches; what is no photo is passed over
        for i in range(20):
            write_png(photos / "more" / f"{i:02}.png", 8, 8, lambda x: BLUE if i % 3 else RED)
        (photos / "notes.txt").write_text("no photo")
        (photos / "folder.png").mkdir()
        found, _ = classified(*cifar, "--batch", 6, photos)
        names = ["blue.PNG", *(f"more/{i:02}.png" for i in range(20)), "red.png"]
        assert [photo["file"] for photo in found] == [f"{photos}/{name}" for name in names], found
        for i, photo in enumerate(found[1:-1]):
            assert photo["classes"][0]["class"] == ("automobile" if i % 3 else "airplane"), photo
        whole, _ = classified(*cifar, "--batch", 1000, photos)
        assert whole == found
        (photos / "more").rename(photos / "a")  # the first that is met; the others are classified
        (photos / "a").chmod(0)
        found, said = classified(*cifar, photos, preexec_fn=obey_permissions, status=1)
        assert first_classes(found) == {"blue.PNG": "automobile", "red.png": "airplane"}, found
        assert said == f"error: {photos}/a: Permission denied\n", said
        (photos / "a").chmod(0o700)

        (folder / "empty").mkdir()
        found, said = classified(*cifar, folder / "empty", photos / "red.png", status=1)
        assert said.startswith(f"error: {folder}/empty: ") and len(found) == 1, (said, found)

    elif case == "other_weights":  # of another network, or none
        done = run(*cifar, photos)
        assert done.returncode == 1 and done.stdout == "", done
        assert done.stderr.startswith(f"error: {weights}: expected the weights of this network, found "), done.stderr
        assert done.stderr.endswith("\nare these weights of another network? see --model; have their names a prefix? see --prefix\n"), done.stderr
        done = run("--weights", folder / "missing", photos)
        assert done.returncode == 1 and done.stderr.startswith(f"error: {folder}/missing: "), done.stderr
        write_weights(weights, "cifar-resnet18", prefix="module.")
        assert run(*cifar, photos).returncode == 1
        found, _ = classified(*cifar, "--prefix", "module.", photos / "red.png")
        assert first_classes(found) == {"red.png": "airplane"}, found
        done = run(*cifar, "--prefix", "module.", "--top", 11, photos)
        assert done.returncode == 1 and done.stderr == "error: --top 11: this model has 10 classes\n", done.stderr

    elif case == "no_numbers":  # of a network that has diverged; whatever photo it is
        write_weights(weights, "cifar-resnet18", bias=float("nan"))
        found, said = classified(*cifar, photos, status=1)
        assert found == [] and said.count("expected finite logits from the network, found infinite ones or NaN\n") == 2, (said, found)
        assert said.startswith(f"error: {photos}/blue.PNG: "), said

    elif case == "full_disk":
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([program, *map(str, cifar), photos], stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 1 and done.stderr == "error: the output could not be written\n", done

    else:
        sys.exit(f"no such case: {case}")


with tempfile.TemporaryDirectory() as temporary:
    main(pathlib.Path(os.path.realpath(temporary)))
