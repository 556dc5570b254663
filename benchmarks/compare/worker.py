"""The protocol between compare.py and a contestant, one line a request and one an answer:

    (start)       -> "ready VERSION"
    logits FILE   -> "done": FILE holds float32 logits, in inference of all images, in training of the first step (with a loader, too,
                     on the images that training without one begins with)
    run COUNT     -> the seconds that COUNT batches took, one after another

resnet_worker.cpp speaks the same.
"""

import argparse
import os
import sys
import time


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", required=True)
    parser.add_argument("--work", choices=("infer", "train", "loader"), required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--setting", required=True)
    return parser.parse_args()


def serve(version, logits, run):
    """logits() gives an array; run(count) does `count` batches, and has the last one's logits in memory when it returns."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is no answer
    print("ready", version, file=answers)
    for line in sys.stdin:
        request, value = line.split(maxsplit=1)
        if request == "logits":
            logits().astype("float32").tofile(value.strip())
            print("done", file=answers)
        else:
            start = time.perf_counter()
            run(int(value))
            print(time.perf_counter() - start, file=answers)
