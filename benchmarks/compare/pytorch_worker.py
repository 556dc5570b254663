"""PyTorch. Settings: eager | channels-last | compile | compile-channels-last | compile-cpp-wrapper; training: the first four."""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from case import Case, loaded_network
from worker import arguments, serve

options = arguments()
torch.set_num_threads(options.threads)
case = Case(options.case)
net = loaded_network(case)
layout = torch.contiguous_format if options.setting in ("eager", "compile") else torch.channels_last
compiled = options.setting.startswith("compile")
net = net.to(memory_format=layout)
images = [torch.from_numpy(part).contiguous(memory_format=layout) for part in case.images]
labels = [torch.from_numpy(part).long() for part in case.labels]
result = torch.empty(case.batch, case.classes)
turn = itertools.cycle(range(len(images)))


def inference():
    import torch._inductor.config as inductor

    inductor.freezing = True
    inductor.cpp_wrapper = options.setting == "compile-cpp-wrapper"
    model = net.eval()
    if compiled:
        model = torch.compile(model)

    def run(count):
        with torch.inference_mode() if not compiled else torch.no_grad():
            for _ in range(count):
                result.copy_(model(images[next(turn)]))

    def logits():
        parts = []
        for _ in images:
            run(1)
            parts.append(result.numpy().copy())
        return np.concatenate(parts)

    return logits, run


def training():
    net.train()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)

    def forward(x, y):
        output = net(x)
        return output, F.cross_entropy(output, y)

    step = torch.compile(forward) if compiled else forward

    def run(count):
        for _ in range(count):
            k = next(turn)
            optimizer.zero_grad(set_to_none=True)
            output, loss = step(images[k], labels[k])
            loss.backward()
            optimizer.step()
            loss.item()  # a trainer reports its loss
            result.copy_(output.detach())

    def logits():
        run(1)
        return result.numpy()

    return logits, run


serve(f"PyTorch {torch.__version__}", *(inference() if options.work == "infer" else training()))
