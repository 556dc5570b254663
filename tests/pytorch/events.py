#!/usr/bin/env python3
"""TensorBoard reads our event files: values, steps, times and texts, and each step of a resumed run once.

    events.py PROGRAM     PROGRAM is events.cpp, built

Both of its readers: EventAccumulator, which programs use, and the one behind `tensorboard --logdir` without its server
of compiled code.
"""
import glob
import subprocess
import sys
import tempfile
import time

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator as PluginEventAccumulator
from tensorboard.util.tensor_util import make_ndarray

LOSSES = [(10, 1.0), (20, 0.5), (30, -1 / 3), (40, -0.25)]  # the first run's third epoch is forgotten
ACCURACIES = [(10, 0.25), (20, 0.5), (30, 0.375), (40, 0.5)]


def check(found, expected):
    assert [step for step, _ in found] == [step for step, _ in expected], (found, expected)
    for (_, value), (_, wanted) in zip(found, expected, strict=True):
        assert abs(value - wanted) < 1e-7, (found, expected)


with tempfile.TemporaryDirectory() as folder:
    begin = time.time()
    subprocess.run([sys.argv[1], folder], check=True)
    end = time.time()
    assert len(glob.glob(f"{folder}/events.out.tfevents.*")) == 2

    events = EventAccumulator(folder).Reload()
    assert sorted(events.Tags()["scalars"]) == ["accuracy/test", "loss/train"], events.Tags()
    check([(event.step, event.value) for event in events.Scalars("loss/train")], LOSSES)
    check([(event.step, event.value) for event in events.Scalars("accuracy/test")], ACCURACIES)
    assert all(begin - 60 <= event.wall_time <= end + 60 for event in events.Scalars("loss/train"))

    events = PluginEventAccumulator(folder).Reload()
    tensors = {tag: [(event.step, make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)] for tag in events.Tags()["tensors"]}
    assert sorted(tensors) == ["accuracy/test", "loss/train", "settings/text_summary"], tensors
    check([(step, value.item()) for step, value in tensors["loss/train"]], LOSSES)
    check([(step, value.item()) for step, value in tensors["accuracy/test"]], ACCURACIES)
    texts = [(step, value.tolist()) for step, value in tensors["settings/text_summary"]]
    assert texts == [(0, [b"| seed | 1 |"]), (21, [b"| seed | 1 | resumed"])], texts
    plugins = {tag: events.SummaryMetadata(tag).plugin_data.plugin_name for tag in tensors}
    assert plugins == {"accuracy/test": "scalars", "loss/train": "scalars", "settings/text_summary": "text"}, plugins
print("TensorBoard reads our event files")
