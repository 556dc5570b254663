"""The protocol between compare.py and a contestant, one line a request and one an answer:

    (start)       -> "ready IN_FLIGHT VERSION": so many batches are computed at the same time
    logits FILE   -> "done": FILE holds float32 logits, in inference of all images, in training of the first step (with a loader, too,
                     on the images that training without one begins with)
    run COUNT     -> the seconds that COUNT batches took, IN_FLIGHT of them at a time

resnet_worker.cpp speaks the same.
"""

import argparse
import concurrent.futures
import gc
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


def run_in_flight(callers, count):
    """callers[k](turns) on a thread each. They share `turns`, one for each batch: who is done with one takes the next. One caller
    works on the thread that asks."""
    turns = iter(range(count))
    if len(callers) == 1:
        return callers[0](turns)
    with concurrent.futures.ThreadPoolExecutor(len(callers)) as pool:
        for _ in pool.map(lambda caller: caller(turns), callers):
            pass  # and an error is raised here


def serve(version, logits, run, in_flight=1):
    """logits() gives an array; run(count) does `count` batches, and has their logits in memory when it returns."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is no answer
    gc.collect()
    gc.freeze()
    gc.disable()  # else it collects while the clock runs
    print("ready", in_flight, version, file=answers)
    for line in sys.stdin:
        request, value = line.split(maxsplit=1)
        if request == "logits":
            logits().astype("float32").tofile(value.strip())
            print("done", file=answers)
        else:
            start = time.perf_counter()
            run(int(value))
            print(time.perf_counter() - start, file=answers)
