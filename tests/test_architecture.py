"""The architecture that the README draws: which room may import which, how long a file may be, what never occurs."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import MODULES, ROOT, SOURCES, below, circles, imports, module_name, room

MATHEMATICS = [
    *(path for path in SOURCES if path.is_relative_to(ROOT / "models")),
    *sorted(ROOT.glob("pipelines/metrics/*.py")),
    *(ROOT / "pipelines" / "search" / name for name in ("search.py", "loop.py", "ctc.py")),
    *(ROOT / "pipelines" / "data" / name for name in ("audio/features.py", "images/pixels.py", "batching.py")),
]
KERNELS = ("models.recurrent.kernels", "models.ctc_kernel")
"""The modules of ``models`` that may import TensorFlow."""


def public_and_private(tree: ast.Module) -> list[ast.FunctionDef | ast.ClassDef]:
    """Return functions, classes and their methods, not what is defined inside a function."""
    found: list[ast.FunctionDef | ast.ClassDef] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(node)
            found += [part for part in getattr(node, "body", []) if isinstance(node, ast.ClassDef)
                      and isinstance(part, ast.FunctionDef)]  # fmt: skip
    return found


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_a_room_imports_only_what_is_below_it(path: Path) -> None:
    """Lazy imports, those under TYPE_CHECKING and modules named in strings count."""
    own = module_name(path)
    for other in imports(path):
        assert room(other) in {room(own), *below(room(own))}, f"{own} imports {other}"
        if room(own) == room(other) == "pipelines.tasks.":
            assert own.split(".")[2] == other.split(".")[2], f"the task {own} imports the task {other}"


def test_nothing_imports_in_circles() -> None:
    assert circles({name: imports(path) for name, path in MODULES.items()}) == []


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"a"}, "c": {"a"}}, [["a", "b"]]),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"d", "a"}}, [["a", "b", "c"]]),
    ],
)
def test_circles_are_found(graph: dict[str, set[str]], expected: list[list[str]]) -> None:
    assert circles(graph) == expected


def test_lazy_and_quoted_imports_are_seen(tmp_path: Path) -> None:
    file = ROOT / "pipelines" / "tasks" / "nowhere.py"
    code = (
        '"""See `pipelines.web.page`."""\n'
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from pipelines.runs.load import Loaded\n"
        "def late():\n    from pipelines.cli import demo\n    import_module('pipelines.export.onnx.export')\n"
    )
    assert imports(file, code) == {"pipelines.runs.load", "pipelines.cli.demo", "pipelines.export.onnx"}


def test_few_files_lie_in_the_root_and_few_files_there_are() -> None:
    root = [path.name for path in ROOT.glob("pipelines/*.py")]
    assert len(root) <= 6, root


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_tensorflow_stays_out_of_the_mathematics(path: Path) -> None:
    own = module_name(path)
    if own.startswith("models") and not own.startswith(KERNELS):
        found = {name.partition(".")[0] for name in every_import(ast.parse(path.read_text("utf-8")))}
        assert not found & {"tensorflow", "torch", "jax"}


OPEN_AXIS = {
    "TimeDistributed": "keras.layers.TimeDistributed loses frames where time is open",
    "array_split": "keras.ops.array_split returns one piece with everything where the axis is open",
}
"""Keras operations that are wrong in silence on an axis of open length, see ``findings/``."""


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_no_keras_operation_that_is_wrong_in_silence_on_an_open_axis(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        assert name not in OPEN_AXIS, f"{path.name}:{node.lineno}: {OPEN_AXIS[name]}"  # type: ignore[attr-defined]


PROBING = ("hasattr", "getattr", "find_spec", "import_module")
ALLOWED = {
    "pipelines": "public names on first use",
    "pipelines.tasks": "the registry",
    "pipelines.training.step": "fields of a Keras schedule",
    "pipelines.training.loop": "whether tensorboard is installed",
    "pipelines.log": "TensorFlow without its messages",
    "pipelines.metrics.speech": "counts of a jiwer result",
    "pipelines.export.formats": "optional packages",
    "pipelines.serve.limits": "options of argparse",
    "pipelines.cli.arguments": "fields of settings and namespaces",
    "pipelines.cli.parser": "namespaces of argparse",
    "pipelines.cli.commands": "the module of a format",
    "pipelines.cli.doctor": "optional packages",
    "pipelines.cli.predict": "sizes of any kind of input",
    "pipelines.predictor": "arrays and series of any library",
    "pipelines.tasks.speech.task": "arrays of any library",
    "pipelines.tasks.speech.data": "features of tensorflow-datasets",
    "pipelines.serve.hosts": "addresses of the standard library",
}
"""Where objects of other libraries are probed by name; a seam of our own never is."""


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_seams_are_typed_and_not_probed_by_name(path: Path) -> None:
    own = module_name(path)
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None and node.arg in ("task", "config", "preprocessor"):
            assert ast.unparse(node.annotation) != "Any" or own in CONFIG_BY_TASK, f"{own}:{node.lineno}"
    probes = [n for n in ast.walk(tree) if isinstance(n, ast.Name | ast.Attribute) and _named(n) in PROBING]
    if not own.startswith(("pipelines.data", "pipelines.web", "models", "gates")):
        assert not probes or own in ALLOWED, f"{own}:{probes[0].lineno}"


CONFIG_BY_TASK = ("pipelines.task",)
"""Class methods of ``Task`` take the configuration of the task that overrides them."""


def _named(node: ast.Name | ast.Attribute) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_sizes_and_docstrings(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= 400, f"{path.name} is too long"
    for node in public_and_private(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            length = (body[-1].end_lineno or 0) - body[0].lineno + 1
            assert length <= 40, f"{path.name}:{node.lineno} {node.name} has {length} lines"
        if not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path.name}:{node.lineno} {node.name} has no docstring"


TENSOR = re.compile(r"\b(Any|Tensor|Array|ndarray)\b")
AXIS = r"(?:\d+(?: ?\* ?| ))?[A-Za-z]\w*(?: [A-Z]\b)?(?: ?[-+*/] ?\w+)*"  # T, 2 H, B K, R + 1, 2 * bins
SHAPE = re.compile(rf"\[(?=[^\]]*[A-Za-z])(?:{AXIS}|\d+|\.+)(?:, (?:{AXIS}|\d+|\.+))*\]|\bscalars?\b|\bany shape\b")


def annotated(node: ast.FunctionDef | ast.ClassDef) -> str:
    """Return the annotations of what goes in and out, or of a class's fields; a layer is no tensor."""
    if isinstance(node, ast.ClassDef):
        found = [part.annotation for part in node.body if isinstance(part, ast.AnnAssign)]
    else:
        every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        found = [part.annotation for part in every if part.annotation and part.arg != "layer"] + [node.returns]
    return " ".join(ast.unparse(part) for part in found if part)


