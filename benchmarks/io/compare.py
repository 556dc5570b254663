"""Times loading and saving the weights of CifarResNet18 (45 MB) beside safetensors' Python package: `load_file` with every
tensor cloned, and with every tensor copied into one that is there, as load_state_dict does and as ours goes into a model; and
`save_file` with os.fsync of the file after it, since ours is durable.

    tests/pytorch/install    # build/pytorch/venv
    build/pytorch/venv/bin/python benchmarks/io/compare.py build/release/benchmarks/load_and_save [--rounds 15] [--folder /tmp]

Ours and theirs take turns, and turns at being first; the medians of the times and of the ratios ours / theirs are printed. A ratio
above 2 fails, but beside copies: theirs are then two threads' copies of a mapped file, unchecked and in the order that it has, while
ours reads the file, takes its checksum and turns the weights into the engine's order.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import safetensors.torch


def load_clones(path):
    return {name: tensor.clone() for name, tensor in safetensors.torch.load_file(path).items()}


def load_into(tensors, path):
    for name, tensor in safetensors.torch.load_file(path).items():
        tensors[name].copy_(tensor)


def save(tensors, path):
    safetensors.torch.save_file(tensors, path)
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def milliseconds(function, *arguments):
    begin = time.perf_counter()
    function(*arguments)
    return (time.perf_counter() - begin) * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="the built load_and_save.cpp")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--folder", default=None, help="on the file system to measure; a temporary one by default")
    arguments = parser.parse_args()

    failed = False
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path, ours_path, theirs_path = (str(pathlib.Path(folder) / name) for name in ("read", "ours", "theirs"))
        worker = subprocess.Popen([arguments.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        def ours(command, file):
            print(command, file, file=worker.stdin, flush=True)
            return float(worker.stdout.readline())

        ours("save", path)
        print(f"{os.path.getsize(path) / 1e6:.1f} MB, {arguments.rounds} rounds; medians in ms")
        tensors = load_clones(path)
        cases = {
            "load beside clones": (lambda: ours("load", path), lambda: milliseconds(load_clones, path)),
            "load beside copies": (lambda: ours("load", path), lambda: milliseconds(load_into, tensors, path)),
            "save": (lambda: ours("save", ours_path), lambda: milliseconds(save, tensors, theirs_path)),
        }
        for name, (our_time, their_time) in cases.items():
            turns = range(arguments.rounds + 2)
            pairs = [(our_time(), their_time()) if turn % 2 == 0 else (their_time(), our_time())[::-1] for turn in turns]
            del pairs[:2]  # caches and pages warm
            ratio = statistics.median(a / b for a, b in pairs)
            low, _, high = statistics.quantiles((a / b for a, b in pairs), n=4)
            print(f"{name}: ours {statistics.median(a for a, _ in pairs):.1f}, "
                  f"theirs {statistics.median(b for _, b in pairs):.1f}, ratio {ratio:.2f} ({low:.2f} to {high:.2f})")
            failed = failed or (ratio > 2 and name != "load beside copies")
        again = safetensors.torch.load_file(ours_path)
        if any((again[name] != tensor).any() for name, tensor in tensors.items()):
            sys.exit("the file that we saved has other numbers")
        worker.stdin.close()
        worker.wait()
    return failed


if __name__ == "__main__":
    sys.exit(main())
