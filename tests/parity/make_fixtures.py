#!/usr/bin/env python3
"""Writes tests/parity/fixtures/*.txt: what PyTorch computes in float64, to be met by this library.

    python3 -m venv build/parity && build/parity/bin/pip install -r tests/parity/requirements.txt
    build/parity/bin/python tests/parity/make_fixtures.py            # all, or name some: ... resnet18 conv_k3

No weight is stored. Weights, images and labels come from the counter formula of <resnet/core/random.hpp> on both sides, and
of each result the file holds its largest value, its L2 norm, its products with four seeded vectors of +-1, and three entries.
A product with random signs estimates the error's norm, so that a fault anywhere in a tensor shows in every one of them.

A ReLU's kink or a tie in max pooling turns a rounding error into another gradient: trained in float32, PyTorch itself then
differs by 1e-2. The images of each step are therefore drawn anew until no value lies closer to a kink than MARGIN; the draws that were taken are written to the file.
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
from networks import CifarResNet18, ImageNetResNet, ResNet9, ResNet18, batch_norm, f32
from torch import nn
from torch.overrides import TorchFunctionMode

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


# ---- the small networks; the real ones are in networks.py -------------------------------------------------------------


class Kinks(TorchFunctionMode):
    """While active: the smallest distance of a ReLU's input to 0, and of a pooled maximum to the runner-up."""

    nearest = math.inf

    def __torch_function__(self, function, types, arguments=(), options=None):
        if function is F.relu:
            distance = arguments[0].abs()
            self.near(distance[distance > 0])  # a pooled window of zeros is exactly zero on both sides, its gradient too
        elif function is F.max_pool2d:
            x, size = arguments
            n, c, _, _ = x.shape
            padded = F.pad(x, (options["padding"],) * 4, value=-math.inf)
            windows = F.unfold(padded, size, stride=options["stride"] or size).reshape(n, c, size * size, -1)
            top = windows.topk(2, dim=2).values
            gap = top[:, :, 0] - top[:, :, 1]
            self.near(gap[top[:, :, 0] > 0])  # where all are ReLU's zeros nothing flows back
        return function(*arguments, **(options or {}))

    def near(self, distances):
        self.nearest = min(self.nearest, distances.min().item())


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
        return self.fc(F.relu(self.apply_node(self, F.relu(self.stem(x)))).flatten(1))


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
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(x + self.bn2(self.conv2(x)))
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
MARGIN = 2e-5  # the smallest distance to a kink


@dataclass
class Case:
    make: Callable[[], nn.Module]
    images: tuple  # N, H, W
    classes: int = 5
    smoothing: float = 0.0
    mixed: bool = False
    optimizers: tuple = ()


def around(layer, features, apply=None, **more):
    return Case(lambda: Around(layer() if layer else None, features, apply, **{k: v() for k, v in more.items()}), (3, 11, 9))


def conv(k, stride, padding, features, bias=True):
    return around(lambda: nn.Conv2d(6, 10, k, stride, padding, bias=bias), features)


