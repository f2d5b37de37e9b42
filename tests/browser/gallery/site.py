"""A small real server for the dashboard's script: one page with forms, a list and a stream."""

from __future__ import annotations

import json
import queue
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.browser.gallery.render import WEB, context, environment

PAGE_SIZE = 20
POLICY = (
    "default-src 'self'; script-src 'self' 'nonce-gallery'; style-src 'self'; "
    "img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
FORBIDDEN = {"status": 403, "title": "Not allowed", "detail": "Viewers only read.", "hint": "Ask."}
LOGIN = "<!doctype html><title>Log in</title><link rel='stylesheet' href='/app.css'>"
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Site:
    """What the server knows; tests change it and look at it."""

    def __init__(self) -> None:
        self.things = [f"thing-{number:03}" for number in range(45)]
        self.note = ""
        self.picked: dict[str, list[str]] = {}
        self.flash: list[tuple[str, ...]] = []
        self.logged_out = False
        self.streams: list[queue.Queue[str | None]] = []
        self.requests: list[str] = []
        """For pages, once what they show is decided."""
        self.templates = environment()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: Handler(self, *given))
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def announce(self, topic: str) -> None:
        for stream in self.streams:
            stream.put(f"data: {json.dumps({'topic': topic, 'id': None})}\n\n")

    def cut_streams(self) -> None:
        for stream in self.streams:
            stream.put(None)
        self.streams = []

    def close(self) -> None:
        self.cut_streams()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def page(self, query: dict[str, list[str]], fragment: bool, **extra: object) -> str:
        words = query.get("q", [""])[0]
        start = int(query.get("cursor", ["0"])[0])
        found = [thing for thing in self.things if words in thing]
        end = start + PAGE_SIZE
        values = context(datetime.now(UTC)) | {
            "layout": "fragment.html" if fragment else "shell.html",
            "q": words,
            "things": found[start:end],
            "total": len(found),
            "next_href": f"/?q={words}&cursor={end}" if end < len(found) else None,
            "note": self.note,
            "name": None,
            "errors": {},
            "flash": [self.flash.pop(0) for _ in list(self.flash)],
        }
        return self.templates.get_template("playground.html").render(values | extra)


class Handler(BaseHTTPRequestHandler):
    def __init__(self, site: Site, *given: object) -> None:
        self.site = site
        super().__init__(*given)  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        """Tests look at Site.requests instead."""

    @property
    def fragment(self) -> bool:
        return self.headers.get("Groupline-Fragment") == "1"

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/api/v1/events":
            self.stream()
        elif (file := WEB / "static" / path.removeprefix("/")).is_file():
            self.answer(200, file.read_text(), KINDS[file.suffix])
        elif path == "/login":
            self.answer(200, LOGIN)
        elif self.site.logged_out:
            self.redirect("/login")
        else:
            content = self.site.page(query, self.fragment)
            self.site.requests.append(self.path)  # what a test changes from now on is not in it
            self.answer(200, content)

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        form = parse_qs(self.rfile.read(size).decode(), keep_blank_values=True)
        actions = {
            "/add": self.add,
            "/note": self.write_note,
            "/pick": self.pick,
            "/drop": self.drop,
        }
        action = actions[self.path]
        if self.site.logged_out:
            self.redirect("/login")
        else:
            action(form)

    def add(self, form: dict[str, list[str]]) -> None:
        name = form["name"][0]
        if name == "gateway-down":
            self.problem(502, "The gateway refused.", "Check its key.", {})
        elif name == "forbidden":
            values = context(datetime.now(UTC)) | {"problem": FORBIDDEN, "back": None}
            error = self.site.templates.get_template("errors/problem.html")
            self.answer(403, error.render(values))
        elif name == "vanish":
            self.close_connection = True
        elif not name:
            errors = {"name": "Give it a name."}
            self.answer(422, self.site.page({}, self.fragment, name=name, errors=errors))
        else:
            self.site.things.insert(0, name)
            self.site.flash.append(("success", f"Added {name}."))
            self.redirect("/elsewhere" if name == "elsewhere" else "/")

    def write_note(self, form: dict[str, list[str]]) -> None:
        if form["note"][0] == "bad":
            self.problem(422, "Nothing was saved.", None, {"note": "Not this word."})
            return
        self.site.note = "" if "forget" in form else form["note"][0]
        self.site.flash.append(("success", "Note saved."))
        self.redirect("/")

    def pick(self, form: dict[str, list[str]]) -> None:
        self.site.picked = form
        self.site.flash.append(("success", "Picked."))
        self.redirect("/")

    def drop(self, form: dict[str, list[str]]) -> None:
        self.site.things.remove(form["name"][0])
        self.site.flash.append(("success", "Dropped."))
        self.redirect("/")

    def stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        lines: queue.Queue[str | None] = queue.Queue()
        self.wfile.write(b"retry: 200\n\n")
        self.wfile.flush()
        self.site.streams.append(lines)
        while (line := lines.get()) is not None:
            self.wfile.write(line.encode())
            self.wfile.flush()

    def problem(self, status: int, detail: str, hint: str | None, fields: dict[str, str]) -> None:
        document = {
            "title": "No",
            "status": status,
            "detail": detail,
            "hint": hint,
            "fields": fields,
        }
        self.answer(status, json.dumps(document), "application/problem+json")

    def redirect(self, url: str) -> None:
        self.send_response(303)
        self.send_header("Location", url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, status: int, text: str, kind: str = "text/html") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)
