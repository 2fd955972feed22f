# SPDX-License-Identifier: LGPL-2.1-or-later
"""Goroutines in gdb, of a running process or of a core file.

	(gdb) info goroutines
	(gdb) goroutine 7 bt
	(gdb) goroutine all bt

Each program that has the library in it carries this text: gdb loads it by
itself where the program's folder is in `auto-load safe-path', else
`source burrow-gdb.py'.

A goroutine that runs is shown by gdb itself: it is a thread's stack. Those that
do not are found in the library's slabs, which takes its debug information, and
walked from what the context switch saved: an unwinder that answers for the
innermost frame says that its caller is the goroutine's. What is saved of a stack
that hibernates is read in a copy, which a function of the library makes in the
process (a core file has it in its place): to look at a stack puts nobody back.
"""

import gdb
import gdb.unwinder

STATES = ["free", "runnable", "running", "waiting"]

# Where the context switch saves registers (arch/*/switch.S), and its size.
SAVED = {
    "i386:x86-64": (64, {"r15": 8, "r14": 16, "r13": 24, "r12": 32, "rbx": 40,
                         "rbp": 48, "rip": 56}, "rip", "rsp"),
    "aarch64": (176, dict([("x%d" % r, 8 * (r - 19)) for r in range(19, 30)],
                          pc=88), "pc", "sp"),
}


def word(address):
    kind = gdb.lookup_type("unsigned long")
    return int(gdb.Value(address).cast(kind.pointer()).dereference())


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class ParkedUnwinder(gdb.unwinder.Unwinder):
    """Puts a parked goroutine in the place of the innermost frame's caller."""

    def __init__(self):
        super().__init__("burrow")
        self.context = None
        self.top = None

    def show(self, context):
        self.context = None
        gdb.invalidate_cached_frames()
        if context is not None:
            name = gdb.newest_frame().architecture().name()
            self.top = int(gdb.newest_frame().read_register(SAVED[name][3]))
            self.context = context
            gdb.invalidate_cached_frames()

    def __call__(self, pending):
        if self.context is None:
            return None
        name = pending.architecture().name()
        size, registers, pc, sp = SAVED[name]
        if int(pending.read_register(sp)) != self.top:
            return None
        kind = pending.read_register(pc).type
        # gdb wants callers to lie above: the frame claims to be down there.
        stack = gdb.Value(self.context).cast(pending.read_register(sp).type)
        info = pending.create_unwind_info(
            FrameId(stack, pending.read_register(pc)))
        long = gdb.lookup_type("unsigned long")
        for register, offset in registers.items():
            value = gdb.Value(word(self.context + offset))
            if register == pc:
                value = value.cast(kind)
            else:
                value = value.cast(long)
            info.add_saved_register(register, value)
        info.add_saved_register(sp, stack + size)
        return info


unwinder = ParkedUnwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)


def goroutines():
    slab = gdb.parse_and_eval("burrow_runtime.slabs")
    found = []
    while int(slab):
        for i in range(int(slab["used"])):
            g = slab["g"][i]
            if int(g["state"]):
                found.append(g)
        slab = slab["next"]
    return sorted(found, key=lambda g: int(g["id"]))


def runners():
    """The kernel's thread ids by the addresses of goroutines that run."""
    found = {}
    thread = gdb.parse_and_eval("burrow_runtime.threads")
    while int(thread):
        found[int(thread["current"])] = int(thread["tid"])
        thread = thread["next"]
    return found


def reason(g):
    try:
        table = gdb.parse_and_eval("'goroutine.c'::reasons")
        return table[int(g["reason"])].string()
    except gdb.error:
        return "waiting"


def waited(g):
    clock = int(gdb.parse_and_eval("burrow_runtime.clock"))
    ms = max(clock - int(g["parked_at"]), 0)
    if ms < 1000:
        return "%d ms" % ms
    return "%d seconds" % (ms // 1000) if ms < 120000 else \
        "%d minutes" % (ms // 60000)


def title(g):
    state = STATES[int(g["state"])]
    if state == "waiting":
        state = "%s, %s" % (reason(g), waited(g))
    elif state == "runnable" and not int(g["stack"]["arena"]):
        state = "runnable, not started"
    if int(g["bound"]):
        state += ", locked to thread"
    name = " (%s)" % g["name"].string() if int(g["name"]) else ""
    return "goroutine %d%s [%s]:" % (int(g["id"]), name, state)


def thread_backtrace(tid):
    before = gdb.selected_thread()
    for thread in gdb.selected_inferior().threads():
        if tid in thread.ptid[1:]:
            thread.switch()
            gdb.execute("backtrace")
            before.switch()
            return
    print("  its thread %d is not there" % tid)


def look(g):
    """Where what a goroutine's switch saved can be read without touching its stack."""
    context = int(g["context"])
    if not int(g["stack"]["arena"]["pool"]["hibernated"]):
        return context
    locking = gdb.parameter("scheduler-locking")
    try:
        # The other threads stay where they are.
        gdb.execute("set scheduler-locking on", to_string=True)
        return int(gdb.parse_and_eval(
            "(unsigned long)burrow_debug_look((void *)%d, (void *)%d)" %
            (int(g["stack"].address), context)))
    except gdb.error:
        return context  # a core file: nothing can be called
    finally:
        try:
            gdb.execute("set scheduler-locking " + locking, to_string=True)
        except gdb.error:
            pass


def backtrace(g):
    if int(g["state"]) == STATES.index("running"):
        thread_backtrace(runners().get(int(g.address), 0))
        return
    if not int(g["stack"]["arena"]):
        return
    selected = gdb.selected_frame().level()
    unwinder.show(look(g))
    try:
        lines = gdb.execute("backtrace", to_string=True).splitlines()
    finally:
        unwinder.show(None)
        gdb.execute("frame %d" % selected, to_string=True)
    # The thread's own innermost frame is none of the goroutine's.
    seen = False
    for line in lines:
        seen = seen or line.startswith("#1 ")
        if seen:
            print(line)


class InfoGoroutines(gdb.Command):
    """List all goroutines."""

    def __init__(self):
        super().__init__("info goroutines", gdb.COMMAND_STACK)

    def invoke(self, arg, from_tty):
        for g in goroutines():
            print(title(g))


class Goroutine(gdb.Command):
    """goroutine ID|all bt: the backtrace of one goroutine, or of each."""

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK)

    def invoke(self, arg, from_tty):
        words = gdb.string_to_argv(arg)
        if len(words) != 2 or words[1] not in ("bt", "backtrace"):
            raise gdb.GdbError("usage: goroutine ID|all bt")
        some = [g for g in goroutines()
                if words[0] == "all" or words[0] == str(int(g["id"]))]
        if not some and words[0] != "all":
            raise gdb.GdbError("no goroutine %s: see info goroutines" %
                               words[0])
        for g in some:
            print(title(g))
            backtrace(g)


InfoGoroutines()
Goroutine()
