"""A case of the comparison: one network at one batch size, as files that all contestants read.

    weights   float32, the tensors of PyTorch's state_dict one after another, without num_batches_tracked
    images    float32 [BATCHES * batch][3][height][width], normalised
    labels    int32 [BATCHES * batch]
    net.onnx  for the rivals that run ONNX
    infer, train   float64 [..][classes]: the logits that PyTorch computes in double; of all images, and of the first step's

and the data set that a loader reads, for batches that are trained on:

    pixels         uint8 [EPOCH[..]][height][width][3]
    pixel_labels   int32 [EPOCH[..]]
"""

import json
import pathlib
import sys

import numpy as np

# So many batches are run in turn: enough that the images of a step are not those that the last one left in the cache.
BATCHES = 4

# Classes, height, width.
SHAPES = {"tutorial": (10, 32, 32), "cifar-resnet18": (10, 32, 32), "imagenet-resnet18": (1000, 224, 224)}
# Images of the loader's data set by their height: CIFAR-10's number, and 120 MB of larger ones.
EPOCH = {32: 50_000, 224: 800}
# Of bytes / 255; those of resnet::Normalization.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Case:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        facts = json.loads((self.folder / "case.json").read_text())
        self.network, self.batch, self.classes = facts["network"], facts["batch"], facts["classes"]
        shape = (BATCHES, self.batch, 3, *facts["extent"])
        self.images = np.fromfile(self.folder / "images", np.float32).reshape(shape)
        self.labels = np.fromfile(self.folder / "labels", np.int32).reshape(BATCHES, self.batch)

    def dataset(self):
        """Pixels and labels, mapped into memory."""
        pixels = np.memmap(self.folder / "pixels", np.uint8, mode="c").reshape(-1, *self.images.shape[3:], 3)
        return pixels, np.fromfile(self.folder / "pixel_labels", np.int32)

    @property
    def onnx(self):
        return str(self.folder / "net.onnx")


def torch_network(network, classes):
    sys.path.append(str(pathlib.Path(__file__).parents[2] / "tests" / "parity"))
    import networks

    return {
        "tutorial": networks.ResNet18,
        "cifar-resnet18": networks.CifarResNet18,
        "imagenet-resnet18": lambda n: networks.ImageNetResNet(n, (2, 2, 2, 2)),
    }[network](classes)


def weights_of(net):
    """The tensors of the weights file, in its order."""
    return [tensor for name, tensor in net.state_dict().items() if not name.endswith("num_batches_tracked")]


def loaded_network(case):
    import torch

    net = torch_network(case.network, case.classes)
    values = torch.from_numpy(np.fromfile(case.folder / "weights", np.float32))
    with torch.no_grad():
        first = 0
        for tensor in weights_of(net):
            tensor.copy_(values[first : first + tensor.numel()].reshape(tensor.shape))
            first += tensor.numel()
    assert first == values.numel(), "the weights file does not fit the network"
    return net
