"""An endpoint on loopback that takes any request and answers with 200."""
import http.server
import threading


class Endpoint(http.server.ThreadingHTTPServer):
    """What it answers is `headers` and `body`; what it was sent is in `requests`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests, self.headers, self.body = [], {}, b""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def take(self):
        taken, self.requests = self.requests, []
        return taken


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def sent(self):
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while length := int(self.rfile.readline(), 16):
            body += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def do(self):
        if self.headers.get("expect"):
            self.send_response_only(100)
            self.end_headers()
        body = self.sent()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.command, self.path, headers, body))
        self.send_response(200)
        for name, text in self.server.headers.items():
            if name.lower() != "content-length":
                self.send_header(name, text)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(self.server.body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = do
