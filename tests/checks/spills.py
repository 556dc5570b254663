#!/usr/bin/env python3
"""Looks for spills in the innermost loops of the tiles: vectors that are moved to or from the stack while sums should stay in registers.

    spills.py COMPILER [FLAGS...]

Compiles spills.cpp to assembly at -O3. The library's tiles must have none; their twins, with more sums than registers, must have some
(else this check would not see any).
"""
import os
import re
import subprocess
import sys

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "spills.cpp")
TILES = {"baseline": (4, 2), "avx2": (6, 2), "avx512": (6, 4)}
TWINS = {"baseline": (8, 2), "avx2": (8, 2), "avx512": (8, 4)}
ARITHMETIC = re.compile(r"\s+v?(fn?madd\w*ps|mulps)\b")
FRAME = re.compile(r"\s+mov\w*\s+%rsp, *%rbp")  # else %rbp is a register like others
VECTOR = re.compile(r"%[xyz]mm")


def functions(assembly):
    """The lines of each function by its symbol."""
    bodies, name = {}, None
    for line in assembly.splitlines():
        label = re.match(r"(_Z\w+):", line)
        if label:
            name = label.group(1)
            bodies[name] = []
        elif name is not None:
            bodies[name].append(line)
            if re.match(r"\s+\.size\s", line):
                name = None
    return bodies


def innermost_loops(body):
    """Ranges of lines from a label to a jump back to it that hold multiplications and no smaller such range."""
    labels = {m.group(1): i for i, line in enumerate(body) if (m := re.match(r"(\.L\w+):", line))}
    loops = []
    for i, line in enumerate(body):
        jump = re.match(r"\s+j\w+\s+(\.L\w+)", line)
        if jump and labels.get(jump.group(1), i) < i:
            first = labels[jump.group(1)]
            if any(ARITHMETIC.match(l) for l in body[first:i]):
                loops.append((first, i))
    return [a for a in loops if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in loops)]


def spills(body):
    """Vector moves over the stack, in the innermost loop with the most multiplications."""
    loops = innermost_loops(body)
    if not loops:
        sys.exit("no loop with multiplications found")
    stack = re.compile(r"\(%r[sb]p" if any(FRAME.match(l) for l in body) else r"\(%rsp")
    first, last = max(loops, key=lambda loop: sum(bool(ARITHMETIC.match(l)) for l in body[loop[0]:loop[1]]))
    return sum(bool(stack.search(l) and VECTOR.search(l)) for l in body[first:last])


def main():
    compiler, *flags = sys.argv[1:]
    command = [compiler, *flags, "-O3", "-S", SOURCE, "-o", "-"]
    bodies = functions(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    failed = False
    for tiles, expected in ((TILES, False), (TWINS, True)):
        for isa, (rows, vectors) in tiles.items():
            for kernel, last in (("convolution_tile", "Li1E"), ("weight_gradient_tile", "Lb0E"), ("weight_gradient_tile", "Lb1E")):
                wanted = f"{len(isa)}{isa}{len(kernel)}{kernel}IfLi{rows}ELi{vectors}E{last}"
                body = next((b for symbol, b in bodies.items() if wanted in symbol and b), None)
                if body is None:
                    sys.exit(f"{isa} {kernel} {rows}x{vectors}: not in the assembly")
                count = spills(body)
                wrong = (count > 0) != expected
                failed |= wrong
                print(f"{'WRONG ' if wrong else ''}{isa} {kernel}{', scattered,' if last == 'Lb1E' else ''} {rows} rows x {vectors} vectors: {count} spills"
                      f"{' (a twin that must spill)' if expected else ''}")
    sys.exit(1 if failed else 0)


main()
