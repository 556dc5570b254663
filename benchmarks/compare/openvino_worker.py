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
requests, results = [], []
for _ in range(in_flight):
    results.append(np.empty((case.batch, case.classes), np.float32))
    requests.append(compiled.create_infer_request())
    requests[-1].set_output_tensor(openvino.Tensor(results[-1], shared_memory=True))
turn = 0


def run(count):
    """Requests in turn. (openvino.AsyncInferQueue, which takes whichever is free, was at most 2 % faster: results.md.)"""
    global turn
    for started in range(count):
        request = requests[started % in_flight]
        if started >= in_flight:
            request.wait()
        request.set_input_tensor(images[turn])
        turn = (turn + 1) % len(images)
        request.start_async()
    for request in requests[: min(count, in_flight)]:
        request.wait()


def logits():
    parts = []
    for _ in images:
        run(1)
        parts.append(results[0].copy())
    return np.concatenate(parts)


serve(f"OpenVINO {openvino.__version__}", logits, run, in_flight)
