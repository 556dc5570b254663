"""Times this library beside PyTorch, ONNX Runtime and OpenVINO, and compares their logits first. `run` builds and calls it.

Each contestant is a process of its own, one for each setting, and is stopped while others run. In a round all of them run
once, in an order that is drawn anew for each round, the same one whenever it is run. What counts is the ratio, within a round, of
the fastest rival's time to ours, each at its fastest setting.

    infer    a batch of images to its logits in memory
    train    forward, backward and a step of Adam
    loader   the same on batches of bytes that a loader shuffles, crops, flips and normalises meanwhile
"""

import argparse
import csv
import datetime
import math
import os
import pathlib
import random
import select
import signal
import statistics
import subprocess
import sys
from dataclasses import dataclass

import numpy as np

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parent))
from environments import ENVIRONMENTS
from machine import commit, cpu_model

NETWORKS = HERE.parents[1] / "tests" / "parity" / "networks.py"  # PyTorch's


NETWORK_TITLES = {"tutorial": "ResNet18 (tutorial)", "cifar-resnet18": "CifarResNet18", "imagenet-resnet18": "ImageNetResNet18"}
WORK_TITLES = {"infer": "inference", "train": "training, Adam", "loader": "training, with the loader"}


@dataclass
class Row:
    network: str
    batch: int
    work: str  # infer | train | loader
    at_least: float  # the ratio that we promise
    aim: float

    @property
    def name(self):
        return f"{self.network}/{self.batch}/{self.work}"

    @property
    def reference(self):
        """The case's file of the logits that are expected."""
        return "infer" if self.work == "infer" else "train"


ROWS = [
    Row("tutorial", 128, "infer", 2.5, 3.4),
    Row("tutorial", 128, "train", 3.0, 5.0),
    Row("tutorial", 128, "loader", 3.0, 5.0),
    Row("tutorial", 1, "infer", 1.3, 1.8),
    Row("cifar-resnet18", 128, "infer", 2.0, 2.5),
    Row("cifar-resnet18", 128, "train", 1.8, 2.5),
    Row("cifar-resnet18", 128, "loader", 1.8, 2.5),
    Row("cifar-resnet18", 1, "infer", 1.2, 1.5),
    Row("imagenet-resnet18", 16, "infer", 1.5, 2.2),
    Row("imagenet-resnet18", 16, "train", 1.6, 2.5),
    Row("imagenet-resnet18", 16, "loader", 1.6, 2.5),
    Row("imagenet-resnet18", 1, "infer", 1.2, 1.5),
]

# Largest difference of logits to PyTorch in double, relative to the largest logit. Training's first step is in batch statistics.
LOGIT_BAR = 1e-4

OURS = "resnet"
OUR_SETTINGS = {"infer": ("default", "in-flight"), "train": ("default",), "loader": ("default",)}
PATIENCE = 900  # seconds without an answer after which a worker counts as hung; torch.compile needs some 120
# Those that are for a column of their own and don't count as ours.
WITHOUT_WINOGRAD = {"infer": ("no-winograd", "in-flight-no-winograd"), "train": ("no-winograd",), "loader": ("no-winograd",)}
# Have no switch that holds them to the instructions of --isa: they get a column of their own then, and don't decide the row.
NOT_HELD = ("ONNX Runtime",)
PYTHON_WORKERS = {"PyTorch": "pytorch_worker.py", "ONNX Runtime": "onnxruntime_worker.py", "OpenVINO": "openvino_worker.py"}


def settings(row, threads):
    """All (contestant, setting) of a row, ours first. On one thread a batch for each thread is what the others do already."""
    pytorch = ["eager", "channels-last", "compile", "compile-channels-last"]
    if row.work == "loader":
        last = pytorch[1::2]  # bytes come with channels last
        pytorch = [f"{setting}+tensors" for setting in pytorch] + [f"{setting}+workers-{n}" for setting in last for n in range(3)]
    if row.work == "infer":
        pytorch += [f"{setting}-in-flight" for setting in pytorch]
    if row.work == "infer" and row.batch == 1:
        pytorch.append("compile-cpp-wrapper")
    rivals = [("PyTorch", setting) for setting in pytorch]
    if row.work == "infer":
        rivals += [("ONNX Runtime", "default"), ("ONNX Runtime", "in-flight"), ("OpenVINO", "latency"), ("OpenVINO", "throughput")]
    everyone = [(OURS, setting) for setting in OUR_SETTINGS[row.work] + WITHOUT_WINOGRAD[row.work]] + rivals
    return [(name, setting) for name, setting in everyone if threads > 1 or "in-flight" not in setting]


