"""gdb commands for programs built on libasyncnet.

    (gdb) source gdb/asyncnet-gdb.py
    (gdb) an-tasks              the tasks of this thread's loop: what each waits for, who
                                spawned it, and where
    (gdb) an-task-bt N          where task N is; also on a core file of the kernel's (gcore
                                stops reading at the guards between stacks)
    (gdb) an-task-bt all

Needs the library's debug information (-g). A backtrace is unwound from what the stack switch
saved, so nothing in the program is changed; x86-64 and aarch64 with the assembly switch.
"""

import gdb
import gdb.unwinder

# The stack pointer, the program counter and the frame pointer, by architecture.
REGISTERS = {"i386:x86-64": ("rsp", "rip", "rbp"), "aarch64": ("sp", "pc", "x29")}


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


def name_of(task):
    if not task["named"]:
        return "task-%d" % int(task["serial"])
    return task["name"].string()


def is_running(task):
    return int(task["loop"]["current"]) == int(task)


def state_of(task):
    state = str(task["state"].cast(gdb.lookup_type("enum an__task_state")))
    state = state.replace("AN__TASK_", "").lower()
    if is_running(task):
        state = "running"
    if int(task["cancel_requests"]) > 0:
        state += ", cancelled"
    return state


def waits_for(task):
    """What a parked task waits for; else nothing."""
    if not state_of(task).startswith("parked") or int(task["waiter"]) == 0:
        return ""
    return "for " + task["waiter"]["kind"]["what"].string()


def parent_of(task, by_address):
    """The task that spawned it, unless that is gone and its memory a younger one's."""
    parent = by_address.get(int(task["parent"]))
    if parent is not None and int(parent["serial"]) < int(task["serial"]):
        return "by %s " % name_of(parent)
    return ""


def place(address):
    """A function and a line."""
    text = gdb.execute("info symbol %#x" % int(address), to_string=True).split(" in section")[0]
    line = gdb.find_pc_line(int(address) - 1)
    if line.symtab:
        text += " (%s:%d)" % (line.symtab.filename, line.line)
    return text.strip()


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
        sp, pc, fp = REGISTERS[arch_name()]
        if int(pending.read_register(sp)) != self.at:
            return None
        context = self.task["ctx"]
        # The frame is said to lie on the task's stack: gdb takes an outer frame at a lower address
        # for a corrupt stack.
        info = pending.create_unwind_info(SavedFrame(context["sp"], pending.read_register(pc)))
        info.add_saved_register(sp, context["sp"])
        info.add_saved_register(pc, context["pc"])
        info.add_saved_register(fp, context["fp"])
        return info


UNWINDER = ParkedUnwinder()
gdb.unwinder.register_unwinder(None, UNWINDER, replace=True)


def arch_name():
    return gdb.selected_inferior().architecture().name()


def backtrace(task):
    """The backtrace of a task that does not run now."""
    newest = gdb.newest_frame()
    UNWINDER.at = int(newest.read_register(REGISTERS[arch_name()][0]))
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
    """List the tasks of this thread's loop: number, address, state, name, what it waits for,
    the task that spawned it, and where."""

    def __init__(self):
        super().__init__("an-tasks", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        every = list(tasks(current_loop()))
        by_address = {int(task): task for task in every}
        for n, task in enumerate(every):
            print("%4d  %#x  %-16s %-20s %s" % (
                n, int(task), name_of(task), state_of(task), waits_for(task)))
            print("      spawned %sat %s" % (
                parent_of(task, by_address), place(task["spawned_at"])))


class TaskBacktrace(gdb.Command):
    """Show where a task is: an-task-bt N, as an-tasks numbers them, or an-task-bt all."""

    def __init__(self):
        super().__init__("an-task-bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        if arch_name() not in REGISTERS:
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
            self.show(n, every[n])

    def show(self, n, task):
        state = state_of(task)
        print("task %d, %s: %s %s" % (n, name_of(task), state, waits_for(task)))
        if is_running(task):
            gdb.execute("backtrace")
        elif state.startswith(("new", "done", "spare")):
            print("    (no frames)")
        elif "sp" not in [f.name for f in task["ctx"].type.fields()]:
            raise gdb.GdbError("this build switches with swapcontext")
        else:
            print(backtrace(task))


Tasks()
TaskBacktrace()
