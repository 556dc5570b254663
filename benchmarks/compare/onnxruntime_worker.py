"""ONNX Runtime, all graph optimisations. Settings: default | in-flight (a batch for each thread at the same time)."""

import itertools

import numpy as np
import onnxruntime
from case import Case
from worker import arguments, run_in_flight, serve

options = arguments()
case = Case(options.case)
callers = options.threads if options.setting == "in-flight" else 1
session_options = onnxruntime.SessionOptions()
session_options.intra_op_num_threads = options.threads // callers
session_options.inter_op_num_threads = 1
session_options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
session = onnxruntime.InferenceSession(case.onnx, session_options, providers=["CPUExecutionProvider"])


class Caller:
    """Calls the session with one batch after another; bound once: no copy of images, and logits in our memory."""

    def __init__(self):
        self.result = np.empty((case.batch, case.classes), np.float32)
        self.bindings = []
        for part in case.images:
            binding = session.io_binding()
            binding.bind_input(session.get_inputs()[0].name, "cpu", 0, np.float32, part.shape, part.ctypes.data)
            binding.bind_output(session.get_outputs()[0].name, "cpu", 0, np.float32, self.result.shape, self.result.ctypes.data)
            self.bindings.append(binding)
        self.turn = itertools.cycle(self.bindings)

    def run(self, turns):
        for _ in turns:
            session.run_with_iobinding(next(self.turn))


all_callers = [Caller() for _ in range(callers)]


def run(count):
    run_in_flight([caller.run for caller in all_callers], count)


def logits():
    parts = []
    for _ in case.images:
        all_callers[0].run(range(1))
        parts.append(all_callers[0].result.copy())
    return np.concatenate(parts)


serve(f"ONNX Runtime {onnxruntime.__version__}", logits, run, callers)
