"""The house stands as the README draws it: who may import whom, how long a file may be, what never occurs."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import TASKS, load_task
from pipelines.task import Task

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*ROOT.glob("models/**/*.py"), *ROOT.glob("pipelines/**/*.py")])
ROOMS = ["models", "pipelines.data", "pipelines.training", "pipelines.delivery"]
MATHEMATICS = [
    *(path for path in SOURCES if path.parent.name == "models"),
    *sorted(ROOT.glob("pipelines/training/*metrics*.py")),
    *(ROOT / "pipelines" / "data" / f"{name}.py" for name in ("audio", "images", "inputs")),
]
COMMON = {"pipelines", "pipelines.config", "pipelines.log", "pipelines.task"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(module: str) -> str:
    return next((room for room in ROOMS if module == room or module.startswith(room + ".")), "")


def is_task(module: str) -> bool:
    return any(module == f"pipelines.{t}" or module.startswith(f"pipelines.{t}_") for t in TASKS)


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
def test_imports_run_downhill_only(path: Path) -> None:
    own = module_name(path)
    for other in imports(path):
        if not other.startswith(("models", "pipelines")) or other in COMMON:
            continue
        if room(own):
            assert not is_task(other), f"{own} imports the task {other}"
        if room(own) and room(other):
            assert ROOMS.index(room(other)) <= ROOMS.index(room(own)), f"{own} imports {other}"
    if room(own) == "models":
        assert not [other for other in imports(path) if other.startswith("pipelines")]


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_tensorflow_stays_out_of_the_mathematics(path: Path) -> None:
    if room(module_name(path)) == "models" and not path.name.startswith("kernels"):
        assert not [other for other in imports(path) if other.split(".")[0] in ("tensorflow", "torch", "jax")]


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_sizes_and_docstrings(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= 300, f"{path.name} has outgrown a room"
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
        about_words = node.name in ("get_config", "report")
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


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_nothing_pickled_no_lambda_layer_no_keras_archive(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert not {"pickle", "joblib", "dill", "cloudpickle"} & {name.split(".")[0] for name in imports(path)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("Lambda", "load_model"), f"{path.name}:{node.lineno}"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert isinstance(node.value, ast.Constant) and node.value.value is False


@pytest.mark.parametrize("name", list(TASKS))
def test_a_task_has_every_part_of_the_protocol(name: str) -> None:
    task = load_task(name)
    for part in (*Task.__annotations__, *(n for n, _ in inspect.getmembers(Task, inspect.isfunction))):
        names = (part, "signatures") if part == "SIGNATURES" else (part,)  # either, see Task
        assert part.startswith("_") or any(hasattr(task, one) for one in names), f"{name} lacks {part}"


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