class Contestant:
    """A worker process; stopped except inside its own calls."""

    def __init__(self, name, setting, case, row, options):
        self.name, self.setting, self.row, self.failed = name, setting, row, False
        self.isa = "all" if not options.isa or name in NOT_HELD else options.isa
        program = [options.worker] if name == OURS else [sys.executable, HERE / PYTHON_WORKERS[name]]
        environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads))
        if not options.plain_memory:
            environment.update(ENVIRONMENTS.get(name, {}))
        if options.isa:
            environment.update(RESNET_ISA=options.isa, ATEN_CPU_CAPABILITY=options.isa)
            environment.update(ONEDNN_MAX_CPU_ISA=options.isa.upper(), MKL_ENABLE_INSTRUCTIONS=options.isa.upper())
        self.log = open(options.logs / f"{row.name.replace('/', '-')}-{name.replace(' ', '')}-{setting}.log", "w")
        self.process = subprocess.Popen(
            [*program, "--case", case, "--work", row.work, "--threads", str(options.threads), "--setting", setting],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, bufsize=1, env=environment,
            start_new_session=True,  # so that a signal reaches its helpers too
        )

    def answer(self):
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:  # one line a request, so none waits in a buffer
            raise RuntimeError(f"{self.name}, {self.setting}: no answer in {PATIENCE} s; see {self.log.name}")
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}, {self.setting}: ended; see {self.log.name}")
        return line.strip()

    def ask(self, request):
        self.process.stdin.write(request + "\n")
        return self.answer()

    def run(self, count):
        return float(self.ask(f"run {count}"))

    def prepare(self, case, options):
        """Waits for the worker, compares its logits, warms up, and finds how many batches fill the time of a round: at least
        two for each that is in flight, where more than one is, and as many for one as for another."""
        _, in_flight, self.version = self.answer().split(" ", 2)
        self.in_flight = int(in_flight)
        path = options.logs / "logits"
        path.unlink(missing_ok=True)  # those of another
        self.ask(f"logits {path}")
        reference = np.fromfile(pathlib.Path(case) / self.row.reference, np.float64).reshape(-1, options.classes)
        got = np.fromfile(path, np.float32).reshape(reference.shape)
        self.difference = float(np.abs(got - reference).max() / np.abs(reference).max())
        self.agreement = float((got.argmax(1) == reference.argmax(1)).mean())
        self.run(2 * self.in_flight)
        turns = round(options.seconds / max(self.run(3 * self.in_flight) / 3, 1e-6))
        self.count = self.in_flight * max(1 if self.in_flight == 1 else 2, turns)

    def signal(self, which):
        os.killpg(self.process.pid, which)

    def end(self):
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.process.wait()
        self.log.close()


def start(row, case, options, contestants):
    """Fills `contestants`, so that the caller can end those that run, whatever happens here; returns the settings left out."""
    left_out = []
    for name, setting in settings(row, options.threads):
        if name in options.without:
            continue
        print(f"  {row.name}: {name}, {setting}", file=sys.stderr)
        contestant = Contestant(name, setting, case, row, options)
        contestants.append(contestant)
        try:
            contestant.prepare(case, options)
            contestant.signal(signal.SIGSTOP)
        except (RuntimeError, OSError, ValueError) as error:  # a rival's setting may fail; ours may not
            if name == OURS:
                raise
            print(f"  left out: {error}", file=sys.stderr)
            contestants.pop().end()
            left_out.append(f"{name} {setting}")
    return left_out


