"""The tasks gauges with asyncio; with "uvloop" as well, on uvloop. Usage: tasks_asyncio.py [uvloop]
GAUGE

There is no unbuffered queue: tasks.rendezvous uses one of capacity 1. A scope is asyncio.timeout().
A tenth of a million tasks sleep; the figure is for one of them.
"""
import asyncio
import os
import random
import sys

from measure import Measure

SLICES = 5


async def measured(operations, body):
    measure = Measure()
    for _ in range(SLICES):
        await body()
        measure.slice(operations)
    measure.end()


async def yields(tasks, total=10000):
    async def body():
        for _ in range(total // tasks):
            await asyncio.sleep(0)

    await measured(total, lambda: asyncio.gather(*(body() for _ in range(tasks))))


async def spawn_join():
    async def nothing():
        pass

    async def batches():
        for _ in range(3):
            for task in [asyncio.create_task(nothing()) for _ in range(1000)]:
                await task

    await measured(3000, batches)


async def queue(capacity, items=3000):
    q = asyncio.Queue(capacity)

    async def puts():
        for i in range(items):
            await q.put(i)

    async def gets():
        for _ in range(items):
            await q.get()

    await measured(items, lambda: asyncio.gather(gets(), puts()))


async def mutex(locks=2000):
    lock = asyncio.Lock()

    async def body():
        for _ in range(locks // 4):
            async with lock:
                await asyncio.sleep(0)

    await measured(locks, lambda: asyncio.gather(*(body() for _ in range(4))))


async def timer100k(timers=100000, moves=10000):
    loop = asyncio.get_running_loop()
    start = loop.time()

    def add():
        return loop.call_at(start + 10 + 60 * random.random(), print)

    live = [add() for _ in range(timers)]

    async def body():
        for _ in range(moves):
            i = int(random.random() * timers)
            live[i].cancel()
            live[i] = add()

    await measured(moves, body)
    end()


async def scope(scopes=5000):
    async def body():
        for _ in range(scopes):
            async with asyncio.timeout(10):
                pass

    await measured(scopes, body)


def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1024


async def sleep1m(tasks=100000):
    before = resident()
    kept = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(tasks)]
    await asyncio.sleep(0)
    print(f"{(resident() - before) / len(kept):.3f}")
    end()


def end():
    """To cancel what is left would take longer than to measure it."""
    sys.stdout.flush()
    os._exit(0)


GAUGES = {
    "yield": lambda: yields(2),
    "yield1000": lambda: yields(1000),
    "spawn_join": spawn_join,
    "rendezvous": lambda: queue(1),
    "queue64": lambda: queue(64),
    "mutex": mutex,
    "timer100k": timer100k,
    "scope": scope,
    "sleep1m": sleep1m,
}

if "uvloop" in sys.argv:
    import uvloop

    uvloop.install()
asyncio.run(GAUGES[sys.argv[-1]]())
