"""Writes the files of a case (see case.py): prepare.py FOLDER NETWORK BATCH."""

import json
import pathlib
import sys

import numpy as np
import torch
from case import BATCHES, EPOCH, SHAPES, torch_network, weights_of
from torch import nn


def main(folder, network, batch):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    classes, height, width = SHAPES[network]
    torch.manual_seed(1)
    images = torch.randn(BATCHES * batch, 3, height, width)
    labels = torch.randint(classes, (BATCHES * batch,), dtype=torch.int32)

    # PyTorch's initialisation, and running statistics as after training: those of a batch.
    net = torch_network(network, classes)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        net.train()(torch.randn(16, 3, height, width))

    images.numpy().tofile(folder / "images")
    labels.numpy().tofile(folder / "labels")
    np.concatenate([tensor.numpy().reshape(-1) for tensor in weights_of(net)]).tofile(folder / "weights")
    torch.onnx.export(net.eval(), (images[:batch],), folder / "net.onnx", external_data=False, verbose=False)
    with torch.no_grad():
        net.double()
        net.eval()
        inferred = [net(part.double()) for part in images.split(batch)]
        torch.cat(inferred).numpy().tofile(folder / "infer")
        if batch > 1:
            net.train()(images[:batch].double()).numpy().tofile(folder / "train")
    if batch > 1:
        random = np.random.default_rng(1)
        random.integers(256, size=(EPOCH[height], height, width, 3), dtype=np.uint8).tofile(folder / "pixels")
        random.integers(classes, size=EPOCH[height], dtype=np.int32).tofile(folder / "pixel_labels")
    facts = {"network": network, "batch": batch, "classes": classes, "extent": [height, width], "batches": BATCHES}
    (folder / "case.json").write_text(json.dumps(facts))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
