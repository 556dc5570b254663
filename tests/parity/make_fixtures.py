#!/usr/bin/env python3
"""Writes tests/parity/fixtures/*.txt: what PyTorch computes in float64, to be met by this library.

    python3 -m venv build/parity && build/parity/bin/pip install -r tests/parity/requirements.txt
    build/parity/bin/python tests/parity/make_fixtures.py            # all, or name some: ... resnet18 conv_k3

No weight is stored. Weights, images and labels come from the counter formula of <resnet/core/random.hpp> on both sides, and
of each result the file holds its largest value, its L2 norm, its products with four seeded vectors of +-1, and three entries.
A product with random signs estimates the error's norm, so that a fault anywhere in a tensor shows in every one of them.

A ReLU's kink or a tie in max pooling turns a rounding error into another gradient. The images are therefore drawn anew until
no value in the first step lies closer to a kink than `Case.margin`; the draw that was taken is written to the file.
tests/parity/fixture.hpp reads the files and repeats the formulas.
"""

import math
import pathlib
import sys
from dataclasses import dataclass, field
from typing import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

# ---- the counter formula: Philox4x32-10 (Salmon et al. 2011), as include/resnet/core/random.hpp --------------------------

PURPOSE_USER = 0x1000
LOW = np.uint64(0xFFFFFFFF)

# The `epoch` of each kind of number: state tensors use their place in the state (0, 1, ...); the others add the step.
IMAGES, LABELS, SECOND_LABELS, WEIGHTS, SIGNS, ENTRIES = (100_000 * k for k in range(1, 7))
PROJECTIONS, SAMPLES = 4, 3


def words(seed, epoch, positions):
    """Four arrays of 32-bit words (held in uint64) for an array of positions."""
    c = [positions & LOW, positions >> np.uint64(32), np.full_like(positions, epoch), np.full_like(positions, PURPOSE_USER)]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        k = [np.uint64(word) for word in key]
        c = [(b >> np.uint64(32)) ^ c[1] ^ k[0], b & LOW, (a >> np.uint64(32)) ^ c[3] ^ k[1], a & LOW]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def bits(seed, epoch, count):
    chunks = []
    for first in range(0, count, 1 << 16):  # small enough to stay in the cache
        w = words(seed, epoch, np.arange(first, min(count, first + (1 << 16)), dtype=np.uint64))
        chunks.append(w[0] << np.uint64(32) | w[1])
    return np.concatenate(chunks)


