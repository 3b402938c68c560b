"""A server of the loopback that answers as its arguments say: `faulty_server.py PORT NAME FAULT`. It takes the standard
library alone, so that it is up at once.

Proper answers: a fixed text at temperature 0 or a tiny top_p, else one of several by chance; caps, prompt tokens and
the end token as asked.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

port, name, fault = int(sys.argv[1]), sys.argv[2], sys.argv[3]
seen = Path(sys.argv[4]) if len(sys.argv) > 4 else None
asked = 0
WORDS = ["so", "it", "is", "\\boxed{7}", "\\boxed{8}", "then", "we", "add"]


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self.reply({"data": [{"id": "another" if fault == "other-model" else name, "max_model_len": 512}]})
        else:
            self.reply({"version": "0.1"} if self.path == "/version" else {})

    def do_POST(self) -> None:
        global asked
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/completions":
            self.send_error(404)
            return
        asked += 1
        if seen is not None:
            with seen.open("a") as file:
                file.write(json.dumps({"pid": os.getpid(), **body}) + "\n")
        if fault == "dies-always" and asked > 20:
            os._exit(3)
        if fault == "dies-once" and asked > 30 and seen is not None and not seen.with_name("died").exists():
            seen.with_name("died").touch()
            os._exit(3)
        self.reply(self.complete(body))

    def complete(self, body: dict) -> dict:
        cap = body["max_tokens"] + (1 if fault == "over-cap" else 0)
        greedy = body["temperature"] == 0 or body.get("top_p", 1) < 1e-3
        if fault == "ignores-temperature":
            greedy = True
        rng = random.Random(None if not greedy or fault == "greedy-differs" else 0)
        n = 12 if fault != "answers" else 4
        words = [rng.choice(WORDS) for _ in range(n)]
        finish = "length" if len(words) > cap else "stop"
        words = words[:cap]
        if body.get("logit_bias"):
            words, finish = ([], "stop") if fault != "never-ends" else (WORDS[:cap], "length")
        extra = 1 if fault == "adds-a-token" else 0
        return {
            "model": "another" if fault == "answers-as-another" else name,
            "choices": [{"text": " ".join(words), "finish_reason": finish}],
            "usage": {
                "prompt_tokens": len(body["prompt"]) + extra,
                "completion_tokens": len(words) or 1,
            },
        }

    def reply(self, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if fault == "ends-at-start":
    print("no such model: out of memory")
    sys.exit(2)
if fault == "hangs":
    time.sleep(600)
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
