"""PyTorch's side of `accuracy`: CifarResNet18 by the recipe fast of examples/cifar10, with the same schedule, augmentation, decay and
smoothing. A line of CSV after each epoch: epoch, seconds of training so far, test accuracy. Compilation is not counted."""

import argparse
import copy
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from case import DEVIATION, MEAN, torch_network
from loader import Images

SETTINGS = ("eager", "channels-last", "compile", "compile-channels-last")
BATCH, PEAK, MOMENTUM, DECAY, SMOOTHING = 256, 0.4, 0.9, 5e-4, 0.1
BORDER = (124, 116, 104)  # of a crop that reaches over the image: the mean colour


def cifar10(folder, files):
    """Pixels [N][H][W][3] and labels of CIFAR-10's binary version."""
    records = np.concatenate([np.fromfile(pathlib.Path(folder) / file, np.uint8) for file in files]).reshape(-1, 3073)
    return np.ascontiguousarray(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), records[:, 0].astype(np.int32)


def batches(images):
    """Of one epoch, the last one with what is left."""
    for indices in torch.randperm(len(images)).split(BATCH):
        yield images.batch(indices)


class Training:
    def __init__(self, net, setting, steps):
        layout = torch.channels_last if setting.endswith("channels-last") else torch.contiguous_format
        self.net = net.to(memory_format=layout)
        scale = torch.tensor([1 / (255 * d) for d in DEVIATION]).view(3, 1, 1)
        shift = torch.tensor([-m / d for m, d in zip(MEAN, DEVIATION)]).view(3, 1, 1)

        def logits(pixels):  # the view's channels are last already
            return net(torch.addcmul(shift, pixels.permute(0, 3, 1, 2).float(), scale).contiguous(memory_format=layout))

        def loss(pixels, labels):
            return F.cross_entropy(logits(pixels), labels, label_smoothing=SMOOTHING)

        self.logits = logits
        self.loss = torch.compile(loss, dynamic=False) if setting.startswith("compile") else loss
        self.begin(steps)

    def begin(self, steps):
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=PEAK, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY, fused=True)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, max_lr=PEAK, total_steps=steps, cycle_momentum=False)

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
        for size in {BATCH, len(images) % BATCH or BATCH}:
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
    parser.add_argument("--data", required=True)
    parser.add_argument("--setting", choices=SETTINGS, required=True)
    for name in ("seed", "epochs", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    images = Images(*cifar10(options.data, [f"data_batch_{k}.bin" for k in range(1, 6)]), BORDER)
    tested = cifar10(options.data, ["test_batch.bin"])
    steps = options.epochs * -(-len(images) // BATCH)

    training = Training(torch_network("cifar-resnet18", 10), options.setting, steps)
    training.warm_up(images, steps)
    torch.manual_seed(options.seed)
    seconds = 0.0
    for epoch in range(options.epochs):
        start = time.perf_counter()
        for batch in batches(images):
            training.step(*batch)
        seconds += time.perf_counter() - start
        print(epoch + 1, f"{seconds:.1f}", f"{training.accuracy(*tested):.4f}", sep=",", flush=True)


main()
