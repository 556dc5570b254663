#!/usr/bin/env python3
"""The C++ in README.md is cut from files that are compiled: snippets.py ROOT

Before each block stands a comment that names its file: <!-- from examples/quickstart/main.cpp -->. Its lines, without comments and
indentation, are lines of that file in the same order; lines of the file may be left out.
"""
import os
import re
import sys

BLOCK = re.compile(r"(?:<!-- from (\S+) -->\n)?```cpp\n(.*?)```", re.S)


def code_lines(text):
    """Lines that hold code, without their comments."""
    lines = (re.sub(r"//.*", "", line).strip() for line in text.splitlines())
    return [re.sub(r"\s+", " ", line) for line in lines if line]


def missing(block, source):
    """The first line of the block that the source does not have after those before it, or None."""
    rest = iter(code_lines(source))
    return next((line for line in code_lines(block) if line not in rest), None)


def main():
    root = sys.argv[1]
    assert missing("a();  // one\n  c();", "a();\nb();\n    c();\n") is None
    assert missing("a();", "/// a();\n") == "a();"
    assert missing("c();\na();", "a();\nb();\nc();") == "a();"
    with open(os.path.join(root, "README.md")) as file:
        blocks = BLOCK.findall(file.read())
    assert len(blocks) >= 4, blocks
    wrong = 0
    for name, block in blocks:
        if not name:
            print(f"README.md: a block of C++ without the file that it is from:\n{block}")
            wrong += 1
            continue
        with open(os.path.join(root, name)) as file:
            line = missing(block, file.read())
        if line is not None:
            print(f"README.md: not in {name} at its place: {line}")
            wrong += 1
    print(f"{len(blocks)} blocks, {wrong} wrong")
    sys.exit(1 if wrong else 0)


main()
