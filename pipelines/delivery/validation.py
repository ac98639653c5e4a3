"""The command behind ``pipelines validate``: open the data as training would, and report on it."""

import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pipelines import config as configuration
from pipelines import load_settings, load_task
from pipelines.data.catalogue import located
from pipelines.data.sources.source import Problem
from pipelines.data.validate import View, usual_facets, validate
from pipelines.data.validate_table import table
from pipelines.training.evaluation import MAX_BAD


def run(task: str, data: str, settings: Mapping[str, Any], config: str | None = None, as_json: bool = False) -> int:
    """Print every unusable or unusual example as it is found, then the report; status 1 when training would refuse.

    With ``as_json`` each line is one object: ``{"split", "where", "reason"}`` for an unusable example, with ``note``
    for ``reason`` where it is used nevertheless, and the report last.

    Raises:
        ValueError: a wrong setting, or data that cannot be opened.
    """
    settings_module = load_settings(task)
    file = Path(config) if config else None
    chosen = configuration.resolve(settings_module.Config, settings_module.PRESETS, "default", file, settings)
    module = load_task(task)

    def tell(name: str, split: str, found: Problem) -> None:
        record = {"split": split, "where": found.where, name: found.reason}
        line = f"{found.where}: {'note: ' if name == 'note' else ''}{found.reason}"
        print(json.dumps(record, ensure_ascii=False) if as_json else line)

    source = module.open_source(located(data), chosen)
    view: View = usual_facets
    if hasattr(module, "viewer"):
        view = module.viewer(chosen, source)
    elif hasattr(module, "facets"):
        view = partial(module.facets, chosen)
    report = validate(source, view, partial(tell, "reason"), MAX_BAD, partial(tell, "note"))
    for sentence in source.cuts.values():
        print(sentence, file=sys.stderr)
    print(json.dumps(report, ensure_ascii=False) if as_json else table(report))
    return int(bool(report["refusals"]))
