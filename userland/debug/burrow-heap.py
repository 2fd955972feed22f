#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads what burrow_heap_dump() and burrow_heap_profile() write.

usage: burrow-heap.py types DUMP        objects and bytes by type, most first
       burrow-heap.py why DUMP ADDRESS  a shortest way from a root to an object
       burrow-heap.py sites PROFILE     what lives by where it was allocated
"""

import collections
import math
import re
import sys

Object = collections.namedtuple("Object", "size kind type pointers")
Root = collections.namedtuple("Root", "kind goroutine at to")


def read_dump(path):
    """Objects by address, and roots."""
    objects, roots, ended = {}, [], False
    with open(path) as file:
        if file.readline() != "burrow-heap-dump 1\n":
            sys.exit(f"{path}: no heap dump")
        for line in file:
            word = line.split()
            if not line.endswith("\n"):
                break
            if word[0] == "object":
                pointers = [p.split(":") for p in word[5:]]
                objects[int(word[1], 16)] = Object(
                    int(word[2]), word[3], word[4],
                    [(int(at), int(to, 16)) for at, to in pointers])
            elif word[0] == "root":
                roots.append(Root(word[1], int(word[2]), int(word[3], 16),
                                  int(word[4], 16)))
            elif word[0] == "end":
                ended = len(objects) == int(word[1])
    if not ended:
        sys.exit(f"{path}: cut off")
    return objects, roots


def types(path):
    objects, _ = read_dump(path)
    count, size = collections.Counter(), collections.Counter()
    for o in objects.values():
        name = o.kind if o.type == "-" else o.type
        count[name] += 1
        size[name] += o.size
    for name, n in size.most_common():
        print(f"{n:12} {count[name]:10} {name}")


def holder(objects, address):
    """The object that an address is in."""
    for start, o in objects.items():
        if start <= address < start + o.size:
            return start
    sys.exit(f"0x{address:x}: in no object that lives")


def why(path, address):
    objects, roots = read_dump(path)
    goal = holder(objects, int(address, 0))
    came = {}
    queue = collections.deque()
    for root in roots:
        if root.to not in came:
            came[root.to] = root
            queue.append(root.to)
    while queue and goal not in came:
        here = queue.popleft()
        for at, to in objects[here].pointers:
            if to not in came:
                came[to] = (here, at)
                queue.append(to)
    lines, here = [], goal
    while here in came:
        o = objects[here]
        lines.append(f"object 0x{here:x} {o.size} {o.kind} {o.type}")
        if isinstance(came[here], Root):
            r = came[here]
            whose = f" of goroutine {r.goroutine}" if r.goroutine else ""
            lines.append(f"root 0x{r.at:x}, {r.kind}{whose}")
            break
        here, at = came[here]
        lines.append(f"  at {at} in")
    print("\n".join(reversed(lines)) if lines else "nothing holds it")


def sites(path):
    counts = re.compile(r"(\d+): (\d+) \[(\d+): (\d+)\] @(.*)")
    found, site = [], None
    with open(path) as file:
        head = re.match(r"heap profile: .* heap_v2/(\d+)$", file.readline())
        if not head:
            sys.exit(f"{path}: no heap profile")
        rate = int(head.group(1))
        for line in file:
            match = counts.match(line)
            if match:
                site = [int(n) for n in match.groups()[:4]] + [[]]
                found.append(site)
            elif line.startswith("#\t") and site:
                site[4].append(line.split("\t")[2])
            elif line.startswith("MAPPED_LIBRARIES"):
                break

    def scaled(n, size):
        """A sample stands for so many as were not: 1 / its chance."""
        if not n or rate == 1:
            return size
        return int(size / (1 - math.exp(-size / n / rate)))

    found.sort(key=lambda s: -scaled(s[0], s[1]))
    for now, size, made, made_size, names in found:
        print(f"{scaled(now, size):12} of {scaled(made, made_size):12} bytes: "
              + " < ".join(names))


def main():
    commands = {"types": (types, 1), "why": (why, 2), "sites": (sites, 1)}
    fn, n = commands.get(sys.argv[1] if len(sys.argv) > 1 else "", (None, 0))
    if not fn or len(sys.argv) != 2 + n:
        sys.exit(__doc__)
    fn(*sys.argv[2:])


main()
