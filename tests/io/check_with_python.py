#!/usr/bin/env python3
"""The safetensors format as its Python package has it, and weights as PyTorch has them, against ours.

    check_with_python.py           reads our files in fixtures: tensors, weights and logits are those of Python's files
    check_with_python.py --make    writes Python's files anew

    python.safetensors          tensors of every type, written by Python
    ours.safetensors            the same, written by us: tests/io/safetensors.cpp gets it to the byte
    network.safetensors         the state_dict of a small network in PyTorch
    network_ours.safetensors    the same, written by us: tests/io/weights.cpp gets it to the byte
    network_logits.safetensors  images, [2][3][8][8], already normalised, and the network's logits for them

Made with safetensors 0.8.0 and PyTorch 2.15.0:  pip install safetensors torch numpy
"""
import pathlib
import sys

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

folder = pathlib.Path(__file__).parent / "fixtures"


class Network(torch.nn.Module):
    """The one of tests/io/weights.cpp."""

    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.bn1 = torch.nn.BatchNorm2d(4)
        self.fc = torch.nn.Linear(4, 5)

    def forward(self, x):
        return self.fc(torch.relu(self.bn1(self.conv1(x))).mean((2, 3)))


def make():
    make_tensors()
    torch.manual_seed(1)
    network, images = Network(), torch.randn(2, 3, 8, 8)
    network(torch.randn(16, 3, 8, 8))  # running statistics and num_batches_tracked
    save_file(network.state_dict(), folder / "network.safetensors")
    logits = network.eval()(images).detach()
    save_file({"images": images, "logits": logits}, folder / "network_logits.safetensors")


def make_tensors():
    t = torch.tensor
    tensors = {
        "conv.weight": t([1, -2, 0.5, float("inf"), -0.0, 1e-45]).reshape(2, 1, 3),
        "conv.bias": t([0.1, -1e300], dtype=torch.float64),
        "half": t([1, -2, 65504, 6e-8], dtype=torch.float16),
        "brain": t([1, -2, float("inf")], dtype=torch.bfloat16),
        "bn.num_batches_tracked": t(1 << 40),
        "i32": t([-(1 << 31), 7], dtype=torch.int32),
        "i16": t([-32768, 7], dtype=torch.int16),
        "i8": t([-128, 0, 127], dtype=torch.int8),
        "u64": t([(1 << 64) - 1], dtype=torch.uint64),
        "u32": t([(1 << 32) - 1], dtype=torch.uint32),
        "u16": t([65535], dtype=torch.uint16),
        "u8": t([[255]], dtype=torch.uint8),
        "empty": torch.zeros(0, 5),
        'na\u00efve "name"': t([1], dtype=torch.uint8),
    }
    save_file(tensors, folder / "python.safetensors", metadata={"source": "python"})


def crc32c(content):
    state = 0xFFFFFFFF
    for byte in content:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def check():
    check_tensors()
    expected = load_file(folder / "network_logits.safetensors")
    network = Network()
    network.load_state_dict(load_file(folder / "network_ours.safetensors"), strict=True)
    difference = (network.eval()(expected["images"]) - expected["logits"]).abs().max().item()
    assert difference < 1e-6, difference
    print("PyTorch takes our weights; its logits agree")


def check_tensors():
    theirs, ours = load_file(folder / "python.safetensors"), load_file(folder / "ours.safetensors")
    assert theirs.keys() == ours.keys(), (theirs.keys(), ours.keys())
    for name, tensor in theirs.items():
        assert tensor.dtype == ours[name].dtype and tensor.shape == ours[name].shape, name
        assert torch.equal(tensor.reshape(-1).view(torch.uint8), ours[name].reshape(-1).view(torch.uint8)), name
    with safe_open(folder / "ours.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "resnet"
    content = (folder / "ours.safetensors").read_bytes()
    without = content.replace(metadata["checksum"].encode(), b"crc32c:00000000", 1)
    assert metadata["checksum"] == f"crc32c:{crc32c(without):08x}"
    print(f"{len(ours)} tensors agree")


make() if sys.argv[1:] == ["--make"] else check()
