#!/usr/bin/env python3
"""Fails where the dependency list (-M) of a header names a folder or file that it must not need.

    dependencies.py INCLUDE_DIR -- COMPILER FLAG...

graph/ and the layers above it are constant expressions: neither Eigen nor TBB. Every folder depends downwards only. What
resnet::resnet has does without what resnet::io and resnet::image need.
"""
import concurrent.futures
import glob
import os
import re
import subprocess
import sys

# What resnet::io and resnet::image need beside resnet::resnet, by CMakeLists.txt.
EXTRAS = r"/nlohmann/|/zlib\.h$|/stb/"
# (headers, those among them that are not meant, what the others must not include: regular expressions on paths)
NONE = r"^$"
RULES = [
    ("resnet/core/*.hpp", NONE, rf"/Eigen/|{EXTRAS}|/resnet/(graph|engine|kernels|optim|data|io)/|/resnet/[^/]*$"),
    ("resnet/graph/*.hpp", NONE, rf"/Eigen/|/(tbb|oneapi)/|{EXTRAS}|/resnet/(engine|kernels|optim|data|io)/|/resnet/[^/]*$"),
    ("resnet/layers.hpp", NONE, r"/Eigen/|/(tbb|oneapi)/|/resnet/(engine|kernels|optim|data|io)/"),
    ("resnet/blocks.hpp", NONE, r"/Eigen/|/(tbb|oneapi)/|/resnet/(engine|kernels|optim|data|io)/"),
    ("resnet/kernels/*.hpp", NONE, rf"{EXTRAS}|/resnet/(engine|optim|data|io)/|/resnet/[^/]*$"),
    ("resnet/engine/*.hpp", NONE, rf"{EXTRAS}|/resnet/(data|io)/|/resnet/[^/]*$"),
    ("resnet/optim/*.hpp", NONE, rf"{EXTRAS}|/resnet/(engine|data|io)/|/resnet/[^/]*$"),
    ("resnet/data/*.hpp", NONE, r"/Eigen/|/nlohmann/|/stb/|/resnet/(graph|engine|kernels|optim|io)/|/resnet/(?!image\.hpp)[^/]*$"),
    ("resnet/data/*.hpp", r"fashion_mnist|image_folder", rf"{EXTRAS}|/resnet/image"),
    ("resnet/*.hpp", r"/(checkpoint|image|image_write)\.hpp$", rf"{EXTRAS}|/resnet/io/|/resnet/(checkpoint|image)"),
    ("resnet/image*.hpp", r"/imagenet", r"/Eigen/|/nlohmann/|/zlib\.h$|/resnet/(graph|engine|kernels|optim|io|data/(?!resize))"),
]


def dependencies(header, compile_command):
    listing = subprocess.run([*compile_command, "-x", "c++", "-M", header], check=True, capture_output=True, text=True)
    return [path for path in listing.stdout.replace("\\\n", " ").split()[1:] if path != header]


def main():
    include_dir, separator, *compile_command = sys.argv[1:]
    if separator != "--":
        sys.exit(__doc__)
    known, wrong = {}, 0
    for headers, excepted, forbidden in RULES:
        meant = [header for header in sorted(glob.glob(os.path.join(include_dir, headers))) if not re.search(excepted, header)]
        if not meant:
            sys.exit(f"no header is named {headers}")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            new = [header for header in meant if header not in known]
            known.update(zip(new, pool.map(lambda header: dependencies(header, compile_command), new)))
        for header in meant:
            for dependency in known[header]:
                if re.search(forbidden, dependency.removeprefix(include_dir)):
                    print(f"{os.path.relpath(header, include_dir)} depends on {dependency}")
                    wrong += 1
    print(f"{len(known)} headers, {wrong} forbidden dependencies")
    sys.exit(1 if wrong else 0)


main()
