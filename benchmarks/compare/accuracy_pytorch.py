"""PyTorch's side of `accuracy`: a network by a recipe of examples/cifar10, with the same schedule, augmentation, decay and smoothing.
A line of CSV after each epoch: epoch, seconds of training so far, test accuracy. Compilation is not counted."""

import argparse
import copy
import dataclasses
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from case import DEVIATION, MEAN, torch_network
from loader import Images

SETTINGS = ("eager", "channels-last", "compile", "compile-channels-last")
BORDER = (124, 116, 104)  # of a crop that reaches over the image: the mean colour


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A line of examples/cifar10/recipe.hpp."""

    batch: int
    optimizer: type
    settings: dict
    smoothing: float = 0
    one_cycle: bool = True  # else the rate is constant
    augmented: bool = True  # by crops and flips


ADAM, ADAMW, SGD = torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD
RECIPES = {
    ("tutorial", "tutorial"): Recipe(128, ADAM, {"lr": 1e-3}, one_cycle=False, augmented=False),
    ("tutorial", "fast"): Recipe(128, ADAMW, {"lr": 4e-3, "weight_decay": 0.05}),
    ("cifar-resnet18", "fast"): Recipe(256, SGD, {"lr": 0.4, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}, smoothing=0.1),
}


def cifar10(folder, files):
    """Pixels [N][H][W][3] and labels of CIFAR-10's binary version."""
    records = np.concatenate([np.fromfile(pathlib.Path(folder) / file, np.uint8) for file in files]).reshape(-1, 3073)
    return np.ascontiguousarray(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), records[:, 0].astype(np.int32)


def batches(images, recipe):
    """Of one epoch, the last one with what is left."""
    for indices in torch.randperm(len(images)).split(recipe.batch):
        yield images.batch(indices) if recipe.augmented else (images.pixels[indices], images.labels[indices])


class Training:
    def __init__(self, net, recipe, setting, steps):
        layout = torch.channels_last if setting.endswith("channels-last") else torch.contiguous_format
        self.net = net.to(memory_format=layout)
        self.recipe = recipe
        scale = torch.tensor([1 / (255 * d) for d in DEVIATION]).view(3, 1, 1)
        shift = torch.tensor([-m / d for m, d in zip(MEAN, DEVIATION)]).view(3, 1, 1)

        def logits(pixels):  # the view's channels are last already
            return net(torch.addcmul(shift, pixels.permute(0, 3, 1, 2).float(), scale).contiguous(memory_format=layout))

        def loss(pixels, labels):
            return F.cross_entropy(logits(pixels), labels, label_smoothing=recipe.smoothing)

        self.logits = logits
        self.loss = torch.compile(loss, dynamic=False) if setting.startswith("compile") else loss
        self.begin(steps)

    def begin(self, steps):
        self.optimizer = self.recipe.optimizer(self.net.parameters(), fused=True, **self.recipe.settings)
        if self.recipe.one_cycle:
            peak = self.recipe.settings["lr"]
            self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, max_lr=peak, total_steps=steps, cycle_momentum=False)
        else:
            self.schedule = torch.optim.lr_scheduler.ConstantLR(self.optimizer, factor=1)

    def step(self, pixels, labels):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(pixels, labels)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return loss.item()

    def warm_up(self, images, steps):
        """Compiles for both sizes of batches, and takes back what that did to the network."""
        before = copy.deepcopy(self.net.state_dict())
        for size in {self.recipe.batch, len(images) % self.recipe.batch or self.recipe.batch}:
            self.step(*images.batch(torch.arange(size)))
        self.net.load_state_dict(before)
        self.begin(steps)

    def accuracy(self, pixels, labels):
        self.net.eval()
        with torch.inference_mode():
            parts = [self.logits(part).argmax(1) for part in torch.from_numpy(pixels).split(500)]
        self.net.train()
        return (torch.cat(parts).numpy() == labels).mean()


def main():
    parser = argparse.ArgumentParser()
    for name in ("data", "model", "recipe"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--setting", choices=SETTINGS, required=True)
    for name in ("seed", "epochs", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    recipe = RECIPES[options.model, options.recipe]
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)  # as our engine does
    torch.manual_seed(options.seed)
    images = Images(*cifar10(options.data, [f"data_batch_{k}.bin" for k in range(1, 6)]), BORDER)
    tested = cifar10(options.data, ["test_batch.bin"])
    steps = options.epochs * -(-len(images) // recipe.batch)

    training = Training(torch_network(options.model, 10), recipe, options.setting, steps)
    training.warm_up(images, steps)
    torch.manual_seed(options.seed)
    seconds = 0.0
    for epoch in range(options.epochs):
        start = time.perf_counter()
        for batch in batches(images, recipe):
            training.step(*batch)
        seconds += time.perf_counter() - start
        print(epoch + 1, f"{seconds:.1f}", f"{training.accuracy(*tested):.4f}", sep=",", flush=True)


if __name__ == "__main__":
    main()
