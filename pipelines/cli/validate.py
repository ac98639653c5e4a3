"""The command behind ``pipelines validate``: open the data as training would, and report on it."""

import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pipelines import config as configuration
from pipelines.data.catalogue import located
from pipelines.data.source import Problem, told
from pipelines.data.validate import validate
from pipelines.tasks import load_settings, load_task
from pipelines.training.encode import MAX_BAD


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
    report = validate(source, module.view(chosen, source), partial(tell, "reason"), MAX_BAD, partial(tell, "note"))
    for sentence in told(source.cuts):
        print(sentence, file=sys.stderr)
    print(json.dumps(report, ensure_ascii=False) if as_json else table(report, languages(chosen)))
    return int(bool(report["refusals"]))


TEXTS = {"sound": "transcripts", "picture": "captions"}
"""What the texts are called that belong to what is compared."""
MOST_LABELS = 40
"""Labels of a split that are shown, the most frequent ones."""


def languages(config: configuration.TrainingConfig) -> dict[str, str]:
    """Return the language of each kind of text, for a task whose settings name them: ``source`` -> ``en``."""
    values = configuration.to_dict(config)
    return {name: value for name in ("source", "target") if isinstance(value := values.get(name), str)}


def table(report: dict[str, Any], names: Mapping[str, str] | None = None) -> str:
    """Lay out a report as lines of text; ``names`` says more about some kinds of texts, see `languages`."""
    lines = []
    for name, split in report["splits"].items():
        lines.append(f"{name}: {split['examples']} examples, {split['bad']} unusable")
        total = max(1, split["examples"])
        frequent = sorted(split["labels"].items(), key=lambda item: (-item[1], item[0]))[:MOST_LABELS]
        lines += [f"  label {label:<20}{count:>9}  {count / total:.1%}" for label, count in frequent]
        rare = len(split["labels"]) - len(frequent)
        lines += [f"  and {rare} labels that are not as frequent"] if rare else []
        for field, found in split["fields"].items():
            said = f"({names[field]})" if names and field in names else ""
            lines += _lengths(f"{field} {said}".strip() if len(split["fields"]) > 1 else "", found)
        lines += [f"  {kind}: {f['count']} ({', '.join(f['at'])})" for kind, f in _kinds(split).items() if f["count"]]
    lines += [
        f"{name}: cannot be read, and training does not need it: {why}" for name, why in report["unreadable"].items()
    ]
    return "\n".join([*lines, *(f"training would refuse: {reason}" for reason in report["refusals"])])


def _lengths(field: str, found: dict[str, Any]) -> list[str]:
    """Lines about the texts of one field, which is named where there are several."""
    of, lines = f", {field}" if field else "", []
    for unit in ("words", "characters"):
        lengths = ", ".join(f"{k if k in ('min', 'max') else k + ' %'} {v}" for k, v in found[unit].items())
        lines += [f"  {unit + of + (':' if of else ''):<12}{' ' if of else ''}{lengths}"] if lengths else []
    if found["unseen_words"] is not None:
        lines.append(f"  unseen words in train{of}: {found['unseen_words']:.2%} of all words")
    return lines


def _kinds(split: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What is counted and named, by what it is called."""
    how = "" if split["compared"] == "text" else f" (equal {split['compared']})"
    kinds = {f"duplicates{how}": split["duplicates"]}
    kinds |= {f"also in {other}{how}": found for other, found in split["also_in"].items()}
    for other, found in (split["equal_texts"] or {}).items():
        texts = TEXTS[split["compared"]]
        kinds[f"equal {texts}" if other == "within" else f"{texts} also in {other}"] = found
    return kinds | {"not in normal form NFC": split["not_nfc"], "unusual but used": split["unusual"]}
