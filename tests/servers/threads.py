"""A server of the contract's polls with a thread for each connection, which keeps its own account of CPU.

Usage: threads.py ACCOUNT. At each publish a line goes to ACCOUNT: the process, seconds of the monotonic clock, and seconds of
CPU that it has used so far, by getrusage, threads that have ended included.
"""
import json
import os
import resource
import socket
import sys
import threading
import time

news = threading.Condition()
events = []  # (topic, payload); the cursor is how many there are
account = open(sys.argv[1], "w", buffering=1)


def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def answer(out, status, fields="", body=b""):
    length = "" if status.startswith("204") else f"Content-Length: {len(body)}\r\n"
    out.write(f"HTTP/1.1 {status}\r\n{fields}{length}\r\n".encode() + body)
    out.flush()


def publish(topic, payload):
    with news:
        account.write(f"{os.getpid()} {time.monotonic():.9f} {used():.6f}\n")
        events.append((topic, payload))
        news.notify_all()


def poll(out, query):
    fields = dict(pair.split("=", 1) for pair in query.split("&"))
    with news:
        after = int(fields.get("after", len(events)))
        found = [payload for topic, payload in events[after:] if topic == fields["topic"]]
        cursor = f"Rtbench-Cursor: {len(events)}\r\n"
    body = b"".join(b"%d:%s," % (len(payload), payload) for payload in found)
    answer(out, "200 OK" if found else "204 No Content", cursor, body)


def serve(connection):
    with connection, connection.makefile("rb") as lines, connection.makefile("wb") as out:
        while True:
            words = lines.readline().decode().split()
            if not words:
                return
            method, path = words[:2]
            fields = {}
            while (line := lines.readline().strip()):
                name, _, value = line.decode().partition(":")
                fields[name.lower()] = value.strip()
            body = lines.read(int(fields.get("content-length", 0)))
            path, _, query = path.partition("?")
            if method == "POST":
                publish(path.rpartition("/")[2], body)
                answer(out, "204 No Content")
            elif path == "/poll":
                poll(out, query)
            elif path == "/healthz":
                answer(out, "200 OK", body=b"ok")
            else:
                answer(out, "404 Not Found")
            if fields.get("connection", "").lower() == "close":
                return


listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
address = "%s:%d" % listener.getsockname()
print(json.dumps({"ready": {"http": address, "pid": os.getpid()}}), flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
