"""Text is UTF-8 wherever it is read or written, whatever the locale."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from odam_lib.files import data_root

ROOT = data_root().parent
BINARY = {"Image", "tarfile", "zipped", "member"}
"""What has an ``open`` that never gives text."""


def sources() -> Iterator[tuple[str, str]]:
    for folder in ("odam_lib", "notebooks", "tools", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                yield path.name, "".join(cell["source"]).replace("%matplotlib inline", "")


def forgets(call: ast.Call) -> bool:
    """Whether a call reads or writes text in the locale's encoding."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    given = {one.arg: one.value for one in call.keywords}
    if "encoding" in given or None in given:
        return False
    if name == "read_text":
        return not call.args
    if name == "write_text":
        return len(call.args) < 2
    if name in ("run", "Popen", "check_output", "check_call"):
        return "text" in given or "universal_newlines" in given
    if name in ("NamedTemporaryFile", "TemporaryFile", "SpooledTemporaryFile"):
        return "mode" in given and "b" not in ast.unparse(given["mode"])
    if name == "TextIOWrapper":
        return True
    owner = function.value if isinstance(function, ast.Attribute) else None
    of_bytes = isinstance(owner, ast.Name) and (owner.id in BINARY or (owner.id, name) == ("os", "open"))
    if name not in ("open", "fdopen") or of_bytes:
        return False
    of_path = owner is not None and not (isinstance(owner, ast.Name) and owner.id in ("os", "io", "gzip", "builtins"))
    mode = given.get("mode", call.args[0 if of_path else 1] if len(call.args) > (0 if of_path else 1) else None)
    if isinstance(owner, ast.Name) and owner.id == "gzip":
        return mode is not None and "t" in ast.unparse(mode)
    return mode is None or "b" not in ast.unparse(mode)


def test_every_text_has_its_encoding() -> None:
    found = [
        f"{name}:{node.lineno}: {ast.unparse(node)[:80]}"
        for name, source in sources()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and forgets(node)
    ]
    assert not found, "\n".join(["give encoding='utf-8':", *found])


def test_what_forgets_its_encoding_is_noticed() -> None:
    wrong = (
        "open(p)", "open(p, 'w')", "p.open()", "p.open('w', newline='')", "os.fdopen(h, 'w')", "p.read_text()",
        "p.write_text(t)", "(a / 'b').read_text()", "subprocess.run(c, text=True)", "gzip.open(p, 'rt')",
        "NamedTemporaryFile(mode='w')", "io.open(p)",
    )  # fmt: skip
    right = (
        "open(p, 'rb')", "p.open('wb')", "p.open(encoding='utf-8')", "p.read_text('utf-8')", "Image.open(p)",
        "subprocess.run(c)", "subprocess.run(c, text=True, encoding='utf-8')", "gzip.open(p)",
        "p.write_text(t, 'utf-8')",
    )  # fmt: skip
    assert all(forgets(ast.parse(one, mode="eval").body) for one in wrong)  # type: ignore[arg-type]
    assert not any(forgets(ast.parse(one, mode="eval").body) for one in right)  # type: ignore[arg-type]


PROGRAM = """
import importlib.util, locale, pathlib, sys
import nbformat
from odam_lib.files import read_json, write_rows
from odam_chapters.rows import read_rows
folder, root = map(pathlib.Path, sys.argv[1:])
assert locale.getpreferredencoding(False) != "UTF-8", "this is to run under another locale"
spec = importlib.util.spec_from_file_location("notebooks", root / "tools" / "notebooks.py")
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)
tool.to_html(nbformat.read(root / "notebooks" / "00_quickstart.ipynb", as_version=4), folder / "page.html")
write_rows(folder / "rows.csv", [{"name": "\\u725b \\u00b1"}])
assert read_rows(folder / "rows.csv", "rows", "this", {"name": str}).to_dict("records") == [{"name": "\\u725b \\u00b1"}]
(folder / "card.json").write_bytes('{"name": "\\u725b"}'.encode())
assert read_json(folder / "card.json", "") == {"name": "\\u725b"}
sys.stdout.buffer.write(b"ok")
"""


def test_a_page_is_exported_under_a_c_locale(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", PROGRAM, str(tmp_path), str(ROOT)],
        env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
    )
    said = done.stderr.decode("utf-8", "replace")
    assert done.returncode == 0 and done.stdout == b"ok", said
    assert not [line for line in said.splitlines() if "EncodingWarning" in line and str(ROOT / "odam_lib") in line], (
        said
    )
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(page) > 100_000 and "What we saw" in page and page.rstrip().endswith("</html>")
    assert (tmp_path / "rows.csv").read_text(encoding="utf-8") == "name\n牛 ±\n"