BOTH = ("adam", "sgd")
CASES = {
    "resnet18": Case(lambda: ResNet18(10), (12, 32, 32), 10, optimizers=BOTH),
    "cifar_resnet18": Case(lambda: CifarResNet18(10), (3, 12, 12), 10, optimizers=BOTH),
    "imagenet_resnet18": Case(lambda: ImageNetResNet(12, (2, 2, 2, 2)), (3, 48, 40), 12, optimizers=BOTH),
    "resnet9": Case(lambda: ResNet9(10), (3, 25, 26), 10, optimizers=BOTH),
    "imagenet_resnet34": Case(lambda: ImageNetResNet(12, (3, 4, 6, 3)), (2, 34, 34), 12, optimizers=BOTH),
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
    "max_pool_k2": around(None, 6 * 5 * 4, lambda net, x: F.max_pool2d(x, 2)),
    "max_pool_k3": around(None, 6 * 6 * 5, lambda net, x: F.max_pool2d(x, 3, 2, 1)),
    "avg_pool_k2": around(None, 6 * 5 * 4, lambda net, x: F.avg_pool2d(x, 2)),
    "avg_pool_k3": around(None, 6 * 5 * 4, lambda net, x: F.avg_pool2d(x, 3, 2)),
    "adaptive_avg_pool": around(None, 6, lambda net, x: F.adaptive_avg_pool2d(x, 1)),
    "residual_sum": around(lambda: nn.Conv2d(6, 6, 3, 1, 1), 6 * 11 * 9, lambda net, x: x + net.layer(x)),
    "gelu": around(lambda: nn.Conv2d(6, 6, 3, 1, 1), 6 * 11 * 9, lambda net, x: x + F.gelu(net.layer(x))),
    "scale": around(lambda: nn.Conv2d(6, 6, 3, 1, 1), 6 * 11 * 9, lambda net, x: 0.375 * net.layer(x)),
    "shared_layer": around(
        lambda: nn.Conv2d(6, 6, 3, 1, 1), 6 * 11 * 9, lambda net, x: net.layer(F.relu(net.bn(net.layer(x)))), bn=lambda: batch_norm(6)
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


def kinds(net):
    """Of each tensor of the state: how it is drawn."""
    result = {}
    for name, tensor in state(net).items():
        if tensor.dim() > 1:
            result[name] = "filter" if tensor.dim() == 4 else "linear"
        elif name.endswith("bias"):
            result[name] = "shift" if result[name.removesuffix("bias") + "weight"] == "scale" else "bias"
        else:
            result[name] = {"weight": "scale", "running_mean": "mean", "running_var": "variance"}[name.rpartition(".")[2]]
    return result


def fill(net):
    for place, ((name, tensor), kind) in enumerate(zip(state(net).items(), kinds(net).values())):
        if kind == "filter":  # He et al. 2015b: keeps the variance through a ReLU
            bound = math.sqrt(6 / math.prod(tensor.shape[1:]))
        elif kind == "linear":  # an eighth of that: Adam's step magnifies the errors of large gradients
            bound = math.sqrt(6 / tensor.shape[1]) / 8
        else:
            bound = {"bias": 0.1, "mean": 0.1, "scale": 0.5, "shift": 0.5, "variance": 0.5}[kind]
        values = uniform(WEIGHT_SEED, place, tensor.numel(), -bound, bound)
        if kind in ("scale", "variance"):
            values += 1
        elif kind == "shift":  # +-2 to 2.5: only some values in a hundred lie on the other side of ReLU's kink, and few near it
            values += np.where(values < 0, -2.0, 2.0)
        tensor.copy_(torch.from_numpy(values).reshape(tensor.shape))


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


class Runs:
    """A case trained with each of its optimizers side by side, on the same images."""

    def __init__(self, case, initial, dtype):
        self.case, self.dtype = case, dtype
        self.nets, self.updates, self.first_norms, self.step = {}, {}, {}, 0
        for name in case.optimizers:
            net = case.make().to(dtype)
            net.load_state_dict(initial)  # casts
            self.nets[name], self.updates[name] = net, OPTIMIZERS[name](net.parameters())

    def distance(self, draw):
        """Of the next step under this draw to the nearest kink, over all optimizers; before the first step their nets agree."""
        nearest = math.inf
        for net in list(self.nets.values())[: 1 if self.step == 0 else None]:
            with torch.no_grad(), Kinks() as kinks:
                net(batch(self.case, draw, self.step)[0])
            nearest = min(nearest, kinks.nearest)
        return nearest

    def advance(self, draw):
        for name, net in self.nets.items():
            images, targets = batch(self.case, draw, self.step)
            self.updates[name].zero_grad()
            loss_of(self.case, net, images.to(self.dtype), targets.to(self.dtype))[1].backward()
            if name in CLIP_NORM:
                norm = nn.utils.clip_grad_norm_(net.parameters(), CLIP_NORM[name])
                self.first_norms.setdefault(name, norm)
            self.updates[name].step()
        self.step += 1


def find_draw(distance):
    for draw in range(1, 10_000):
        found = distance(draw)
        if found >= MARGIN:
            return draw, found
    sys.exit("no draw keeps far enough from the kinks")


def largest_difference(nets):
    """Of the parameters of a pair of nets, as the library's test measures it."""
    ours, exact = (dict(net.named_parameters()) for net in nets)
    return max(((ours[k] - exact[k]).abs().max() / relative_to(exact, k)).item() for k in exact)


def write(name, case):
    net = case.make().double()
    with torch.no_grad():
        fill(net)
    initial = {key: tensor.clone() for key, tensor in net.state_dict().items()}

    # Inference first: it uses the running statistics of the formula. Its images are those of the first step.
    def first_distance(draw):
        with torch.no_grad(), Kinks() as kinks:
            net(batch(case, draw, 0)[0])
        return kinks.nearest

    draw, margin = find_draw(first_distance)
    draws, margins = [draw], [margin]
    net.load_state_dict(initial)
    net.eval()
    with torch.no_grad():
        results = [digest("inference", "logits", net(batch(case, draw, 0)[0]))]

    # One step.
    net.load_state_dict(initial)
    net.train()
    logits, loss = loss_of(case, net, *batch(case, draw, 0))
    loss.backward()
    results += [digest("forward", "logits", logits), digest("forward", "loss", loss)]
    gradients = {key: parameter.grad for key, parameter in net.named_parameters()}
    results += [digest("gradient", key, grad, relative_to(gradients, key)) for key, grad in gradients.items()]
    results += [digest("statistics", key, tensor) for key, tensor in state(net).items() if "running" in key]

    # Three steps with each optimizer; in float32 too, to see how much of the library's bar the network itself uses up.
    runs, single = Runs(case, initial, torch.float64), Runs(case, initial, torch.float32)
    for step in range(STEPS if case.optimizers else 0):
        if step > 0:
            draw, margin = find_draw(runs.distance)
            draws.append(draw)
            margins.append(margin)
        runs.advance(draw)
        single.advance(draw)
    for optimizer, trained in runs.nets.items():
        if optimizer in runs.first_norms:
            results.append(digest(optimizer, "gradient_norm", runs.first_norms[optimizer]))
        after = dict(trained.named_parameters())
        results += [digest(optimizer, key, tensor, relative_to(after, key)) for key, tensor in after.items()]
    float_error = max([largest_difference((single.nets[key], runs.nets[key])) for key in runs.nets], default=0)

    lines = [
        f"# PyTorch {torch.__version__} in float64, numpy {np.__version__}; written by tests/parity/make_fixtures.py",
        "# nearest kink in each step: " + ", ".join(f"{margin:.2g}" for margin in margins),
        f"network {name}",
        f"weight_seed {WEIGHT_SEED}",
        "draws " + " ".join(map(str, draws)),
        f"images {case.images[0]} {case.images[1]} {case.images[2]}",
        f"classes {case.classes}",
        f"label_smoothing {case.smoothing}",
        f"mixed {int(case.mixed)}",
    ]
    kind = kinds(net)
    lines += [f"state {key} {kind[key]} " + " ".join(map(str, tensor.shape)) for key, tensor in state(net).items()]
    lines += ["# result name count scale norm projections[4] entries[3]", *results]
    path = pathlib.Path(__file__).parent / "fixtures" / f"{name}.txt"
    path.write_text("\n".join(lines) + "\n")
    print(f"{name}: draws {draws}; trained in float32, PyTorch differs by {float_error:.1e}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(2)
    for chosen in sys.argv[1:] or CASES:
        write(chosen, CASES[chosen])
