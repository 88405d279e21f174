"""The gauges of streams with asyncio's streams; with "uvloop" as well, on uvloop. Usage:
streams_python.py [uvloop] GAUGE PORT [FILE]

A quarter of the 1 GiB is sent, and downloads end after as much; the figures are for one KiB.
"""
import asyncio
import gc
import os
import ssl
import sys

from measure import Measure

TOTAL, SLICE, PIECE = 256 << 20, 32 << 20, 256 * 1024
ARGUMENTS = sys.argv[2:] if sys.argv[1] == "uvloop" else sys.argv[1:]
GAUGE, PORT = ARGUMENTS[:2]


def context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def connect(tls=None, limit=64 * 1024):
    return await asyncio.open_connection("127.0.0.1", PORT, ssl=tls, limit=limit)


async def send():
    _, writer = await connect()
    piece = bytes(PIECE)
    measure = Measure()
    for _ in range(TOTAL // SLICE):
        for _ in range(SLICE // PIECE):
            writer.write(piece)
            await writer.drain()
        measure.slice(SLICE / 1024)
    writer.transport.abort()
    measure.end()


async def send_file():
    _, writer = await connect()
    loop = asyncio.get_running_loop()
    with open(ARGUMENTS[2], "rb") as f:
        measure = Measure()
        for _ in range(TOTAL // SLICE):
            await loop.sendfile(writer.transport, f)
            measure.slice(SLICE / 1024)
    writer.transport.abort()
    measure.end()


async def download(tls):
    reader, writer = await connect(tls, PIECE)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    measure = Measure()
    for _ in range(TOTAL // SLICE):
        got = 0
        while got < SLICE:
            got += len(await reader.read(PIECE))
        measure.slice(got / 1024)
    writer.transport.abort()
    measure.end()


async def round_trips(stream, count):
    reader, writer = stream
    for _ in range(count):
        writer.write(b"x" * 100)
        await reader.readexactly(100)


async def pingpong():
    streams = [await connect() for _ in range(32)]
    measure = Measure()
    for _ in range(5):
        await asyncio.gather(*(round_trips(stream, 50) for stream in streams))
        measure.slice(32 * 50)
    measure.end()


def resident():
    gc.collect()
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


async def idle(tls, count):
    streams = [await connect(tls)]
    await round_trips(streams[0], 1)
    before = resident()
    for _ in range(count):
        streams.append(await connect(tls))
        await round_trips(streams[-1], 1)
    print(f"{(resident() - before) / count:.3f}", flush=True)
    os._exit(0)


GAUGES = {
    "send": send,
    "send_file": send_file,
    "download": lambda: download(None),
    "download_tls": lambda: download(context()),
    "pingpong32": pingpong,
    "idle": lambda: idle(None, 10000),
    "idle_tls": lambda: idle(context(), 1000),
}

if sys.argv[1] == "uvloop":
    import uvloop

    uvloop.install()
asyncio.run(GAUGES[GAUGE]())
