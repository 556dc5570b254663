#!/usr/bin/env python3
"""The safetensors format as its Python package has it, against ours.

    check_with_python.py           PyTorch finds in fixtures/ours.safetensors what it finds in fixtures/python.safetensors
    check_with_python.py --make    writes fixtures/python.safetensors anew

tests/io/safetensors.cpp checks that our writer gives ours.safetensors, to the byte, and that our reader understands
python.safetensors. Made with safetensors 0.8.0 and PyTorch 2.15.0:  pip install safetensors torch numpy
"""
import pathlib
import sys

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

folder = pathlib.Path(__file__).parent / "fixtures"


def make():
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