def without_shapes(tree: ast.Module) -> list[str]:
    """Return the public functions and classes that handle tensors and whose docstrings state no shape."""
    found = []
    for node in public_and_private(tree):
        told = ast.get_docstring(node) or ""
        hidden = node.name.startswith("_") and node.name != "__call__"
        about_words = node.name in ("get_config", "from_config", "report")
        if not hidden and not about_words and TENSOR.search(annotated(node)) and not SHAPE.search(told):
            found.append(f"{node.lineno} {node.name}")
    return found


@pytest.mark.parametrize("path", MATHEMATICS, ids=module_name)
def test_what_handles_tensors_states_their_shapes(path: Path) -> None:
    assert not without_shapes(ast.parse(path.read_text("utf-8")))


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("Weigh the states [B, T, H].", True),
        ("Both directions side by side, [B, T, 2 H].", True),
        ("Filters float32 [bins, bands].", True),
        ("The loss, a scalar.", True),
        ("Weigh the states of every step.", False),
        ("Mass in [0, 1].", False),
        ("See Xu et al. [a list of them].", False),
    ],
)
def test_a_shape_is_told_from_other_brackets(text: str, stated: bool) -> None:
    code = f"def weigh(x: Any) -> Any:\n    {text!r}\n"
    assert without_shapes(ast.parse(code)) == ([] if stated else ["1 weigh"])


def every_import(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_nothing_pickled_no_lambda_layer_no_keras_archive(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert not {"pickle", "joblib", "dill", "cloudpickle"} & {name.split(".")[0] for name in every_import(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("Lambda", "load_model"), f"{path.name}:{node.lineno}"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert isinstance(node.value, ast.Constant) and node.value.value is False


def test_help_and_wrong_requests_load_no_tensorflow() -> None:
    asked = [(["--help"], 0), (["train", "speech", "--help"], 0), (["tasks"], 0), (["train", "x"], 2)]
    code = (
        "import sys; from pipelines.__main__ import main\n"
        f"for arguments, status in {asked}:\n"
        "    try: found = main(arguments)\n"
        "    except SystemExit as end: found = end.code\n"
        "    heavy = {'tensorflow', 'keras', 'matplotlib', 'sklearn', 'librosa'} & set(sys.modules)\n"
        "    assert found == status and not heavy, (arguments, found, heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
