"""One self-contained HTML page: it makes no request, and no text of a model can run in it.

Three defences, each sufficient alone: jinja2 escapes every value; the Content-Security-Policy lets only the
scripts run whose hashes it names; and figures travel as inert JSON that our own script hands to
plotly as data. Plotly itself travels packed, a third of its size; unpacked, it is the script that the policy names.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lakon.core.report_data import ReportData
from lakon.render.blocks import Figure, Section, ShowcasedProblem, Table, escape_invisible, keep_unbroken
from lakon.render.outline import IN_WORDS, build_sections, describe_scope

POLICY = (
    "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data: blob:;"
    " base-uri 'none'; form-action 'none'"
)
"""`style-src` has to allow inline styles because plotly writes its own; no model text reaches a style."""


def render_page(data: ReportData) -> str:
    """The report as one HTML page. Figures bring plotly.js along (about 2 MB, packed); without any it is left out."""
    return render_sections(data, build_sections(data), describe_scope(data))


def render_sections(data: ReportData, sections: tuple[Section, ...], scope: str) -> str:
    """A page of any sections: of `data` it takes title, description, caveats, conclusions and the resolved study."""
    has_figures = any(isinstance(part, Figure) for section in sections for part in section.parts)
    library = _packed() if has_figures else ""
    template = _environment().get_template("page.html.j2")
    return template.render(
        data=data,
        headline=[sentence for sentence in data.conclusions if not sentence.detail],
        details=[sentence for sentence in data.conclusions if sentence.detail],
        in_words=IN_WORDS,
        scope=scope,
        sections=sections,
        style=Markup(_file("page.css")),
        library=Markup(library),
        script=Markup(_file("page.js")),
        policy=_policy([_library(), _file("page.js")] if has_figures else []),
        library_size=f"{len(library) / 1e6:.1f} MB",
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lakon.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = escape_invisible
    environment.filters["unbroken"] = keep_unbroken
    environment.filters["inert_json"] = inert_json
    environment.filters["slug"] = slug
    environment.tests["table"] = lambda part: isinstance(part, Table)
    environment.tests["figure"] = lambda part: isinstance(part, Figure)
    environment.tests["showcased_problem"] = lambda part: isinstance(part, ShowcasedProblem)
    return environment


def inert_json(value: Any) -> Markup:
    """JSON that cannot end the script element it stands in, nor open a comment in it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def slug(text: str) -> str:
    """A name that can stand in an `id`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "figure"


def _policy(scripts: list[str]) -> str:
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    return POLICY.format(scripts=hashes or "'none'")


@cache
def _file(name: str) -> str:
    return (resources.files("lakon.render") / "templates" / name).read_text(encoding="utf-8").replace("\r\n", "\n")


@cache
def _library() -> str:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


@cache
def _packed() -> str:
    """The library as `page.js` unpacks it; nothing in it depends on when it was packed."""
    return base64.b64encode(gzip.compress(_library().encode(), mtime=0)).decode()
