"""The workers of examples/workers against the real binary, as their README says to run them, word for word.

A language whose toolchain is not there is skipped by name.
"""
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness import Server, wait_until

EXAMPLE = Path(__file__).parents[2] / "examples" / "workers"
README = (EXAMPLE / "README.md").read_text()
# What each language needs, and where a worker that stays at work may take its time: compilers and package indexes.
NEEDS = {"Python": ["python"], "TypeScript": ["node", "npm"], "Rust": ["cargo"], "Go": ["go"]}


def block(heading, number=0, kind="sh"):
    """A code block under a heading of the README."""
    section = re.split(r"^#+ ", README.split(f"# {heading}\n", 1)[1], flags=re.M)[0]
    return re.findall(rf"^```{kind}\n(.*?)^```", section, flags=re.M | re.S)[number]


class Shell:
    """Runs blocks of the README in a copy of the example, with the server of this test in the place of the default one."""

    def __init__(self, folder, server):
        self.folder = folder
        self.settings = block("Try it", 1).replace("http://127.0.0.1:8083", server.endpoint)
        assert server.endpoint in self.settings
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "STEPWRIGHT_"))}
        self.environment = environment | {"AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": ""}

    def start(self, text, **how):
        script = f"set -e\n{self.settings}\n{text}"
        return subprocess.Popen(["sh", "-c", script], cwd=self.folder, env=self.environment, text=True, **how)

    def run(self, text):
        process = self.start(text, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        return out


@pytest.mark.parametrize("language", NEEDS)
def test_worker(language, tmp_path):
    missing = [program for program in NEEDS[language] if not shutil.which(program)]
    if missing:
        pytest.skip(f"{language} is not here: no {' and no '.join(missing)} on this machine")
    folder = tmp_path / "workers"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules", "target", "worker.js"))
    with Server(tmp_path / "data") as server, open(tmp_path / "worker.log", "w+") as log:
        shell = Shell(folder, server)
        shell.run(block("Try it", 2))
        worker = shell.start(block(language), stdout=log, stderr=log, start_new_session=True)

        def said():
            log.seek(0)
            return log.read()

        def ends(text, expected):
            execution = shell.start(text, stdout=subprocess.PIPE)
            wait_until("the execution ends", lambda: execution.poll() is not None or worker.poll() is not None, 600)
            assert worker.poll() is None, f"the worker ended with {worker.returncode}:\n{said()}"
            assert execution.communicate()[0] == expected, said()

        try:
            start = block("What comes of it")
            ends(start, block("What comes of it", 0, "text"))
            nameless = start.replace("""'{"name": "Ada"}'""", "'{}'")
            assert nameless != start and "FAILED\tNone\tNoName" in README
            ends(nameless, "FAILED\tNone\tNoName\n")
            # The worker outlives a server that is killed under its poll.
            server.kill()
            server.start()
            ends(start, block("What comes of it", 0, "text"))
        finally:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
