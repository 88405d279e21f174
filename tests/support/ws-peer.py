"""The other side of tests/integration/test-ws-peer.c, by Debian's python3-websockets.

ws-peer.py server        echoes; prints its port, ends when standard input does
ws-peer.py client URL    talks to an echo server; prints "ok"
"""
import asyncio
import sys

import websockets


async def echo(ws, path=None):
    async for message in ws:
        if message == "goodbye":
            await ws.close(4001, "as you wish")
            return
        await ws.send(message)


async def serve():
    async with websockets.serve(echo, "127.0.0.1", 0, subprotocols=["chat"]) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def talk(url):
    async with websockets.connect(url, subprotocols=["chat"]) as ws:
        for size in (0, 1, 125, 126, 65535, 65536, 1 << 20):
            for message in ("é" * (size // 2), b"\xff" * size):
                await ws.send(message)
                assert await ws.recv() == message, size
        await ws.send(["frag", "", "ments"])
        assert await ws.recv() == "fragments"
        await asyncio.gather(*[ws.send(str(i)) for i in range(1000)])
        for i in range(1000):
            assert await ws.recv() == str(i)
        await (await ws.ping(b"are you there"))
        await ws.close(1000, "done")
        assert ws.close_code == 1000, ws.close_code
    async with websockets.connect(url) as ws:
        await ws.send(b"x" * ((1 << 20) + 1))
        try:
            await ws.recv()
        except websockets.ConnectionClosed as e:
            assert e.rcvd.code == 1009, e
    print("ok", flush=True)


if __name__ == "__main__":
    asyncio.run(serve() if sys.argv[1] == "server" else talk(sys.argv[2]))