def uniform(seed, epoch, count, low=0.0, high=1.0):
    """Uniform in [low, high), 53 bits."""
    return low + (high - low) * ((bits(seed, epoch, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def below(seed, epoch, count, limit):
    return [int(b) * limit >> 64 for b in bits(seed, epoch, count)]


def signs(count):
    """PROJECTIONS x count of +-1: bit i % 32 of word p at position i / 32."""
    w = np.stack(words(0, SIGNS, np.arange((count + 31) // 32, dtype=np.uint64)))
    bit = w[:, :, None] >> np.arange(32, dtype=np.uint64) & np.uint64(1)
    return bit.reshape(PROJECTIONS, -1)[:, :count].astype(np.float64) * 2 - 1


# ---- the networks, under the names of their state_dict -----------------------------------------------------------------


class Kinks:
    """The smallest distance of a ReLU's input to 0, and of a pooled maximum to the runner-up, since the last reset."""

    nearest = math.inf


def relu(x):
    distance = x.detach().abs()
    distance = distance[distance > 0]  # a pooled window of zeros is exactly zero on both sides, and its gradient too
    Kinks.nearest = min(Kinks.nearest, distance.min().item())
    return F.relu(x)


def max_pool(x, size, stride, padding):
    n, c, h, w = x.shape
    padded = F.pad(x.detach(), (padding,) * 4, value=-math.inf)
    top = F.unfold(padded, size, stride=stride).reshape(n, c, size * size, -1).topk(2, dim=2).values
    gap = top[:, :, 0] - top[:, :, 1]
    gap = gap[top[:, :, 0] > 0]  # where all are ReLU's zeros nothing flows back
    Kinks.nearest = min(Kinks.nearest, gap.min().item())
    return F.max_pool2d(x, size, stride, padding)


def f32(value):
    """Hyper-parameters are floats in the library, whatever the network's scalar."""
    return float(np.float32(value))


def batch_norm(channels, affine=True):
    return nn.BatchNorm2d(channels, eps=f32(1e-5), momentum=f32(0.1), affine=affine)


class ResBlk(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.bn1 = batch_norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.bn2 = batch_norm(outputs)
        self.extra = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride), batch_norm(outputs))

    def forward(self, x):
        return relu(self.extra(x) + self.bn2(self.conv2(relu(self.bn1(self.conv1(x))))))


class ResNet18(nn.Module):
    """The tutorial's."""

    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(3, 64, 3, 3, 0), batch_norm(64))
        self.blk1, self.blk2 = ResBlk(64, 64, 2), ResBlk(64, 128, 2)
        self.blk3, self.blk4 = ResBlk(128, 256, 2), ResBlk(256, 512, 2)
        self.outlayer = nn.Linear(512, classes)

    def forward(self, x):
        x = self.blk4(self.blk3(self.blk2(self.blk1(relu(self.conv1(x))))))
        return self.outlayer(F.adaptive_avg_pool2d(x, 1).flatten(1))


class BasicBlock(nn.Module):
    """He et al. 2015, figure 2; `shortcut` is the name that the projection has in the state_dict."""

    def __init__(self, inputs, outputs, stride, shortcut):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = batch_norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = batch_norm(outputs)
        projects = stride != 1 or inputs != outputs
        parts = [nn.Conv2d(inputs, outputs, 1, stride, bias=False), batch_norm(outputs)] if projects else []
        self.add_module(shortcut, nn.Sequential(*parts))
        self.projection = lambda x: getattr(self, shortcut)(x)

    def forward(self, x):
        return relu(self.bn2(self.conv2(relu(self.bn1(self.conv1(x))))) + self.projection(x))


def stages(net, blocks, shortcut):
    inputs = 64
    for stage, (outputs, count) in enumerate(zip((64, 128, 256, 512), blocks)):
        layer = [BasicBlock(inputs if k == 0 else outputs, outputs, 2 if stage and k == 0 else 1, shortcut) for k in range(count)]
        net.add_module(f"layer{stage + 1}", nn.Sequential(*layer))
        inputs = outputs


class CifarResNet18(nn.Module):
    """kuangliu/pytorch-cifar's."""

    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = batch_norm(64)
        stages(self, (2, 2, 2, 2), "shortcut")
        self.linear = nn.Linear(512, classes)

    def forward(self, x):
        x = relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))


class ImageNetResNet(nn.Module):
    """torchvision's."""

    def __init__(self, classes, blocks):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = batch_norm(64)
        stages(self, blocks, "downsample")
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = max_pool(relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Around(nn.Module):
    """One node between a stem and a linear layer that sees every position: its input's and its output's gradients are general."""

    def __init__(self, layer, features, apply=None, **more):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, 1, 1)
        if layer is not None:
            self.layer = layer
        for name, module in more.items():
            self.add_module(name, module)
        self.fc = nn.Linear(features, 5)
        self.apply_node = apply or (lambda net, x: net.layer(x))

    def forward(self, x):
        return self.fc(relu(self.apply_node(self, relu(self.stem(x)))).flatten(1))


class Mini(nn.Module):
    """Small enough for every optimizer and loss: convolution without bias, batch norm, residual sum, pool, linear."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.bn1 = batch_norm(8)
        self.conv2 = nn.Conv2d(8, 8, 3, 1, 1, bias=False)
        self.bn2 = batch_norm(8)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = relu(self.bn1(self.conv1(x)))
        x = relu(x + self.bn2(self.conv2(x)))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


# ---- the cases ---------------------------------------------------------------------------------------------------------


BETAS = (f32(0.9), f32(0.999))
OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=f32(1e-3), betas=BETAS, eps=f32(1e-3)),
    "sgd": lambda p: torch.optim.SGD(p, lr=f32(1e-2), momentum=f32(0.9), nesterov=True, weight_decay=f32(5e-4)),
    "adam_decay": lambda p: torch.optim.Adam(p, lr=f32(1e-3), betas=BETAS, eps=f32(1e-6), weight_decay=f32(1e-2)),
    "adamw": lambda p: torch.optim.AdamW(p, lr=f32(1e-3), betas=BETAS, eps=f32(1e-6), weight_decay=f32(1e-2)),
    "momentum": lambda p: torch.optim.SGD(p, lr=f32(1e-2), momentum=f32(0.9)),
    "clipped": lambda p: torch.optim.SGD(p, lr=f32(1e-1)),
}
CLIP_NORM = {"clipped": 0.25}
STEPS = 3


@dataclass
class Case:
    make: Callable[[], nn.Module]
    images: tuple  # N, H, W
    classes: int = 5
    margin: float = 1e-4  # the smallest distance to a kink in the first step
    smoothing: float = 0.0
    mixed: bool = False
    optimizers: tuple = ()


def around(layer, features, apply=None, **more):
    return Case(lambda: Around(layer() if layer else None, features, apply, **{k: v() for k, v in more.items()}), (3, 11, 9))


def conv(k, stride, padding, features, bias=True):
    return around(lambda: nn.Conv2d(6, 10, k, stride, padding, bias=bias), features)


BOTH = ("adam", "sgd")
CASES = {
    "resnet18": Case(lambda: ResNet18(10), (12, 32, 32), 10, 2e-5, optimizers=BOTH),
    "cifar_resnet18": Case(lambda: CifarResNet18(10), (3, 16, 16), 10, 2e-5, optimizers=BOTH),
    "imagenet_resnet18": Case(lambda: ImageNetResNet(12, (2, 2, 2, 2)), (3, 64, 64), 12, 1e-5, optimizers=BOTH),
    "imagenet_resnet34": Case(lambda: ImageNetResNet(12, (3, 4, 6, 3)), (3, 48, 40), 12, 1e-5, optimizers=BOTH),
    # One node each, on 11 x 9 maps of six channels; the last number is the fc layer's features.
    "conv_k1": conv(1, 1, 0, 10 * 11 * 9),
    "conv_k1_stride2": conv(1, 2, 0, 10 * 6 * 5),
    "conv_k3": conv(3, 1, 1, 10 * 11 * 9),
    "conv_k3_no_bias": conv(3, 1, 1, 10 * 11 * 9, bias=False),
    "conv_k3_no_padding": conv(3, 1, 0, 10 * 9 * 7),
    "conv_k3_stride2": conv(3, 2, 1, 10 * 6 * 5),
    "conv_k3_stride3": conv(3, 3, 0, 10 * 3 * 3),
    "conv_k5": conv(5, 1, 2, 10 * 11 * 9),
    "conv_k5_stride2": conv(5, 2, 2, 10 * 6 * 5),
    "conv_k7_stride2": conv(7, 2, 3, 10 * 6 * 5),
    "conv_k7_stride3": conv(7, 3, 1, 10 * 3 * 2),
    "batch_norm": around(lambda: batch_norm(6), 6 * 11 * 9),
    "batch_norm_plain": around(lambda: batch_norm(6, affine=False), 6 * 11 * 9),
    "max_pool_k2": around(None, 6 * 5 * 4, lambda net, x: max_pool(x, 2, 2, 0)),
    "max_pool_k3": around(None, 6 * 6 * 5, lambda net, x: max_pool(x, 3, 2, 1)),
    "avg_pool_k2": around(None, 6 * 5 * 4, lambda net, x: F.avg_pool2d(x, 2)),
    "avg_pool_k3": around(None, 6 * 5 * 4, lambda net, x: F.avg_pool2d(x, 3, 2)),
    "adaptive_avg_pool": around(None, 6, lambda net, x: F.adaptive_avg_pool2d(x, 1)),
    "residual_sum": around(lambda: nn.Conv2d(6, 6, 3, 1, 1), 6 * 11 * 9, lambda net, x: x + net.layer(x)),
    "scale": around(lambda: nn.Conv2d(6, 6, 3, 1, 1), 6 * 11 * 9, lambda net, x: 0.375 * net.layer(x)),
    "shared_layer": around(
        lambda: nn.Conv2d(6, 6, 3, 1, 1), 6 * 11 * 9, lambda net, x: net.layer(relu(net.bn(net.layer(x)))), bn=lambda: batch_norm(6)
    ),
    # Every loss and optimizer, on a small network.
    "loss": Case(Mini, (7, 8, 8), optimizers=tuple(OPTIMIZERS)),
    "loss_smoothed": Case(Mini, (7, 8, 8), smoothing=0.125),
    "loss_mixed": Case(Mini, (7, 8, 8), mixed=True),
    "loss_smoothed_mixed": Case(Mini, (7, 8, 8), smoothing=0.125, mixed=True),
}
WEIGHT_SEED = 2015


def state(net):
    """Parameters and running statistics in state_dict's order: their place is their `epoch`."""
    return {name: tensor for name, tensor in net.state_dict().items() if not name.endswith("num_batches_tracked")}


def fill(net):
    for place, (name, tensor) in enumerate(state(net).items()):
        if tensor.dim() > 1:  # He et al. 2015b: keeps the variance through a ReLU
            bound = math.sqrt(6 / math.prod(tensor.shape[1:]))
            low, high = -bound, bound
        else:  # batch norm's scale and running_var around 1; biases, shifts and running_mean around 0
            low, high = (0.5, 1.5) if name.endswith(("weight", "running_var")) else (-0.1, 0.1)
        tensor.copy_(torch.from_numpy(uniform(WEIGHT_SEED, place, tensor.numel(), low, high)).reshape(tensor.shape))


def batch(case, draw, step):
    n, h, w = case.images
    images = torch.from_numpy(uniform(draw, IMAGES + step, n * 3 * h * w, -1.0, 1.0)).reshape(n, 3, h, w)
    targets = F.one_hot(torch.tensor(below(draw, LABELS + step, n, case.classes)), case.classes).double()
    if case.mixed:
        second = F.one_hot(torch.tensor(below(draw, SECOND_LABELS + step, n, case.classes)), case.classes)
        weight = torch.tensor(below(draw, WEIGHTS + step, n, 257)).double().unsqueeze(1) / 256  # exact in float
        targets = weight * targets + (1 - weight) * second
    return images, targets


def loss_of(case, net, images, targets):
    logits = net(images)
    return logits, F.cross_entropy(logits, targets, label_smoothing=case.smoothing)


def digest(group, name, tensor, scale=None):
    values = tensor.detach().double().reshape(-1).numpy()
    scale = np.abs(values).max() if scale is None else scale
    entries = [values[i] for i in below(0, ENTRIES, SAMPLES, len(values))]
    numbers = [np.linalg.norm(values), *(signs(len(values)) @ values), *entries]
    return f"{group} {name} {len(values)} {scale:.6g} " + " ".join(f"{x:.13g}" for x in numbers)


def relative_to(tensors, name):
    """Errors are relative to the tensor's own largest value; a bias's to its weight's."""
    weight = name.removesuffix("bias") + "weight" if name.endswith("bias") else name
    return tensors[weight].detach().abs().max().item()


def write(name, case):
    net = case.make().double()
    with torch.no_grad():
        fill(net)
    initial = {key: tensor.clone() for key, tensor in net.state_dict().items()}

    for draw in range(1, 10_000):
        net.load_state_dict(initial)
        net.train()
        Kinks.nearest = math.inf
        with torch.no_grad():
            net(batch(case, draw, 0)[0])
        if Kinks.nearest >= case.margin:
            break
    else:
        sys.exit(f"{name}: no draw keeps {case.margin} from the kinks")
    margin = Kinks.nearest

    lines = [
        f"# PyTorch {torch.__version__} in float64, numpy {np.__version__}; written by tests/parity/make_fixtures.py",
        f"network {name}",
        f"weight_seed {WEIGHT_SEED}",
        f"draw {draw}",
        f"kink_margin {margin:.3g}",
        f"images {case.images[0]} {case.images[1]} {case.images[2]}",
        f"classes {case.classes}",
        f"label_smoothing {case.smoothing}",
        f"mixed {int(case.mixed)}",
    ]
    lines += [f"state {key} " + " ".join(map(str, tensor.shape)) for key, tensor in state(net).items()]
    lines.append("# result name count scale norm projections[4] entries[3]")

    # Inference first: it uses the running statistics of the formula.
    net.load_state_dict(initial)
    net.eval()
    with torch.no_grad():
        lines.append(digest("inference", "logits", net(batch(case, draw, 0)[0])))

    net.load_state_dict(initial)
    net.train()
    net.zero_grad()
    logits, loss = loss_of(case, net, *batch(case, draw, 0))
    loss.backward()
    lines += [digest("forward", "logits", logits), digest("forward", "loss", loss)]
    gradients = {key: parameter.grad for key, parameter in net.named_parameters()}
    lines += [digest("gradient", key, grad, relative_to(gradients, key)) for key, grad in gradients.items()]
    lines += [digest("statistics", key, tensor) for key, tensor in state(net).items() if "running" in key]

    for optimizer in case.optimizers:
        net.load_state_dict(initial)
        update = OPTIMIZERS[optimizer](net.parameters())
        for step in range(STEPS):
            update.zero_grad()
            loss_of(case, net, *batch(case, draw, step))[1].backward()
            if optimizer in CLIP_NORM:
                norm = nn.utils.clip_grad_norm_(net.parameters(), CLIP_NORM[optimizer])
                if step == 0:
                    lines.append(digest("clipped", "gradient_norm", norm))
            update.step()
        after = dict(net.named_parameters())
        lines += [digest(optimizer, key, tensor, relative_to(after, key)) for key, tensor in after.items()]

    path = pathlib.Path(__file__).parent / "fixtures" / f"{name}.txt"
    path.write_text("\n".join(lines) + "\n")
    print(f"{name}: draw {draw}, {margin:.2g} from the nearest kink, float32 differs by {float_error(case, initial, draw, gradients):.1e}", flush=True)


def float_error(case, initial, draw, gradients):
    """What float32 in PyTorch does to the gradients: the part of the library's bar that the network itself uses up."""
    net = case.make()
    net.load_state_dict({key: t.float() if t.is_floating_point() else t for key, t in initial.items()})
    images, targets = batch(case, draw, 0)
    loss_of(case, net, images.float(), targets.float())[1].backward()
    return max(
        (parameter.grad.double() - gradients[key]).abs().max().item() / relative_to(gradients, key)
        for key, parameter in net.named_parameters()
    )


if __name__ == "__main__":
    torch.set_num_threads(2)
    for chosen in sys.argv[1:] or CASES:
        write(chosen, CASES[chosen])
