"""gdb commands for programs built on libasyncnet.

    (gdb) source gdb/asyncnet-gdb.py
    (gdb) an-tasks              the tasks of this thread's loop
    (gdb) an-task-bt N          where task N is; also on a core file of the kernel's (gcore
                                stops reading at the guards between stacks)
    (gdb) an-task-bt all

Needs the library's debug information (-g). A backtrace is unwound from what the stack switch
saved, so nothing in the program is changed; x86-64 with the assembly switch.
"""

import gdb
import gdb.unwinder

# Offsets from the saved stack pointer of a parked task, as src/loop/core/ctx-x86_64.S pushes
# them, and the size of the frame.
SAVED = {"r15": 8, "r14": 16, "r13": 24, "r12": 32, "rbx": 40, "rbp": 48, "rip": 56}
FRAME_SIZE = 64


def current_loop():
    try:
        loop = gdb.parse_and_eval("an__current_loop")
    except gdb.error as e:
        raise gdb.GdbError("no debug information of libasyncnet: %s" % e)
    if int(loop) == 0:
        raise gdb.GdbError("this thread runs no loop; change to one that does (thread N)")
    return loop


def tasks(loop):
    """The loop's tasks, oldest first."""
    task_type = gdb.lookup_type("struct an_task")
    offset = next(f.bitpos // 8 for f in task_type.fields() if f.name == "all")
    head = loop["tasks"].address
    node = loop["tasks"]["next"]
    while int(node) != int(head):
        yield gdb.Value(int(node) - offset).cast(task_type.pointer())
        node = node["next"]


def state_of(task):
    state = str(task["state"]).replace("AN__TASK_", "").lower()
    if state == "parked" and int(task["cancel_requests"]) > 0:
        state += ", cancelled"
    return state


class SavedFrame:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class ParkedUnwinder(gdb.unwinder.Unwinder):
    """While a task is set, what called the innermost frame is that task."""

    def __init__(self):
        super().__init__("libasyncnet-parked")
        self.task = None
        self.at = None

    def __call__(self, pending):
        if self.task is None:
            return None
        sp = int(pending.read_register("rsp"))
        if sp != self.at:
            return None
        saved = int(self.task["ctx"]["sp"])
        word = gdb.lookup_type("unsigned long")
        pc = pending.read_register("rip")
        # The frame is said to lie on the task's stack: gdb takes an outer frame at a lower address
        # for a corrupt stack.
        info = pending.create_unwind_info(SavedFrame(gdb.Value(saved), pc))
        for name, offset in SAVED.items():
            value = gdb.Value(saved + offset).cast(word.pointer()).dereference()
            info.add_saved_register(name, value)
        info.add_saved_register("rsp", gdb.Value(saved + FRAME_SIZE))
        return info


UNWINDER = ParkedUnwinder()
gdb.unwinder.register_unwinder(None, UNWINDER, replace=True)


def arch_name():
    return gdb.selected_inferior().architecture().name()


def backtrace(task):
    """The backtrace of a task that does not run now."""
    newest = gdb.newest_frame()
    UNWINDER.at = int(newest.read_register("rsp"))
    UNWINDER.task = task
    try:
        gdb.invalidate_cached_frames()
        text = gdb.execute("backtrace", to_string=True)
    finally:
        UNWINDER.task = None
        gdb.invalidate_cached_frames()
    # The first frame is the thread's own, from which gdb was led astray.
    lines = text.splitlines()
    while lines and not lines[0].startswith("#1 "):
        lines.pop(0)
    return "\n".join(lines)


class Tasks(gdb.Command):
    """List the tasks of this thread's loop: number, address, state, name, function."""

    def __init__(self):
        super().__init__("an-tasks", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        for n, task in enumerate(tasks(current_loop())):
            print("%4d  %#x  %-18s %-24s %s" % (
                n, int(task), state_of(task), task["name"].string(),
                task["fn"].format_string(styling=False)))


class TaskBacktrace(gdb.Command):
    """Show where a task is: an-task-bt N, as an-tasks numbers them, or an-task-bt all."""

    def __init__(self):
        super().__init__("an-task-bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        if arch_name() != "i386:x86-64":
            raise gdb.GdbError("backtraces of tasks: not on this architecture")
        every = list(tasks(current_loop()))
        argument = argument.strip()
        if argument == "all":
            chosen = range(len(every))
        elif argument.isdigit() and int(argument) < len(every):
            chosen = [int(argument)]
        else:
            raise gdb.GdbError("usage: an-task-bt N, or all; %d tasks" % len(every))
        for n in chosen:
            task = every[n]
            print("task %d, %s: %s" % (n, task["name"].string(), state_of(task)))
            state = state_of(task)
            if state == "running":
                gdb.execute("backtrace")
            elif state in ("new", "done"):
                print("    (no frames)")
            elif "sp" not in [f.name for f in task["ctx"].type.fields()]:
                raise gdb.GdbError("this build switches with swapcontext")
            else:
                print(backtrace(task))


Tasks()
TaskBacktrace()
