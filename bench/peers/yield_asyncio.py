"""tasks.yield with asyncio; with "uvloop" as argument, on uvloop."""
import asyncio
import sys

from measure import Measure

SLICES, YIELDS = 10, 20000


async def yields():
    for _ in range(YIELDS // 2):
        await asyncio.sleep(0)


async def main():
    measure = Measure()
    for _ in range(SLICES):
        await asyncio.gather(yields(), yields())
        measure.slice(YIELDS)
    measure.end()


if "uvloop" in sys.argv:
    import uvloop

    uvloop.install()
asyncio.run(main())