def measure(contestants, options, record):
    """Seconds a batch: one list a round, in the order of the contestants. A rival's setting that fails takes for ever from then on."""
    rounds = []
    for turn in range(options.rounds):
        seconds = [0.0] * len(contestants)
        for k in random.Random(turn).sample(range(len(contestants)), len(contestants)):  # nobody is always after the same one
            contestant = contestants[k]
            if contestant.failed:
                seconds[k] = math.inf
                continue
            try:
                contestant.signal(signal.SIGCONT)
                contestant.run(contestant.in_flight)  # caches and threads awake
                seconds[k] = contestant.run(contestant.count) / contestant.count
                contestant.signal(signal.SIGSTOP)
            except (RuntimeError, OSError, ValueError) as error:
                if contestant.name == OURS:
                    raise
                print(f"  {contestant.name}, {contestant.setting}: failed in round {turn + 1}: {error}", file=sys.stderr)
                contestant.failed, seconds[k] = True, math.inf
                contestant.end()  # one that hangs would run beside the others
            record(contestant, turn, seconds[k])
        rounds.append(seconds)
    return rounds


def quartiles(values):
    if len(values) == 1:
        return values * 3
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return [low, middle, high]


def compare(row, case, options, record):
    """The row of the table, and whether it passed."""
    contestants = []
    try:
        left_out = start(row, case, options, contestants)
        rounds = measure(contestants, options, record)
    finally:
        for contestant in contestants:
            contestant.end()
    ours, without_winograd = (
        [c for c in contestants if c.name == OURS and c.setting in chosen[row.work]] for chosen in (OUR_SETTINGS, WITHOUT_WINOGRAD)
    )
    rivals = [c for c in contestants if c.name != OURS]
    if not any(c.isa == ours[0].isa and not c.failed for c in rivals):
        raise RuntimeError(f"{row.name}: no rival ran")

    def fastest(chosen, seconds):
        return min(seconds[k] for k, c in enumerate(contestants) if c in chosen)

    def ratios(theirs, to):
        return quartiles([fastest(theirs, seconds) / fastest(to, seconds) for seconds in rounds])

    def median_time(contestant):
        return statistics.median(fastest([contestant], seconds) for seconds in rounds)

    def best(chosen):
        """The one that is fastest as a rule, and its images a second."""
        contestant = min(chosen, key=median_time)
        return contestant, f"{row.batch / median_time(contestant):,.0f}"

    held, not_held = ([c for c in rivals if (c.isa == ours[0].isa) == wanted] for wanted in (True, False))
    low, median, high = ratios(held, to=ours)
    right = all(c.difference <= LOGIT_BAR for c in contestants if c.name == OURS)
    (our_best, our_speed), (rival, rival_speed) = best(ours), best(held)
    passed = right and median >= row.at_least

    def median_ratio(theirs):
        return f"{ratios(theirs, to=ours)[1]:.2f}" if theirs else "-"

    left_out += [f"{c.name} {c.setting}" for c in rivals if c.failed]
    failed = "".join(f"; {setting} failed" for setting in left_out)
    complete = all(options.isa and setting.startswith(tuple(NOT_HELD)) for setting in left_out)  # what failed could have been the fastest
    cells = [
        f"{NETWORK_TITLES[row.network]}, {row.batch}", WORK_TITLES[row.work], our_speed + (" (in flight)" if our_best.in_flight > 1 else ""),
        f"{rival.name} {rival.setting} {rival_speed}{failed}",
        f"{median:.2f} ({low:.2f} to {high:.2f})", f"{ratios(held, to=without_winograd)[1]:.2f}",
        median_ratio([c for c in rivals if c.name == "PyTorch"]), f"{row.at_least}", f"{row.aim}",
        f"{max(c.difference for c in ours):.0e}", f"{100 * min(c.agreement for c in ours):.1f} %", *([median_ratio(not_held)] if options.isa else []),
        "INCOMPLETE" if passed and not complete else "PASS" if passed else "FAIL" if right else "FAIL (logits)",
    ]  # fmt: skip
    for rival in rivals:
        if not rival.difference <= LOGIT_BAR:
            print(f"  {rival.name}, {rival.setting}: logits differ by {rival.difference:.1e}", file=sys.stderr)
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    return passed and complete


