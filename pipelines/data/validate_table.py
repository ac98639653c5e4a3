"""The report of `pipelines.data.validate` as lines of text."""

from typing import Any

MOST_LABELS = 40
"""Labels of a split that are shown, the most frequent ones."""


def table(report: dict[str, Any]) -> str:
    """Lay out a report as lines of text."""
    lines = []
    for name, split in report["splits"].items():
        lines.append(f"{name}: {split['examples']} examples, {split['bad']} unusable")
        total = max(1, split["examples"])
        frequent = sorted(split["labels"].items(), key=lambda item: (-item[1], item[0]))[:MOST_LABELS]
        lines += [f"  label {label:<20}{count:>9}  {count / total:.1%}" for label, count in frequent]
        rare = len(split["labels"]) - len(frequent)
        lines += [f"  and {rare} labels that are not as frequent"] if rare else []
        for unit in ("words", "characters"):
            lengths = ", ".join(f"{k if k in ('min', 'max') else k + ' %'} {v}" for k, v in split[unit].items())
            lines += [f"  {unit:<12}{lengths}"] if lengths else []
        if split["unseen_words"] is not None:
            lines.append(f"  unseen words in train: {split['unseen_words']:.2%} of all words")
        kinds = {"duplicates": split["duplicates"], "not in normal form NFC": split["not_nfc"]}
        kinds |= {"unusual but used": split["unusual"]}
        kinds |= {f"also in {other}": found for other, found in split["also_in"].items()}
        lines += [f"  {kind}: {f['count']} ({', '.join(f['at'])})" for kind, f in kinds.items() if f["count"]]
    lines += [
        f"{name}: cannot be read, and training does not need it: {why}" for name, why in report["unreadable"].items()
    ]
    return "\n".join([*lines, *(f"training would refuse: {reason}" for reason in report["refusals"])])
