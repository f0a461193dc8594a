"""Takes a port and answers everything with success, for a while: a process that has nothing to do with the server.

usage: stranger.py PORT SECONDS
"""

import http.server
import sys
import threading


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answers)
threading.Timer(float(sys.argv[2]), server.shutdown).start()
server.serve_forever()
