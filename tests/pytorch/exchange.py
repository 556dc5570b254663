#!/usr/bin/env python3
"""Weights both ways between PyTorch and the library, and ONNX files: state_dict, names, bits and logits.

    exchange.py PROGRAM NETWORK     PROGRAM is exchange.cpp, built; NETWORK one of NETWORKS, or EveryNode (ONNX only)

With the packages of requirements.txt. torchvision's own resnet18 and resnet34; the other two are no packages and stand
in tests/parity/networks.py.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy
import onnx
import onnxruntime
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


def check_weights(name, program, folder):
    """PyTorch's weights there and back; returns images and PyTorch's logits."""
    make, side = NETWORKS[name]
    network = trained(make, side)
    images = torch.randn(IMAGES, 3, side, side)
    with torch.no_grad():
        expected = network(images)
    save_file(network.state_dict(), folder / "theirs.safetensors")
    save_file({"images": images}, folder / "images.safetensors")
    subprocess.run([program, name, folder], check=True)

    there = (load_file(folder / "logits.safetensors")["logits"] - expected).abs().max().item()
    assert there < TOLERANCE, f"{name}: logits differ by {there}"

    copy = make().eval()
    copy.load_state_dict(load_file(folder / "ours.safetensors"), strict=True)
    state = copy.state_dict()
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, state[key]), f"{name}: {key} has other bits"
    with torch.no_grad():
        back = (copy(images) - expected).abs().max().item()
    assert back == 0, f"{name}: logits of our file differ by {back}"
    largest = expected.abs().max().item()
    print(f"{name}: {len(state)} tensors there and back, logits within {there:.1e} (largest {largest:.1f})", flush=True)
    return images.numpy(), expected.numpy()


def check_every_node(program, folder):
    """A network of every operation that ONNX has; there is no PyTorch of it: returns images and our logits."""
    images = torch.randn(IMAGES, 3, 12, 10)
    save_file({"images": images}, folder / "images.safetensors")
    subprocess.run([program, "EveryNode", folder], check=True)
    return images.numpy(), load_file(folder / "logits.safetensors")["logits"].numpy()


def check_onnx(name, folder, images, expected):
    """The checker takes the files, shapes inferred strictly, and ONNX Runtime's logits agree, whatever the batch."""
    tolerance = TOLERANCE * min(1, numpy.abs(expected).max())
    for file in "folded.onnx", "unfolded.onnx":
        model = onnx.load(folder / file)
        onnx.checker.check_model(model, full_check=True)
        operations = [node.op_type for node in model.graph.node]
        assert ("BatchNormalization" in operations) == (file == "unfolded.onnx"), operations
        session = onnxruntime.InferenceSession(str(folder / file), providers=["CPUExecutionProvider"])
        batches = [slice(0, IMAGES), slice(0, 1), slice(1, 8)]
        difference = max(numpy.abs(session.run(["logits"], {"images": images[batch]})[0] - expected[batch]).max()
                         for batch in batches)
        assert difference < tolerance, f"{name}, {file}: ONNX Runtime's logits differ by {difference}"
        print(f"{name}: {len(operations)} nodes in {file}, ONNX Runtime's logits within {difference:.1e}", flush=True)


def main(program, name):
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        of_every_node = name == "EveryNode"
        images, logits = check_every_node(program, folder) if of_every_node else check_weights(name, program, folder)
        check_onnx(name, folder, images, logits)


main(*sys.argv[1:])
