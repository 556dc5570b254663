"""Draws the lines of cost.cpp: plot_cost.py CSV PLOT..., where a plot's ending (.svg, .png) is its format.

Above the milliseconds an image, below the GFLOP/s of the convolutions. Dotted lines mark where the plan changes, which is where
a curve may bend; benchmarks/README.md says why.
"""

import csv
import os
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

BATCH_NETWORKS = ("ResNet18 (tutorial)", "CifarResNet18")
COLOURS = {"inference": "#0b6fb8", "training": "#c2410c", "batch 1": "#0b6fb8", "batch 16": "#0f766e"}


def read(path):
    """The first line's facts, and the points as dictionaries of numbers."""
    with open(path, newline="") as file:
        facts = file.readline().removeprefix("#").strip()
        rows = list(csv.DictReader(file))
    names = ("network", "work")
    return facts, [{key: value if key in names else float(value) for key, value in row.items()} for row in rows]


def cache_bytes(facts, level):
    return float(facts.split(f"level {level} cache ")[1].split()[0].rstrip(","))


def bends(points, axis, level3):
    """[(place, reason)]: where what the plan does begins to be another thing."""
    found = []
    for before, point in zip(points, points[1:]):
        reasons = []
        if before["winograd"] != point["winograd"]:
            reasons.append(f"Winograd in {point['winograd']:.0f} of {point['convolutions']:.0f} convolutions")
        if before["block"] != point["block"]:
            reasons.append(f"blocks of {point['block']:.0f} images")
        if axis == "batch":
            if before["batch"] < point["block"] <= point["batch"]:
                reasons.append(f"a block of {point['block']:.0f} images is full")
            if before["part"] == before["batch"] and point["part"] < point["batch"]:
                reasons.append(f"in parts of {point['part']:.0f} images")
        if before["activation_bytes"] <= level3 < point["activation_bytes"]:
            reasons.append("activations outgrow the level 3 cache")
        found += [(point[axis], reason) for reason in reasons]
    return found


def marks(curves, axis, level3):
    """[(letter, place, reason)] of all curves, in the order of the places; who is meant stands in the reason."""
    found = {}
    for label, points in curves.items():
        for bend in bends(points, axis, level3):
            found.setdefault(bend, []).append(label)
    lettered = zip("abcdefghijklmnopqrstuvwxyz", sorted(found.items()))
    return [
        (letter, place, f"{place:.0f}: {reason}" + (f" ({labels[0]})" if len(labels) < len(curves) else ""))
        for letter, ((place, reason), labels) in lettered
    ]


def draw(column, curves, axis, level3):
    """Curves of label: points into two axes, one above the other, with a key of the bends below."""
    above, below = column
    for label, points in curves.items():
        style = dict(color=COLOURS[label], marker="o", markersize=3.5, linewidth=1.5, label=label)
        places = [point[axis] for point in points]
        above.plot(places, [point["milliseconds_per_image"] for point in points], **style)
        below.plot(places, [point["gflops"] for point in points], **style)
    key = marks(curves, axis, level3)
    for place in {place for _, place, _ in key}:
        letters = ",".join(letter for letter, other, _ in key if other == place)
        above.text(place, 1.01, letters, transform=above.get_xaxis_transform(), ha="center", va="bottom", fontsize=9, fontweight="bold")
        for part in column:
            part.axvline(place, color="#6b7280", linestyle=":", linewidth=0.9)
    text = "\n".join(f"{letter}  from {reason}" for letter, _, reason in key)
    below.text(0, -0.22, text, transform=below.transAxes, va="top", fontsize=8.5, linespacing=1.4)

    above.set_yscale("log")
    above.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    above.yaxis.set_minor_locator(NullLocator())
    above.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    below.set_ylim(bottom=0)
    ticks = sorted({point[axis] for points in curves.values() for point in points})
    for part in column:
        part.grid(True, color="#e5e7eb", linewidth=0.6)
        part.spines[["top", "right"]].set_visible(False)
        if axis == "batch":
            part.set_xscale("log", base=2)
        part.set_xticks(ticks if axis == "batch" else ticks[::2])
        part.xaxis.set_minor_locator(NullLocator())
        part.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    below.set_xlabel("batch, images" if axis == "batch" else "height and width of the images, pixels")
    above.legend(frameon=False, fontsize=9)


def main(table, *plots):
    facts, points = read(table)
    figure, axes = plt.subplots(2, 3, figsize=(15, 10), sharex="col")
    level3, titles = cache_bytes(facts, 3), []
    for column, network in enumerate(BATCH_NETWORKS):
        curves = {work: [p for p in points if p["network"] == network and p["work"] == work] for work in ("inference", "training")}
        draw(axes[:, column], curves, "batch", level3)
        first = curves["inference"][0]
        titles.append(f"{network}, {first['height']:.0f} x {first['width']:.0f}")
    sizes = [p for p in points if p["network"] not in BATCH_NETWORKS]
    draw(axes[:, 2], {f"batch {b}": [p for p in sizes if p["batch"] == b] for b in (1, 16)}, "height", level3)
    titles.append(f"{sizes[0]['network']}, inference")
    for part, title in zip(axes[0], titles):
        part.set_title(title, fontsize=12, fontweight="bold", loc="left", pad=20)
    axes[0, 0].set_ylabel("milliseconds an image")
    axes[1, 0].set_ylabel("GFLOP/s in convolutions\n(by definition, without padding)")
    figure.text(0.05, 0.012, facts, fontsize=8.5, color="#4b5563")
    figure.subplots_adjust(left=0.05, right=0.99, bottom=0.28, top=0.94, wspace=0.14, hspace=0.08)
    for plot in plots:
        figure.savefig(plot, dpi=110, metadata={"Date": None} if plot.endswith(".svg") else None)
        print(os.path.relpath(plot))


# The same numbers make the same file.
matplotlib.rcParams.update({"svg.hashsalt": "cost", "svg.fonttype": "none"})
main(*sys.argv[1:])
