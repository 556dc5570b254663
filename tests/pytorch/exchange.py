#!/usr/bin/env python3
"""Weights both ways between PyTorch and the library, for all four networks: state_dict, names, bits and logits.

    exchange.py PROGRAM     PROGRAM is exchange.cpp, built

pip install torch torchvision safetensors numpy. torchvision's own resnet18 and resnet34; the other two are no packages
and stand in tests/parity/networks.py.
"""
import pathlib
import subprocess
import sys
import tempfile

import torch
import torchvision
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "parity"))
import networks  # noqa: E402

IMAGES = 64
TOLERANCE = 1e-4  # of logits of order 1

NETWORKS = {
    "ResNet18": (lambda: networks.ResNet18(10), 32),
    "CifarResNet18": (lambda: networks.CifarResNet18(10), 32),
    "ImageNetResNet18": (torchvision.models.resnet18, 224),
    "ImageNetResNet34": (torchvision.models.resnet34, 224),
}


def trained(make, side):
    """A network whose statistics and affine parameters are not the initial ones."""
    network = make().train()
    for name, parameter in network.named_parameters():
        if "bn" in name or name.endswith("bias"):
            torch.nn.init.uniform_(parameter, 0.5, 1.0)
    with torch.no_grad():
        network(torch.randn(8, 3, side, side))
    return network.eval()


def check(name, program, folder):
    make, side = NETWORKS[name]
    network = trained(make, side)
    images = torch.randn(IMAGES, 3, side, side)
    with torch.no_grad():
        expected = network(images)
    theirs, pixels, logits, ours = (folder / f"{name}.{part}" for part in ("theirs", "images", "logits", "ours"))
    save_file(network.state_dict(), theirs)
    save_file({"images": images}, pixels)
    subprocess.run([program, name, theirs, pixels, logits, ours], check=True)

    there = (load_file(logits)["logits"] - expected).abs().max().item()
    assert there < TOLERANCE, f"{name}: logits differ by {there}"

    copy = make().eval()
    copy.load_state_dict(load_file(ours), strict=True)
    state = copy.state_dict()
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, state[key]), f"{name}: {key} has other bits"
    with torch.no_grad():
        back = (copy(images) - expected).abs().max().item()
    assert back == 0, f"{name}: logits of our file differ by {back}"
    largest = expected.abs().max().item()
    print(f"{name}: {len(state)} tensors there and back, logits within {there:.1e} (largest {largest:.1f})", flush=True)


torch.manual_seed(1)
with tempfile.TemporaryDirectory() as temporary:
    for network_name in NETWORKS:
        check(network_name, sys.argv[1], pathlib.Path(temporary))
