"""How Sphinx builds the site: `make docs`. Nothing is downloaded, neither by the build nor by the pages."""

import os
import re
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS)]
os.environ["PYTHONPATH"] = str(DOCS.parent)  # for the kernels of the tutorials, and commands
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # for the command `tsl`
os.environ.setdefault("WANDB_MODE", "offline")

import generate  # noqa: E402

import tsl  # noqa: E402

project = "tsl"
author = copyright = "The tsl developers"
version = release = tsl.__version__
extensions = [
    "myst_nb",
    "matplotlib.sphinxext.plot_directive",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "results/*"]
html_theme = "furo"
html_title = f"tsl {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # included pages, whose headings begin below level 1

nb_execution_mode = "force"  # results stored by an older tsl would hide what no longer works
nb_execution_in_temp = True
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_output_stderr = "remove"

plot_formats = [("png", 150)]
plot_html_show_formats = plot_html_show_source_link = False

autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

CODE = re.compile(r"(`[^`]+`)(\w?)")
SPECIAL = re.compile(r"([*|\\]|_\b|_$)")


def docstring_as_restructured_text(lines: list[str]) -> None:
    """Change the lines of a docstring in place: `code` becomes ``code``, and other special characters are escaped.

    An indented block after a line that ends with a colon stays as it is, and so do examples.
    """
    verbatim_beyond: int | None = None
    in_example = False
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        in_example = bool(line.strip()) and (in_example or line.lstrip().startswith(">>>"))
        if verbatim_beyond is not None and line.strip() and indent <= verbatim_beyond:
            verbatim_beyond = None
        if in_example or verbatim_beyond is not None:
            continue
        words = CODE.split(line)  # text, code, the letter that follows it, text, …
        words[::3] = [SPECIAL.sub(r"\\\1", text) for text in words[::3]]
        words[1::3] = [f"`{code}`" for code in words[1::3]]
        words[2::3] = [f"\\ {letter}" if letter else "" for letter in words[2::3]]
        lines[number] = "".join(words)
        block = lines[number + 1 : number + 3]
        if line.endswith(":") and len(block) == 2 and not block[0].strip() and block[1].startswith(" " * (indent + 4)):
            lines[number] += ":"
            verbatim_beyond = indent


def is_named_field(member: Any) -> bool:
    """Whether a member is the field of a NamedTuple, which the class's docstring already explains."""
    return (getattr(member, "__doc__", None) or "").startswith("Alias for field number")


def setup(app: Any) -> None:
    """Write the generated pages, and read docstrings as tsl writes them."""
    app.connect("config-inited", lambda app, config: generate.main())
    app.connect("autodoc-skip-member", lambda app, what, name, thing, skip, options: skip or is_named_field(thing))
    app.connect(
        "autodoc-process-docstring",
        lambda app, what, name, thing, options, lines: docstring_as_restructured_text(lines),
        priority=100,  # before napoleon
    )
