"""PyTorch's side of `memory`: memory_pytorch.py NETWORK BATCH THREADS eager|channels-last. One line of JSON, as memory.cpp."""

import gc
import json
import pathlib
import sys

import torch
import torch.nn.functional as F
from torch import nn

sys.path.append(str(pathlib.Path(__file__).parents[1] / "compare"))
from case import SHAPES, torch_network


def peak_resident():
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


def train(net, images, labels, steps):
    optimizer = torch.optim.Adam(net.train().parameters(), lr=1e-3, fused=True)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()


def main(network, batch, threads, setting):
    torch.set_num_threads(threads)
    layout = torch.channels_last if setting == "channels-last" else torch.contiguous_format
    classes, height, width = SHAPES[network]
    images = torch.randn(batch, 3, height, width).contiguous(memory_format=layout)
    labels = torch.randint(classes, (batch,))

    # What PyTorch itself loads and starts with its first step is none of the network's.
    small = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))
    train(small.to(memory_format=layout), images[:2, :, :8, :8], labels[:2], 2)
    del small
    gc.collect()

    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before = peak_resident()
    train(torch_network(network, classes).to(memory_format=layout), images, labels, 5)
    print(json.dumps({"growth": peak_resident() - before}))


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
