"""A WebSocket echo server whose master has opened the port and forks workers, which keep their own account of CPU.

Usage: prefork.py ACCOUNT WORKERS EVERY. Every so many messages (0: never) a worker starts a child that burns CPU, and
waits for its end. At each message a line goes to ACCOUNT: the worker, seconds of the monotonic clock, and seconds of CPU that
the worker and its ended children have used so far, by getrusage. The master holds 32 MB, of which each worker writes to a fourth.
"""
import base64
import hashlib
import json
import mmap
import os
import resource
import select
import socket
import sys
import time

WORKERS, EVERY = int(sys.argv[2]), int(sys.argv[3])
BURN_S = 0.008
PAGE = mmap.PAGESIZE
account = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

ballast = mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for page in range(0, len(ballast), PAGE):
    ballast[page] = 1


def used():
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def burn():
    child = os.fork()
    if child == 0:
        end = time.process_time() + BURN_S
        while time.process_time() < end:
            pass
        os._exit(0)
    os.waitpid(child, 0)


class Worker:
    def __init__(self):
        self.messages, self.rest = 0, {}

    def read(self, connection):
        data = connection.recv(65536)
        if not data:
            return False
        self.rest[connection] += data
        while self.step(connection):
            pass
        return True

    def step(self, connection):
        data = self.rest[connection]
        if data[:1].isalpha():
            head, end, self.rest[connection] = data.partition(b"\r\n\r\n")
            return bool(end) and self.request(connection, head.decode())
        if len(data) < 6 or (length := data[1] & 127) > 125 or len(data) < 6 + length:
            return False
        payload = bytes(byte ^ data[2 + at % 4] for at, byte in enumerate(data[6:6 + length]))
        self.rest[connection] = data[6 + length:]
        if data[0] & 15 < 8:
            os.write(account, b"%d %.9f %.6f\n" % (os.getpid(), time.monotonic(), used()))
            self.messages += 1
            if EVERY and self.messages % EVERY == 0:
                burn()
        connection.sendall(bytes([data[0], length]) + payload)
        return True

    def request(self, connection, head):
        key = [line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key")]
        if not key:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            return True
        digest = hashlib.sha1(key[0].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        accept = base64.b64encode(digest).decode()
        connection.sendall(
            f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        return True

    def run(self):
        own = bytearray(4 << 20)
        for page in range(0, len(ballast) // 4, PAGE):
            ballast[page], own[page % len(own)] = 2, 2
        while True:
            for ready in select.select([listener, *self.rest], [], [])[0]:
                if ready is listener:
                    try:
                        connection = listener.accept()[0]
                    except BlockingIOError:
                        continue
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.rest[connection] = b""
                elif not self.read(ready):
                    del self.rest[ready]
                    ready.close()


listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
listener.setblocking(False)
for _ in range(WORKERS):
    if os.fork() == 0:
        Worker().run()
address = "%s:%d" % listener.getsockname()
print(json.dumps({"ready": {"http": address, "pid": os.getpid()}}), flush=True)
os.wait()
