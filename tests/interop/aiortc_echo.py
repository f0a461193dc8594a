#!/usr/bin/env python3
"""Talks to a running server over data channels with aiortc, an implementation that shares no code with ours.

usage: aiortc_echo.py http://127.0.0.1:PORT

Prints OK if an echo (text and binary, ordered and not) and a subscription work as the contract says.
"""

import asyncio
import json
import sys
import urllib.request

import aioice.ice
from aiortc import RTCPeerConnection, RTCSessionDescription

# aioice leaves out loopback, and the server under test is nowhere else.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]

PATIENCE_S = 10


async def post(url, body, content_type):
    request = urllib.request.Request(url, data=body, headers={"Content-Type": content_type}, method="POST")
    # An opener without handlers for proxies: the environment may name one.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def send():
        with opener.open(request, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read()

    return await asyncio.to_thread(send)


class Channel:
    """One peer connection with one open channel."""

    @classmethod
    async def open(cls, server, query, **options):
        self = cls()
        self.peer = RTCPeerConnection()
        self.inbox = asyncio.Queue()
        opened = asyncio.get_running_loop().create_future()
        self.channel = self.peer.createDataChannel("aiortc", **options)
        self.channel.on("open", lambda: opened.set_result(None))
        self.channel.on("message", self.inbox.put_nowait)
        await self.peer.setLocalDescription(await self.peer.createOffer())
        offer = self.peer.localDescription.sdp.encode()
        status, answer = await post(f"{server}/rtc?{query}", offer, "application/sdp")
        assert status == 201, status
        await self.peer.setRemoteDescription(RTCSessionDescription(sdp=answer.decode(), type="answer"))
        await asyncio.wait_for(opened, PATIENCE_S)
        return self

    def send(self, message):
        self.channel.send(message)

    async def expect(self, message):
        try:
            got = await asyncio.wait_for(self.inbox.get(), PATIENCE_S)
        except asyncio.TimeoutError:
            raise AssertionError(f"nothing came in place of {message[:80]!r}") from None
        assert got == message, f"expected {message[:80]!r}, got {got[:80]!r}"

    async def close(self):
        await self.peer.close()


async def echo(server):
    messages = ["text", "grüße", b"binary", b"\x00" * 60_000, "x" * 60_000]
    messages += [f"message {i}" for i in range(100)]
    channel = await Channel.open(server, "echo=1")
    for message in messages:
        channel.send(message)
    for message in messages:
        await channel.expect(message)
    await channel.close()


async def echo_unordered(server):
    channel = await Channel.open(server, "echo=1", ordered=False, maxRetransmits=0)
    channel.send(b"one")
    await channel.expect(b"one")
    await channel.close()


async def two_channels(server):
    first = await Channel.open(server, "echo=1")
    second = first.peer.createDataChannel("second", ordered=False)
    opened, inbox = asyncio.Event(), asyncio.Queue()
    second.on("open", opened.set)
    second.on("message", inbox.put_nowait)
    await asyncio.wait_for(opened.wait(), PATIENCE_S)
    second.send("to the second")
    first.send("to the first")
    assert await asyncio.wait_for(inbox.get(), PATIENCE_S) == "to the second"
    await first.expect("to the first")
    second.close()
    first.send("still open")
    await first.expect("still open")
    await first.close()


async def subscription(server):
    subscriber = await Channel.open(server, "topic=interop")
    publisher = await Channel.open(server, "publish=interop")
    for i in range(20):
        publisher.send(f"event {i}")
    for i in range(20):
        await subscriber.expect(f"event {i}")
    status, _ = await post(f"{server}/topics/interop", b"\x01\x02", "application/octet-stream")
    assert status == 204, status
    await subscriber.expect(b"\x01\x02")
    subscriber.send(json.dumps({"op": "subscribe", "topics": ["interop.2"]}, separators=(",", ":")))
    answer = json.loads(await asyncio.wait_for(subscriber.inbox.get(), PATIENCE_S))
    assert answer["op"] == "subscribe" and answer["cursor"], answer
    await post(f"{server}/topics/interop.2", b"second topic", "text/plain")
    await subscriber.expect("second topic")
    await subscriber.close()
    await publisher.close()


async def main(server):
    await echo(server)
    await echo_unordered(server)
    await two_channels(server)
    await subscription(server)
    print("OK")


asyncio.run(main(sys.argv[1]))
