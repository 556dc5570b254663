"""OpenVINO in float. Settings: latency | throughput (several batches in flight)."""

import numpy as np
import openvino
from case import Case
from worker import arguments, serve

options = arguments()
case = Case(options.case)
compiled = openvino.Core().compile_model(
    case.onnx,
    "CPU",
    {
        "PERFORMANCE_HINT": options.setting.upper(),
        "INFERENCE_NUM_THREADS": options.threads,
        "INFERENCE_PRECISION_HINT": "f32",
    },
)
images = [openvino.Tensor(part, shared_memory=True) for part in case.images]
in_flight = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") if options.setting == "throughput" else 1
queue = openvino.AsyncInferQueue(compiled, in_flight)
results = [np.empty((case.batch, case.classes), np.float32) for _ in queue]
for request, result in zip(queue, results):
    request.set_output_tensor(openvino.Tensor(result, shared_memory=True))
turn = 0


def begin():
    """The next batch on a request that is free, when one is; returns the one whose results will hold its logits."""
    global turn
    free = queue.get_idle_request_id()
    queue[free].set_input_tensor(images[turn])
    queue.start_async()
    turn = (turn + 1) % len(images)
    return free


def run(count):
    for _ in range(count):
        begin()
    queue.wait_all()


def logits():
    parts = []
    for _ in images:
        request = begin()
        queue.wait_all()
        parts.append(results[request].copy())
    return np.concatenate(parts)


serve(f"OpenVINO {openvino.__version__}", logits, run, in_flight)
