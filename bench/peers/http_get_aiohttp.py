"""http.get32 with aiohttp: 32 tasks over keep-alive connections. Usage: http_get_aiohttp.py PORT"""
import asyncio
import sys

import aiohttp

from measure import Measure

SLICES, REQUESTS, CONNECTIONS = 5, 640, 32


async def gets(session, url):
    for _ in range(REQUESTS // CONNECTIONS):
        async with session.get(url) as response:
            await response.read()


async def main():
    url = f"http://127.0.0.1:{sys.argv[1]}/"
    measure = Measure()
    async with aiohttp.ClientSession() as session:
        for _ in range(SLICES):
            await asyncio.gather(*(gets(session, url) for _ in range(CONNECTIONS)))
            measure.slice(REQUESTS)
    measure.end()


asyncio.run(main())
