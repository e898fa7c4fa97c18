"""Every generated text file as a Jinja2 template.

Rules: a template writes down what the IR says and decides nothing; loops and ifs only. Each names the manual's sections that it
follows. It is given finished words (`compiler.quoting.Word`) and numbers: `finalize` refuses anything else, undefined names are
errors, and nothing is escaped for HTML. A line ends with `{{ at(object, "field", …) }}`, from which the source map is made.
This package imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Callable

import jinja2


def environment(finalize: Callable[[object], object]) -> jinja2.Environment:
    """The environment in which all templates are rendered; `finalize` sees every value before it becomes text."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("templates", ""),
        finalize=finalize,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701  (these are not HTML; `finalize` guards what comes in)
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
