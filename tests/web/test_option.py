"""`--web` and `--token` on the command line."""

from __future__ import annotations

import pytest
import typer

from tests.conftest import Python
from xsd_edge.cli.group import app
from xsd_edge.cli.run import WEB

ARGUMENTS = ["--bundle", "none", "--camera", "demo"]


def test_the_default_is_loopback() -> None:
    assert WEB == "127.0.0.1:8350"


@pytest.mark.parametrize(
    ("given", "web"),
    [
        ([], None),
        (["--web"], WEB),
        (["--web", "--json"], WEB),
        (["--web", "0.0.0.0:80", "--json"], "0.0.0.0:80"),
        (["--web=:9000"], ":9000"),
    ],
)
def test_the_address_may_be_left_out(given: list[str], web: str | None) -> None:
    group = typer.main.get_group(app)
    context = group.commands["run"].make_context("run", [*ARGUMENTS, *given])
    assert context.params["web"] == web
    assert context.params["as_json"] == ("--json" in given)


def test_others_need_a_token(command: Python) -> None:
    done = command("run", *ARGUMENTS, "--web", "0.0.0.0:0")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "--token SECRET" in done.stderr


WITHOUT_UVICORN = """
import sys
sys.modules["uvicorn"] = None
from xsd_edge.cli import main
main()
"""


def test_without_the_extra(python: Python) -> None:
    done = python("-c", WITHOUT_UVICORN, "run", *ARGUMENTS, "--web", "127.0.0.1:0")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (8, "", 1)
    assert 'pip install "xsd-edge[web]"' in done.stderr
