"""PyTorch. Settings: eager | channels-last | compile | compile-channels-last. In inference batch norm is folded: by torch.fx without
compilation, by freezing with it. There is also compile-cpp-wrapper, and each of the four with "-in-flight": a batch for each thread at
the same time. With a loader: one of the four, "+", and a source of loader.py."""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from case import DEVIATION, MEAN, Case, loaded_network
from torch.fx.experimental.optimization import fuse
from worker import arguments, run_in_flight, serve

options = arguments()
case = Case(options.case)
net = loaded_network(case)
setting, _, source = options.setting.partition("+")
callers = options.threads if setting.endswith("in-flight") else 1
torch.set_num_threads(options.threads // callers)
torch.set_flush_denormal(True)  # as our engine does
layout = torch.contiguous_format if setting.removesuffix("-in-flight") in ("eager", "compile") else torch.channels_last
compiled = setting.startswith("compile")
net = net.to(memory_format=layout)
images = [torch.from_numpy(part).contiguous(memory_format=layout) for part in case.images]
labels = [torch.from_numpy(part).long() for part in case.labels]
results = [torch.empty(case.batch, case.classes) for _ in range(callers)]
result = results[0]
turn = itertools.cycle(range(len(images)))


def inference():
    import torch._inductor.config as inductor

    inductor.freezing = True
    inductor.cpp_wrapper = setting == "compile-cpp-wrapper"
    model = torch.compile(net.eval()) if compiled else fuse(net.eval())

    def caller(own):
        def run(turns):
            torch.set_num_threads(options.threads // callers)  # OpenMP's setting is the thread's
            torch.set_flush_denormal(True)  # and so is this
            with torch.inference_mode() if not compiled else torch.no_grad():
                for _ in turns:
                    own.copy_(model(images[next(turn)]))

        return run

    all_callers = [caller(own) for own in results]

    def logits():
        parts = []
        for _ in images:
            all_callers[0](range(1))
            parts.append(result.numpy().copy())
        return np.concatenate(parts)

    return logits, lambda count: run_in_flight(all_callers, count)


def trainer(forward):
    """step(images, labels) of Adam on a loss that forward gives after the logits."""
    optimizer = torch.optim.Adam(net.train().parameters(), lr=1e-3, fused=True)
    model = torch.compile(forward) if compiled else forward

    def step(x, y):
        optimizer.zero_grad(set_to_none=True)
        output, loss = model(x, y)
        loss.backward()
        optimizer.step()
        loss.item()  # a trainer reports its loss
        result.copy_(output.detach())

    return step


def forward(x, y):
    output = net(x)
    return output, F.cross_entropy(output, y)


def training():
    step = trainer(forward)

    def run(count):
        for _ in range(count):
            k = next(turn)
            step(images[k], labels[k])

    def logits():
        run(1)
        return result.numpy()

    return logits, run


def training_from_loader():
    from loader import batches

    scale = torch.tensor([1 / (255 * d) for d in DEVIATION]).view(3, 1, 1)
    shift = torch.tensor([-m / d for m, d in zip(MEAN, DEVIATION)]).view(3, 1, 1)

    def forward_bytes(pixels, y):  # compiled, one pass makes floats of [N][H][W][3]; the view's channels are last already
        x = torch.addcmul(shift, pixels.permute(0, 3, 1, 2).float(), scale)
        return forward(x.contiguous(memory_format=layout), y)

    step = trainer(forward_bytes)
    epoch = batches(*case.dataset(), case.batch, source)

    def run(count):
        for _ in range(count):
            step(*next(epoch))

    def logits():  # before the first step, of the images that training without a loader begins with
        with torch.no_grad():
            return forward(images[0], labels[0])[0].numpy()

    return logits, run


works = {"infer": inference, "train": training, "loader": training_from_loader}
serve(f"PyTorch {torch.__version__}", *works[options.work](), callers)