HEADINGS = [
    "network, batch", "work", "ours, images/s", "best rival, images/s", "ratio (quartiles)", "Winograd off", "to PyTorch", "at least",
    "aim", "logits differ by", "same class",
]  # fmt: skip


def first_line(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def instructions(options):
    return f"{options.isa} instructions (all: {', '.join(NOT_HELD)})" if options.isa else "all instructions"


def parse():
    parser = argparse.ArgumentParser(prog="benchmarks/compare/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", default=[""], metavar="NAME", help="only rows whose name, such as tutorial/128/train, contains one of these")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5, help="that each contestant runs in a round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--isa", choices=("avx2",), help="hold the contestants to these instructions; ONNX Runtime can't be held, and gets a column of its own")
    parser.add_argument("--without", nargs="*", default=[], choices=list(PYTHON_WORKERS), help="rivals to leave out")
    parser.add_argument("--plain-memory", action="store_true", help="rivals without the settings of environments.py, which make them faster")
    parser.add_argument("--worker", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--build", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # through the finally that ends the contestants
    rows = [row for row in ROWS if any(part in row.name for part in options.rows)]
    if not rows:
        sys.exit("no such row; there are " + ", ".join(row.name for row in ROWS))
    options.logs = options.build / "logs"
    options.logs.mkdir(parents=True, exist_ok=True)

    now = datetime.datetime.now()
    print(f"{cpu_model()}, {os.cpu_count()} processors; {options.threads} threads; {instructions(options)}; {now:%Y-%m-%d}")
    print(f"ours: {first_line(os.environ.get('CXX', 'g++'), '--version')}, -O3; rivals: " +
          ", ".join(line for line in (HERE / "requirements.txt").read_text().split()) + f"; Python {sys.version.split()[0]}")  # fmt: skip
    print(f"{options.rounds} rounds of {options.seconds} s; commit {commit()}; benchmarks/compare/run " + " ".join(shown(sys.argv[1:])) + "\n")
    headings = [*HEADINGS, *([f"to {', '.join(NOT_HELD)} with all instructions"] if options.isa else []), ""]
    print("| " + " | ".join(headings) + " |\n|" + " --- |" * len(headings), flush=True)

    passed = []
    table = options.build / f"{now:%Y%m%d-%H%M%S}.csv"
    with open(table, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            "network batch work threads isa contestant setting version round batches seconds_per_batch images_per_second logits_differ_by same_class".split()
        )
        for row in rows:
            case = options.build / "cases" / f"{row.network}-{row.batch}"
            if is_stale(case / "case.json"):
                with open(options.logs / f"prepare-{case.name}.log", "w") as log:
                    subprocess.run([sys.executable, HERE / "prepare.py", case, row.network, str(row.batch)], check=True, stdout=log, stderr=log)

            def record(contestant, turn, seconds, row=row):
                writer.writerow([
                    row.network, row.batch, row.work, options.threads, contestant.isa, contestant.name, contestant.setting,
                    contestant.version, turn, contestant.count, f"{seconds:.6g}", f"{row.batch / seconds:.6g}", f"{contestant.difference:.2e}",
                    f"{contestant.agreement:.4f}",
                ])  # fmt: skip
                file.flush()

            options.classes = 1000 if row.network.startswith("imagenet") else 10
            passed.append(compare(row, case, options, record))
    print(f"\n{sum(passed)} of {len(passed)} rows pass; every setting and round: {os.path.relpath(table)}")
    sys.exit(0 if all(passed) else 1)


def is_stale(facts):
    """Whether a case has to be written, or written anew because what writes it has changed."""
    sources = (HERE / "prepare.py", HERE / "case.py", NETWORKS)
    return not facts.exists() or facts.stat().st_mtime < max(source.stat().st_mtime for source in sources)


def shown(arguments):
    """The user's arguments, without those that `run` puts before them."""
    return [argument for argument in arguments if not argument.startswith(("--worker=", "--build="))]


main()
