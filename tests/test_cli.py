"""The command line as people and scripts meet it: real processes, exit codes, both streams."""

from __future__ import annotations

import json
import os
import pty
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Finished, Python


def assert_one_line_error(done: Finished, code: int, *says: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("xsd-edge: error: ")
    assert done.stderr.count("\n") == 1
    for text in says:
        assert text in done.stderr


def test_help_is_quick(command: Python) -> None:
    """CPU time of the process: a busy machine stretches the wall's, and help waits for nothing."""

    def seconds() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    costs = []
    for _ in range(5):
        before = seconds()
        assert command("--help").returncode == 0
        costs.append(seconds() - before)
    assert min(costs) < 0.3


def test_help_names_the_commands(command: Python) -> None:
    text = command("--help").stdout
    assert all(name in text for name in ("export", "run", "train", "boards"))


@pytest.mark.parametrize(
    "name", ["export", "build", "doctor", "run", "boards", "train target", "train drafter"]
)
def test_every_command_has_help(command: Python, name: str) -> None:
    done = command(*name.split(), "--help")
    assert done.returncode == 0
    assert "Usage: xsd-edge" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [["--frobnicate"], ["frobnicate"], ["run", "--frobnicate"], ["run"], ["boards", "a", "b"]],
)
def test_wrong_usage(command: Python, arguments: list[str]) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_export_of_an_unknown_board_lists_the_known(command: Python) -> None:
    done = command("export", "--target", "orion")
    assert_one_line_error(done, 2, "'orion'", "orin-nx-16", "cpu")


def test_export_of_an_unknown_recipe_lists_the_known(command: Python) -> None:
    assert_one_line_error(
        command("export", "--target", "cpu", "--recipe", "dmo"), 2, "'dmo'", "demo"
    )


def test_training_with_an_unknown_recipe(command: Python) -> None:
    done = command("train", "target", "--recipe", "./mine.toml")
    assert_one_line_error(done, 2, "./mine.toml does not exist")


def test_run_without_a_bundle_says_how_to_make_one(command: Python, tmp_path: Path) -> None:
    done = command("run", "--bundle", tmp_path / "none", "--camera", "demo")
    assert_one_line_error(done, 4, "xsd-edge export")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--gamma", "many"), ("--temperature", "-1"), ("--top-p", "0"), ("--mode", "gated")],
)
def test_run_refuses_bad_values_first(command: Python, option: str, value: str) -> None:
    done = command("run", "--bundle", "none", "--camera", "demo", option, value)
    assert_one_line_error(done, 2, option, value)


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from xsd_edge.cli import main
main()
"""


@pytest.mark.parametrize("arguments", [["export", "--target", "cpu"], ["train", "drafter"]])
def test_host_commands_without_torch_name_the_extra(python: Python, arguments: list[str]) -> None:
    done = python("-c", WITHOUT_TORCH, *arguments)
    assert_one_line_error(done, 8, 'pip install "xsd-edge[export]"')


def test_boards_prints_one_row_each(command: Python) -> None:
    lines = command("boards").stdout.splitlines()
    assert len(lines) == 2 + 8
    assert lines[-2].split()[:3] == ["orin", "=", "orin-agx-64"]


def test_boards_json_is_one_document(command: Python) -> None:
    done = command("boards", "--json")
    names = {board["name"] for board in json.loads(done.stdout)}
    assert {"orin", "orin-agx-32", "thor", "cuda", "cpu"} <= names
    assert done.stderr == ""


def on_a_terminal(columns: int, *arguments: str) -> str:
    """What a command writes to a terminal of that width."""
    reader, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    command = [sys.executable, "-m", "xsd_edge", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=terminal, env=environment) as process:
        os.close(terminal)
        text = b""
        try:
            while block := os.read(reader, 65536):
                text += block
        except OSError:  # a terminal's end of file
            pass
    os.close(reader)
    assert process.returncode == 0
    return text.decode()


def test_one_board_in_full_on_a_terminal() -> None:
    """Where there is room rich draws the tables, and cuts no cell where there is none."""
    assert "│ MODE_30W" in on_a_terminal(160, "boards", "orin")
    narrow = on_a_terminal(60, "boards", "orin")
    assert "\nMODE_30W  yes " in narrow
    assert "…" not in narrow


def test_a_reader_that_went_away_is_no_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "xsd_edge", "boards", "--json"],
        cwd=ROOT,
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == b""


FAILING = """
import os, signal, time, typer
from xsd_edge.cli import Commands

app = typer.Typer(cls=Commands, pretty_exceptions_enable=False)

@app.command()
def interrupted():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)

@app.command()
def bug():
    raise ValueError("one of ours")

app()
"""


def test_ctrl_c(python: Python) -> None:
    done = python("-c", FAILING, "interrupted")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "xsd-edge: interrupted\n")


def test_a_bug_of_ours_shows_its_traceback(python: Python) -> None:
    done = python("-c", FAILING, "bug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ValueError: one of ours" in done.stderr
