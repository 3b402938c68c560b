r"""LaTeX in one spelling: each row of the table of commands, and the rewrites whose order matters."""

from __future__ import annotations

import pytest

from lakon.domains.math.parse.clean import clean_text
from lakon.domains.math.parse.latex import replace_commands
from lakon.domains.math.tables import load_table

COMMANDS = load_table("parse/latex_commands.toml")


@pytest.mark.parametrize("name", [*COMMANDS["commands"], *COMMANDS["before_no_capital"]])
def test_a_command_is_replaced_and_a_longer_one_is_another(name: str):
    written = (COMMANDS["commands"] | COMMANDS["before_no_capital"])[name]
    assert replace_commands(f"1\\{name} 2") == f"1{written} 2"
    assert replace_commands(f"\\{name}zzz") == f"\\{name}zzz"


@pytest.mark.parametrize("name", COMMANDS["commands"])
def test_what_a_command_is_written_as_is_no_other_row_of_the_table(name: str):
    written = COMMANDS["commands"][name]
    assert replace_commands(written).replace("  ", " ") == written


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (r"\left\lbrace 1 \right\rbrace", r"\{ 1 \}"),
        (r"x \lt= 2", r"x \le 2"),
        (r"f^\prime(x)", "f'(x)"),
        (r"x \in \bf R", r"x \in \mathbb{R}"),
        (r"+\infin", r"\infty"),
        (r"{n \choose \lbrace k}", r"\binom{n }{ \{ k}"),
        (r"minus \frac12", r"-\frac12"),
        (r"1\,000 \, x", "1000 x"),
        (r"\leqX", r"\le X"),
        (r"\itX", r"\itX"),
    ],
)
def test_what_one_rewrite_makes_is_read_by_those_after_it(text: str, cleaned: str):
    assert clean_text(text) == cleaned


@pytest.mark.parametrize(
    "written",
    [
        r"90\degree",
        r"90^\degree",
        r"90^ \degree",
        r"90^{\degree}",
        r"90^{ \degree }",
        "90^°",
        "90^{°}",
        "90^º",
        r"90^{^\circ}",
    ],
)
def test_a_sign_of_degrees_is_raised_once(written: str):
    assert clean_text(written) == r"90^{\circ}"
    assert clean_text(clean_text(written)) == clean_text(written)


def test_a_ring_that_raises_something_else_stays():
    assert clean_text(r"f^{2}^\degree") == r"f^{2}^{\circ}"
    assert clean_text(r"x^^2") == "x^^2"
