"""Packages that only some commands need: whether they are here, in a version that fits, without importing them."""

import importlib.util
from importlib import metadata

EXTRAS = {
    "web": ("gradio>=6.16,<7",),
    "serve": ("uvicorn>=0.54,<1", "starlette>=1,<2", "prometheus-client>=0.21,<1", "python-multipart>=0.0.20,<1"),
    "tf-serving": ("tensorflow-serving-api>=2.21,<2.22",),
    "onnx": ("tf2onnx>=1.17", "onnxruntime>=1.22"),
    "litert": ("ai-edge-litert>=2",),
}
"""As in pyproject.toml, which an installation does not have; what it has instead may be older than the code."""
MODULES = {"tensorflow-serving-api": "tensorflow_serving"}
"""Names of modules, where they are not those of their packages."""


def unmet(extra: str) -> dict[str, str]:
    """Return the requirements of an extra that are not met, with what is here instead.

    Args:
        extra: one of ``EXTRAS``.

    Returns:
        By requirement, as ``EXTRAS`` has it, the version that is here, or "" where the package is not here.
    """
    from packaging.requirements import Requirement  # noqa: PLC0415  # every command imports us, few compare versions

    found = {}
    for text in EXTRAS[extra]:
        requirement = Requirement(text)
        there, version = _installed(requirement.name)
        if not there or (version and not requirement.specifier.contains(version, prereleases=True)):
            found[text] = version
    return found


def _installed(name: str) -> tuple[bool, str]:
    """Say whether a package can be imported, and its version; "" for another build, such as onnxruntime-gpu."""
    spec = importlib.util.find_spec(MODULES.get(name, name.replace("-", "_")))
    if spec is None:
        return False, ""
    try:
        return True, metadata.version(name)
    except metadata.PackageNotFoundError:
        return spec.origin is not None, ""  # a folder of that name has no origin


def need(extra: str, sentence: str) -> None:
    """Refuse when an extra is not installed, or in other versions than those that were tried.

    Args:
        extra: one of ``EXTRAS``.
        sentence: what needs it, and how to install it.

    Raises:
        ValueError: with the sentence, and the versions that are here where they do not fit.
    """
    wrong = unmet(extra)
    if wrong:
        raise ValueError(sentence + instead(wrong))


def instead(wrong: dict[str, str]) -> str:
    """Return the versions that are here instead of what ``unmet`` names, in brackets; "" where there are none."""
    others = [f"{version} is here, expected {text}" for text, version in wrong.items() if version]
    return f" ({'; '.join(others)})" if others else ""
