"""The site, as Sphinx builds it from what ``tools/build_site.py`` has put together."""

import os
from pathlib import Path

from docutils import nodes
from odam_chapters.equations import to_mathml
from sphinx.application import Sphinx
from sphinx.util.logging import getLogger
from sphinx.writers.html5 import HTML5Translator

# The repository's address, as https://github.com/OWNER/NAME: with it pages of notebooks have links to Colab and Binder.
REPOSITORY = os.environ.get("ODAM_REPOSITORY", "")
_, _, OWNER_AND_NAME = REPOSITORY.partition("github.com/")

project = "odam"
author = "the authors of odam"
project_copyright = "the authors of odam, Apache-2.0"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.linkcode",
    "sphinx.ext.napoleon",
]

# Pages: what notebooks have stored is shown, nothing is run.
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
html_math_renderer = "mathml"

# Reference
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autosummary_generate = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
add_module_names = False
toc_object_entries_show_parents = "hide"

# Looks
html_theme = "pydata_sphinx_theme"
html_title = "odam"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_css_files = ["site.css"]
templates_path = ["_templates"]
html_additional_pages = {"404": "404.html"}
html_copy_source = False
html_show_sphinx = False
html_use_index = True
html_domain_indices = False
html_theme_options = {
    "logo": {"text": "odam"},
    "search_bar_text": "Search",
    "article_header_end": ["run.html"],
    "secondary_sidebar_items": {"**": ["page-toc"], "paper/claims": [], "paper/answers": []},  # their tables are wide
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "github_url": REPOSITORY,
}
html_sidebars = {"index": [], "404": []}
html_context = {
    "default_mode": "auto",
    "on_github": OWNER_AND_NAME,
    "home": f"/{OWNER_AND_NAME.partition('/')[2]}/" if OWNER_AND_NAME else "index.html",
}

_SOURCES = Path(__file__).parent.parent


def linkcode_resolve(domain: str, info: dict[str, str]) -> str | None:
    """Where a page of the reference, one folder below the site's root, leads to the source."""
    place = info["module"].replace(".", "/")
    file = f"{place}/__init__.py" if (_SOURCES / place).is_dir() else f"{place}.py"
    return f"../code/{file}.html" if info["module"] else None


def _write_math(translator: HTML5Translator, node: nodes.Node) -> None:
    block = isinstance(node, nodes.math_block)
    try:
        made = to_mathml(node.astext(), block)
        translator.body.append(f'<div class="odam-equation" tabindex="0">{made}</div>' if block else made)
    except ValueError as error:
        getLogger(__name__).warning(str(error), location=node)
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Formulas are drawn by the browser itself."""
    app.add_html_math_renderer("mathml", (_write_math, None), (_write_math, None))
