"""Run the notebook series by papermill, or sweep over parameters: ``python tools/notebooks.py --help``."""

import argparse
import base64
import io
import re
import tomllib
from contextlib import ExitStack
from copy import deepcopy
from os.path import relpath
from pathlib import Path

import nbformat
import papermill
from jinja2 import pass_context
from jinja2.runtime import Context
from jupyter_client.kernelspec import NoSuchKernel
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from odam_chapters.equations import to_mathml
from PIL import Image

from odam_lib.command import command
from odam_lib.files import naming, output_file, owned, write_whole
from odam_lib.viz.fragments import WRITTEN, read_fragment

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "tests" / "notebooks.toml"
SETS = ("test", "gpu")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
TEMPLATE = """{% extends "lab/index.html.j2" %}
{% block html_head_js %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block html_head_css %}
<link rel="icon" href="data:,">
<style>
:root {
  --jp-cell-prompt-not-active-opacity: 1;
  --jp-mirror-editor-comment-color: #2f6868;
  --jp-mirror-editor-number-color: #006e00;
  --jp-mirror-editor-operator-color: #8a12d6;
}
.jp-RenderedHTMLCommon a:link { text-decoration: underline; }
</style>
{% endblock %}
{% block data_png scoped %}
<div class="jp-RenderedImage jp-OutputArea-output {{ extra_class }}">
<img alt="{{ output | get_metadata('alt', 'image/png') | e }}"
 src="data:image/png;base64,{{ output.data['image/png'] }}">
</div>
{% endblock %}
"""
"""JupyterLab's, without the scripts that it would fetch from elsewhere, with alternative texts of pictures, with links
that are underlined and colours that contrast with the page."""


def listed() -> dict[str, dict]:
    """The list of notebooks: name to question, activity and parameter sets."""
    return tomllib.loads(LIST.read_text(encoding="utf-8"))


def run(source: Path, parameters: dict[str, object], output: Path, seconds: int | None = 1800) -> NotebookNode:
    """Execute one notebook from a clean kernel; the executed copy is written to ``output`` as it grows.

    Args:
        source: the notebook.
        parameters: its parameters that are not its own.
        output: the executed copy.
        seconds: that a cell may take.

    Raises:
        OSError: the copy cannot be written, or there is no kernel.
        RuntimeError: a cell raised an error, or took too long.
    """
    output_file(output)
    try:
        with naming(output):
            return papermill.execute_notebook(
                source,
                output,
                parameters=parameters,
                cwd=source.parent,
                kernel_name="python3",
                language="python",
                execution_timeout=seconds,
                progress_bar=False,
            )
    except NoSuchKernel as error:
        raise OSError("Jupyter has no kernel 'python3': pip install ipykernel.") from error
    except papermill.PapermillExecutionError as error:
        raise RuntimeError(
            f"notebook {source.stem} stopped ({error.ename}: {error.evalue}): {output} shows where."
        ) from error


