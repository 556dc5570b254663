#!/usr/bin/env python3
"""Compiles one case of this folder and judges what the compiler says.

    check.py ok|fails CASE.cpp -- COMPILER FLAG...

A case is a source with a mistake behind #ifdef RESNET_FAIL, or one that must not be compiled with some flag. `ok`: without
the macro or flag it compiles without a warning. `fails`: with it, it does not, and the output holds what comments of the case ask for:

    // flag: FLAG                    the mistake is this flag of the compiler's, not RESNET_FAIL
    // rule: TEXT                    anywhere (the name of the constraint or function that stands for the rule)
    the mistake;  // error here      the compiler's `error:` is on this line
    the mistake;  // named here      this line is somewhere in the output
"""
import os
import re
import shutil
import subprocess
import sys


def mistake(case):
    """The argument that makes the case wrong."""
    with open(case, encoding="utf-8") as source:
        flag = re.search(r"^// flag: (\S+)$", source.read(), re.M)
    return flag[1] if flag else "-DRESNET_FAIL"


def demands(case):
    """What the output of the failing build must match: [(regular expression, what it means)]."""
    found = []
    with open(case, encoding="utf-8") as source:
        for number, line in enumerate(source, 1):
            place = rf"{re.escape(os.path.basename(case))}:{number}:"
            if rule := re.match(r"// rule: (\S+)$", line):
                found.append((re.escape(rule[1]), f"the rule's name, {rule[1]}"))
            elif re.search(r"// error here$", line):
                found.append((rf"(?m){place}\d+: (fatal )?error: ", f"an error on line {number}"))
            elif re.search(r"// named here$", line):
                found.append((place, f"line {number}"))
    return found


def main():
    expectation, case, separator, compiler, *flags = sys.argv[1:]
    if expectation not in ("ok", "fails") or separator != "--":
        sys.exit(__doc__)
    if not shutil.which(compiler):
        sys.exit(f"{compiler}: not found; install it to check what it says")
    wanted = demands(case)
    if len(wanted) < 2:
        sys.exit(f"{case}: a case states a rule and marks a line")

    command = [compiler, *flags, "-fno-diagnostics-color", "-c", "-o", os.devnull, case]
    if expectation == "fails":
        command.insert(-1, mistake(case))
    build = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    output = build.stdout + build.stderr
    print(*command)
    print(output)

    if expectation == "ok":
        if build.returncode or output:
            sys.exit("FAILED: the case does not compile cleanly without the mistake")
        return
    if build.returncode == 0:
        sys.exit("FAILED: the mistake compiles")
    missing = [meaning for pattern, meaning in wanted if not re.search(pattern, output)]
    if missing:
        sys.exit("FAILED: the output lacks " + " and ".join(missing))


main()
