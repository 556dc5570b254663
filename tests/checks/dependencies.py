#!/usr/bin/env python3
"""Fails where the dependency list (-M) of a header names a folder or file that it must not need.

    dependencies.py INCLUDE_DIR -- COMPILER FLAG...

graph/ and the layers above it are constant expressions: neither Eigen nor TBB. Every folder depends downwards only.
"""
import glob
import os
import re
import subprocess
import sys

# (headers, what they must not include, read as a regular expression on the path of every dependency)
RULES = [
    ("resnet/core/*.hpp", r"/Eigen/|/resnet/(graph|engine|kernels|optim|data|io)/|/resnet/[^/]*$"),
    ("resnet/graph/*.hpp", r"/Eigen/|/(tbb|oneapi)/|/resnet/(engine|kernels|optim|data|io)/|/resnet/[^/]*$"),
    ("resnet/layers.hpp", r"/Eigen/|/(tbb|oneapi)/|/resnet/(engine|kernels|optim|data|io)/"),
    ("resnet/blocks.hpp", r"/Eigen/|/(tbb|oneapi)/|/resnet/(engine|kernels|optim|data|io)/"),
    ("resnet/kernels/*.hpp", r"/resnet/(engine|optim|data|io)/|/resnet/[^/]*$"),
    ("resnet/engine/*.hpp", r"/resnet/(data|io)/|/resnet/[^/]*$"),
    ("resnet/optim/*.hpp", r"/resnet/(engine|data|io)/|/resnet/[^/]*$"),
    ("resnet/data/*.hpp", r"/Eigen/|/resnet/(graph|engine|kernels|optim|io)/|/resnet/(?!image\.hpp)[^/]*$"),
]


def main():
    include_dir, separator, *compile_command = sys.argv[1:]
    if separator != "--":
        sys.exit(__doc__)
    checked, wrong = 0, 0
    for headers, forbidden in RULES:
        for header in sorted(glob.glob(os.path.join(include_dir, headers))):
            listing = subprocess.run([*compile_command, "-x", "c++", "-M", header], check=True, capture_output=True, text=True)
            dependencies = listing.stdout.replace("\\\n", " ").split()[1:]
            checked += 1
            for dependency in dependencies:
                path = dependency.removeprefix(include_dir)
                if dependency != header and re.search(forbidden, path):
                    print(f"{os.path.relpath(header, include_dir)} depends on {dependency}")
                    wrong += 1
    print(f"{checked} headers, {wrong} forbidden dependencies")
    sys.exit(1 if wrong or not checked else 0)


main()
