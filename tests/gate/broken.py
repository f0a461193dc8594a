"""Stands before a sound server and breaks what comes from it.

usage: broken.py HOW PROGRAM ARGUMENT...

PROGRAM prints a Ready line; so does this. HOW is what becomes of it: 'corrupt' changes the checksum of every 20th
payload, 'die' ends with exit code 1 behind the 200th, 'kill' is killed there, 'refuse' turns the third connection of a
WebSocket and all later ones away, 'foreign' knows of no WebSocket.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys

HOW, COMMAND = sys.argv[1], sys.argv[2:]
CHECKSUM = re.compile(rb'"([0-9a-f]{8})"\]')
counted = {"payloads": 0, "sockets": 0}


def payload(match):
    counted["payloads"] += 1
    if HOW in ("die", "kill") and counted["payloads"] == 200:
        print("out of luck", file=sys.stderr, flush=True)
        if HOW == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(1)
    if HOW == "corrupt" and counted["payloads"] % 20 == 0:
        return b'"' + bytes(b ^ 1 if b in b"0123456789" else b"0"[0] for b in match.group(1)) + b'"]'
    return match.group(0)


async def pass_on(reader, writer, change):
    try:
        while data := await reader.read(65536):
            writer.write(change(data))
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def serve(client, to_client):
    first = await client.read(65536)
    if HOW == "refuse" and b"upgrade: websocket" in first.lower():
        counted["sockets"] += 1
        if counted["sockets"] > 2:
            to_client.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return to_client.close()
    if HOW == "foreign" and b"upgrade: websocket" in first.lower():
        to_client.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\nConnection: close\r\n\r\nno such page")
        return to_client.close()
    server, to_server = await asyncio.open_connection(*behind)
    to_server.write(first)
    await asyncio.gather(
        pass_on(client, to_server, lambda data: data),
        pass_on(server, to_client, lambda data: CHECKSUM.sub(payload, data)),
    )


async def main():
    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    print(json.dumps({"ready": {"http": f"127.0.0.1:{port}"}}), flush=True)
    await listener.serve_forever()


sound = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
address = json.loads(sound.stdout.readline())["ready"]["http"]
behind = address.rsplit(":", 1)
asyncio.run(main())