def without_widgets(notebook: NotebookNode) -> NotebookNode:
    """The notebook with each widget's static picture only, for readers without a kernel."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
    return notebook


def described(notebook: NotebookNode) -> NotebookNode:
    """The notebook with an alternative text for each picture that its cells made."""
    section = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            headings = re.findall(r"^#+ +(.+)$", cell.source, re.MULTILINE)
            section = headings[-1] if headings else section
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                told = "".join(output.data.get("text/plain", ""))
                picture = "Figure" if told.startswith("<") else told
                alt = f"{picture}, in the section: {section}"
                output.setdefault("metadata", NotebookNode())["image/png"] = {"alt": alt}
                cell.metadata["mystnb"] = {"image": {"alt": alt}}
    return notebook


def with_palette(png: bytes) -> bytes:
    """A PNG picture in at most 128 colours, about a sixth of its size: the repository keeps every figure."""
    with Image.open(io.BytesIO(png)) as opened:
        if opened.mode == "P":
            return png
        layer = opened.convert("RGBA")
    picture = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    written = io.BytesIO()
    few = picture.quantize(128, Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE)
    few.save(written, "png", optimize=True)
    return written.getvalue()


def recompress(png: bytes) -> bytes:
    """The same pixels in about a tenth fewer bytes."""
    import oxipng  # an extra, for those alone who store notebooks

    kept = {"color_type_reduction": False, "grayscale_reduction": False}  # a palette stays one
    return oxipng.optimize_from_memory(png, level=4, strip=oxipng.StripChunks.all(), **kept)


def stored(notebook: NotebookNode) -> NotebookNode:
    """The notebook as it is committed: no widget state, no times, no machine, pictures with a palette."""
    notebook = without_widgets(notebook)
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for cell in notebook.cells:
        cell.metadata = {key: cell.metadata[key] for key in ("tags",) if cell.metadata.get(key)}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                output.get("metadata", {}).clear()
                if picture := output.get("data", {}).get("image/png"):
                    smaller = recompress(with_palette(base64.b64decode(picture)))
                    output["data"]["image/png"] = base64.b64encode(smaller).decode()
    return notebook


def with_figures(notebook: NotebookNode) -> NotebookNode:
    """A copy in which a widget of which a figure was written is that figure, which needs no kernel to be clicked."""
    notebook = deepcopy(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if written := output.get("metadata", {}).get(WRITTEN):
                output["data"] = NotebookNode({"text/html": read_fragment(Path(written))})
    return notebook


class _Renderer(IPythonRenderer):
    """Markdown to HTML: formulas to MathML, links to what lies beside the notebook led there from where the page is."""

    page: str

    def link(self, text: str, url: str, title: str | None = None) -> str:
        if not re.match(r"#|/|[a-z]+:", url):
            url = Path(relpath(Path(self.path) / url, self.page)).as_posix()
        return super().link(text, url, title)

    def inline_math(self, body: str) -> str:
        return to_mathml(body)

    def block_math(self, body: str) -> str:
        return to_mathml(body, block=True)


@pass_context
def _markdown_to_html(context: Context, source: str) -> str:
    where = context["resources"]["metadata"]
    attachments = context["cell"].get("attachments", {})
    renderer = _Renderer(escape=False, attachments=attachments, embed_images=True, path=where["path"])
    renderer.page = where["page"]
    return MarkdownWithMath(renderer=renderer).render(source)


def to_html(notebook: NotebookNode, path: Path, beside: Path = ROOT / "notebooks") -> None:
    """Write the notebook as one web page that asks for no network; pictures that it names lie ``beside`` it."""
    where = {"metadata": {"path": str(beside), "name": path.stem, "page": str(path.parent)}}
    shown = with_figures(described(without_widgets(notebook)))
    exporter = HTMLExporter(embed_images=True, raw_template=TEMPLATE, filters={"markdown2html": _markdown_to_html})
    page, _ = exporter.from_notebook_node(shown, resources=where)
    with write_whole(path) as aside:
        aside.write_text(page, encoding="utf-8")


def kept(name: str) -> tuple[Path, Path]:
    """Where a notebook is stored, and the figure that the README shows of it."""
    folder = ROOT / "notebooks"
    return folder / f"{name}.ipynb", folder / "figures" / f"{name}.png"


def store(name: str, notebook: NotebookNode, output: Path) -> None:
    """Replace the stored notebook and its figure by those of a run, each whole or not at all."""
    place, title = kept(name)
    figure = recompress(with_palette((output.with_suffix("") / title.name).read_bytes()))
    with write_whole(place) as aside, aside.open("w", encoding="utf-8") as file:
        nbformat.write(stored(notebook), file)
    with write_whole(title) as aside:
        aside.write_bytes(figure)


def run_listed(arguments: argparse.Namespace) -> None:
    """Run the series, or one notebook of it, and store it if asked to."""
    for name in [arguments.only] if arguments.only else list(listed()):
        output = ROOT / "runs" / f"{name}.ipynb"
        with ExitStack() as stack:
            for file in (output, *(kept(name) if arguments.command == "store" else ())):
                stack.enter_context(owned(file))
            notebook = run(kept(name)[0], listed()[name][arguments.set] if arguments.set else {}, output)
            print(f"executed notebook: {output.relative_to(ROOT)}")
            if arguments.html:
                to_html(notebook, output.with_suffix(".html"))
                print(f"web page:          {output.with_suffix('.html').relative_to(ROOT)}")
                print(f"heat maps:         {output.with_suffix('').relative_to(ROOT)}/*.png")
            if arguments.command == "store":
                store(name, notebook, output)


@command
def main() -> None:
    """Command line: run or store the notebooks, or sweep over their parameters."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, does in (("run", "run into runs/"), ("store", "run, and store the outputs in notebooks/")):
        one = commands.add_parser(name, help=does, description=does)
        one.add_argument("--only", choices=list(listed()), help="one notebook instead of all")
        one.add_argument("--set", choices=SETS, help="a parameter set of tests/notebooks.toml")
        one.add_argument("--html", action="store_true", help="write a web page beside the executed notebook")
    does = "run notebooks with all combinations of some parameters, on Ray; what is done is skipped"
    one = commands.add_parser("sweep", help=does, description=does)
    one.add_argument("notebooks", nargs="+", metavar="NOTEBOOK", help="names of the series, all, or paths of .ipynb")
    one.add_argument("-p", "--parameter", nargs="+", action="append", default=[], metavar=("NAME", "VALUE"))
    one.add_argument("--set", choices=SETS, help="a parameter set of tests/notebooks.toml, beneath those given by -p")
    one.add_argument("--output", help="folder of the page and of all runs, else one under runs/sweeps")
    one.add_argument("--address", default="local", help="HOST:PORT of a Ray cluster, auto, or local, the default")
    one.add_argument("--gpus", type=float, help="of a run, or a share of one; else one where there are any")
    one.add_argument("--cpus", type=float, default=1, help="of a run, 1 if not given")
    one.add_argument("--minutes", type=float, default=60, help="that a run may take, 60 if not given")
    one.add_argument("--memory", type=float, metavar="GB", help="that a run may hold, no limit if not given")
    arguments = parser.parse_args()
    if arguments.command == "sweep":
        from sweeps.command import sweep  # Ray is an extra

        sweep(arguments)
    else:
        run_listed(arguments)


if __name__ == "__main__":
    main()
