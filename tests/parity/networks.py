"""The library's networks in PyTorch, under the names of their state_dict: for the parity fixtures and for benchmarks/compare."""

import numpy as np
import torch.nn.functional as F
from torch import nn


def f32(value):
    """Hyper-parameters are floats in the library, whatever the network's scalar."""
    return float(np.float32(value))


def batch_norm(channels, affine=True, momentum=0.1):
    return nn.BatchNorm2d(channels, eps=f32(1e-5), momentum=f32(momentum), affine=affine)


class ResBlk(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.bn1 = batch_norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.bn2 = batch_norm(outputs)
        self.extra = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride), batch_norm(outputs))

    def forward(self, x):
        return F.relu(self.extra(x) + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class ResNet18(nn.Module):
    """The tutorial's."""

    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(3, 64, 3, 3, 0), batch_norm(64))
        self.blk1, self.blk2 = ResBlk(64, 64, 2), ResBlk(64, 128, 2)
        self.blk3, self.blk4 = ResBlk(128, 256, 2), ResBlk(256, 512, 2)
        self.outlayer = nn.Linear(512, classes)

    def forward(self, x):
        x = self.blk4(self.blk3(self.blk2(self.blk1(F.relu(self.conv1(x))))))
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
        self.shortcut_name = shortcut

    def forward(self, x):
        projected = getattr(self, self.shortcut_name)(x)
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + projected)


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
        x = F.relu(self.bn1(self.conv1(x)))
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
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class ConvPool(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
        self.norm = batch_norm(outputs, momentum=0.4)

    def forward(self, x):
        return F.gelu(self.norm(F.max_pool2d(self.conv(x), 2)))


class ResidualConv(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), batch_norm(channels, momentum=0.4)

    def forward(self, x):
        return x + F.gelu(self.norm(self.conv(x)))


class ResNet9(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)
        self.layer1, self.residual1 = ConvPool(24, 64), ResidualConv(64)
        self.layer2, self.residual2 = ConvPool(64, 256), ResidualConv(256)
        self.layer3, self.residual3, self.residual4 = ConvPool(256, 256), ResidualConv(256), ResidualConv(256)
        self.linear = nn.Linear(256, classes)

    def forward(self, x):
        x = self.residual1(self.layer1(F.gelu(self.whiten(x))))
        x = self.residual4(self.residual3(self.layer3(self.residual2(self.layer2(x)))))
        return 0.125 * self.linear(F.max_pool2d(x, 3).flatten(1))
