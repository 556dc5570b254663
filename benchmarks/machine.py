"""What this machine is and what is measured on it, for the heads of tables."""

import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]


def cpu_model():
    """Its name, and where the system says them its family and model: names alone hide the generation."""
    facts = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    name = facts.get("model name", "unknown CPU")
    return f"{name} (family {facts['cpu family']}, model {facts['model']})" if {"cpu family", "model"} <= facts.keys() else name


def commit():
    """Of the library, its examples and the comparison, and whether they have been changed since."""

    def git(*arguments):
        return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True).stdout.strip()

    if shutil.which("git") is None:
        return "no git"
    changed = git("status", "--porcelain", "--untracked-files=no", "--", "include", "examples", "cmake", "CMakeLists.txt", "benchmarks/compare", "tests/parity/networks.py")
    return (git("rev-parse", "--short", "HEAD") or "no git") + ("-dirty" if changed else "")
