"""A contract server that burns a known time for each delivery, on one thread, and writes down when it made each.

known_capacity.py MICROSECONDS LOG: prints its Ready line; LOG gets a line for each delivery, the time in seconds since 1970.
It speaks as much of the contract as broadcast over WebSocket, SSE and long polling needs.
"""
import asyncio
import base64
import collections
import hashlib
import json
import os
import signal
import struct
import sys
import time
import urllib.parse

BURN_S = float(sys.argv[1]) / 1e6
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
followers = collections.defaultdict(list)
waiting = collections.deque()
wake = asyncio.Event()
made = []


def burn():
    end = time.perf_counter() + BURN_S
    while time.perf_counter() < end:
        pass


class Stream:
    """A subscriber over a connection that stays: each event is written as `frame` makes it."""

    def __init__(self, writer, frame):
        self.writer, self.frame = writer, frame

    def deliver(self, number, payload):
        self.writer.write(self.frame(number, payload))


class Poller:
    """A subscriber that asks: events wait for its next question."""

    def __init__(self):
        self.events, self.arrived = [], asyncio.Event()

    def deliver(self, number, payload):
        self.events.append(b"%d:%s," % (len(payload), payload))
        self.arrived.set()


def websocket_frame(_, payload):
    length = len(payload)
    head = bytes([0x81, length]) if length < 126 else b"\x81\x7e" + struct.pack(">H", length)
    return head + payload


def sse_chunk(number, payload):
    event = b"id: %d\ndata: %s\n\n" % (number, payload)
    return b"%x\r\n%s\r\n" % (len(event), event)


async def deliver():
    """One delivery after the other, and room for what else is to be done between them."""
    number = 0
    while True:
        if not waiting:
            wake.clear()
            await wake.wait()
        topic, payload = waiting.popleft()
        number += 1
        for follower in followers[topic]:
            burn()
            follower.deliver(number, payload)
            made.append(time.time())
            await asyncio.sleep(0)


def publish(topic, payload):
    waiting.append((topic, payload))
    wake.set()


async def websocket(reader, writer, query, fields):
    key = fields["sec-websocket-key"].encode()
    accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest()).decode()
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    if "topic" in query:
        followers[query["topic"]].append(Stream(writer, websocket_frame))
    while True:
        first, length = await reader.readexactly(2)
        length &= 127
        if length == 126:
            (length,) = struct.unpack(">H", await reader.readexactly(2))
        mask = await reader.readexactly(4)
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(await reader.readexactly(length)))
        if first & 15 == 8:
            writer.write(b"\x88\x00")
            return
        if first & 15 == 1:
            publish(query["publish"], payload)


async def poll(writer, query, pollers, peer):
    poller = pollers.get(peer)
    if poller is None:
        poller = pollers[peer] = Poller()
        followers[query["topic"]].append(poller)
    elif not poller.events:
        poller.arrived.clear()
        await poller.arrived.wait()
    body = b"".join(poller.events)
    poller.events.clear()
    if body:
        writer.write(b"HTTP/1.1 200 OK\r\nRtbench-Cursor: c\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    else:
        writer.write(b"HTTP/1.1 204 No Content\r\nRtbench-Cursor: c\r\n\r\n")


async def connection(reader, writer):
    pollers = {}
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
            method, target, _ = head[0].split(" ")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            path, _, text = target.partition("?")
            query = dict(urllib.parse.parse_qsl(text, keep_blank_values=True))
            if method == "POST":
                publish(path.removeprefix("/topics/"), await reader.readexactly(int(fields["content-length"])))
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            elif path == "/ws":
                return await websocket(reader, writer, query, fields)
            elif path == "/poll":
                await poll(writer, query, pollers, writer.get_extra_info("peername"))
            elif path == "/sse":
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"7\r\nid: 0\n\n\r\n"
                )
                followers[query["topic"]].append(Stream(writer, sse_chunk))
                await reader.read()
                return None
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            if fields.get("connection", "").lower() == "close":
                return None
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(connection, "127.0.0.1", 0, backlog=1024)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    task = asyncio.ensure_future(deliver())
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"ready": {"http": f"127.0.0.1:{port}", "pid": os.getpid()}}), flush=True)
    await stop.wait()
    task.cancel()
    with open(sys.argv[2], "w", encoding="ascii") as log:
        log.writelines(f"{at:.6f}\n" for at in made)


asyncio.run(main())
