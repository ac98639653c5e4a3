"""The page in Gradio: a tab a run. What a tab looks like follows from what its task takes in and gives."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import soundfile

from pipelines.web import answers
from pipelines.web.answers import Looks, Page
from pipelines.web.drawing import problem
from pipelines.web.limits import MOST_CHARACTERS

SCENES = {
    "en": [
        "Two dogs run through the snow.",
        "A man in a blue shirt is playing the guitar.",
        "Three children are jumping into a lake.",
        "A woman is reading a book in the park.",
    ],
    "de": [
        "Zwei Hunde rennen durch den Schnee.",
        "Ein Mann in einem blauen Hemd spielt Gitarre.",
        "Drei Kinder springen in einen See.",
        "Eine Frau liest im Park ein Buch.",
    ],
}
"""What a visitor may try first with a translation of real sentences: those of the built-in grammar are unlike any."""
KEPT = 900  # seconds after which an uploaded file is deleted
TITLE = "Recurrent task pipelines"
Answer = Callable[[Page, Any], Any]


def build(pages: Sequence[tuple[str, Page | str]], folder: Path) -> gr.Blocks:
    """Lay out the page.

    Args:
        pages: the name of each tab, with its run or the sentence that says why there is none.
        folder: for the files of the examples.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(KEPT, KEPT)) as blocks:
        gr.HTML(f"<h1>{TITLE}</h1>", elem_classes="title")
        with gr.Tabs():
            for number, (name, page) in enumerate(pages):
                with gr.Tab(name, id=number, elem_id=f"tab-{number}"):
                    if isinstance(page, str):
                        gr.HTML(problem(page), elem_id=f"answer-{number}")
                    else:
                        gr.HTML(f'<p class="note">{escape(page.summary())}</p>', elem_classes="summary")
                        TABS.get((page.task.raw, page.task.answer_output), _other)(page, folder / str(number), number)
    return blocks.queue(max_size=16, default_concurrency_limit=4)


def said(function: Answer, page: Page) -> Callable[[Any], tuple[str, Any]]:
    """Return a function that answers with HTML, whatever happens: a problem is a sentence, never a traceback.

    Its second value is what ``function`` gives beside the HTML, else None.
    """

    def answered(raw: Any) -> tuple[str, Any]:
        try:
            found = function(page, raw)
        except (ValueError, RuntimeError) as error:
            return problem(" ".join(str(error).split())), None
        except Exception as error:  # the page must stand; the one who started it reads why on stderr
            if os.environ.get("PIPELINES_DEBUG"):
                traceback.print_exc()
            print(f"pipelines web: {page.run}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            return problem(f"The answer failed ({type(error).__name__}); another input may work."), None
        return found if isinstance(found, tuple) else (found, None)

    return answered


def _ask(
    page: Page,
    number: int,
    box: Any,
    button: str,
    outputs: list[Any],
    answered: Callable[[Any], Any],
    examples: list[list[str]],
    label: str = "",
    rendered: int = 1,
) -> None:
    """Lay out an input with its button and examples on the left, and what they give on the right.

    Args:
        page: the run.
        number: of the tab.
        box: the component that takes the input, not rendered yet.
        button: what stands on it.
        outputs: components, not rendered yet, that take what ``answered`` returns.
        answered: from the input to the outputs.
        examples: rows of one input each.
        label: what stands above them.
        rendered: how many of ``outputs`` are shown, the first ones.
    """
    strange = "examples of the built-in data, unlike those that this run learned from"
    label = label or ("examples" if _learned_built_in(page) else strange)
    with gr.Row(equal_height=False):
        with gr.Column(min_width=300):
            box.render()
            pressed = gr.Button(button, variant="primary", elem_id=f"button-{number}")
            if examples:
                gr.Examples(examples, box, outputs, answered, cache_examples=False, run_on_click=True, label=label)
        with gr.Column(min_width=300):
            for part in outputs[:rendered]:
                part.render()
    pressed.click(answered, box, outputs, scroll_to_output=True, api_visibility="private")


def _learned_built_in(page: Page) -> bool:
    return bool(page.loaded.data["spec"] == "synthetic")


def _text(
    page: Page, number: int, answer: Answer, words: tuple[str, str], given: Sequence[str] = (), label: str = ""
) -> None:
    """Lay out a tab that takes a text; ``words`` name the box and the button, ``given`` are examples."""
    answered = said(answer, page)
    box = gr.Textbox(
        label=words[0], lines=5, max_lines=12, max_length=MOST_CHARACTERS, elem_id=f"input-{number}", render=False
    )
    rows = [[text] for text in given]
    _ask(page, number, box, words[1], [_shown(number)], lambda text: answered(text)[0], rows, label)


def _shown(number: int, name: str = "answer") -> Any:
    return gr.HTML(elem_id=f"{name}-{number}", elem_classes="shown", render=False)


def _opinion(page: Page, folder: Path, number: int) -> None:
    given = [str(example[page.task.raw]) for example in page.examples()]
    _text(page, number, answers.opinion, ("a text", "What does it say?"), given)


def _translation(page: Page, folder: Path, number: int) -> None:
    languages = page.loaded.task.card()
    source, target = str(languages["source"]), str(languages["target"])
    # The built-in pairs are English and German, and serve a run in either direction.
    column = {"source": "source", "en": "source", "de": "target"}.get(source, "")
    words = ("a sentence", "Translate") if source == "source" else (f"a sentence ({source})", f"Translate ({target})")
    given = [str(example[column]) for example in page.examples()] if column else []
    label = ""
    if not _learned_built_in(page) and source in SCENES:
        given, label = SCENES[source], "examples: what a picture may show"
    _text(page, number, answers.translation, words, given, label)


def _other(page: Page, folder: Path, number: int) -> None:
    _text(page, number, answers.plain, ("an input", "Answer"))


def _speech(page: Page, folder: Path, number: int) -> None:
    answered = said(answers.transcript, page)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for example in page.examples():
        files.append([str(folder / f"{example['text']}.wav")])
        soundfile.write(files[-1][0], np.asarray(example["audio"]), example["rate"])
    box = gr.Audio(
        sources=["microphone", "upload"],
        type="filepath",
        label="a recording",
        editable=False,
        buttons=["download"],
        elem_id=f"input-{number}",
        render=False,
    )
    _ask(page, number, box, "Write it down", [_shown(number)], lambda path: answered(path)[0], files)


def _captioning(page: Page, folder: Path, number: int) -> None:
    answered = said(answers.caption, page)

    def shown_for(path: str | None) -> tuple[Any, ...]:
        text, found = answered(path)
        found = found or Looks()
        slider = gr.Slider(maximum=max(1, len(found.words)), value=1, visible=bool(found.words))
        return text, slider, found.at(1), found

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for place, example in enumerate(page.examples(), start=1):
        files.append([str(folder / f"scene {place}.png")])
        Path(files[-1][0]).write_bytes(example["image"])
    step = gr.Slider(
        0,
        1,
        1,
        step=1,
        label="step through the words",
        visible=False,
        elem_id=f"step-{number}",
        buttons=[],
        render=False,
    )
    looked, looks = _shown(number, "looked"), gr.State(Looks(), time_to_live=KEPT)
    parts = [_shown(number), step, looked, looks]
    _ask(page, number, _picture(number), "Describe it", parts, shown_for, files, rendered=3)
    step.input(
        lambda looks, number: looks.at(number),
        [looks, step],
        looked,
        queue=False,
        show_progress="hidden",
        trigger_mode="always_last",
        api_visibility="private",
    )


def _picture(number: int) -> Any:
    box = gr.Image(
        sources=["upload", "clipboard"],
        type="filepath",
        image_mode=None,
        buttons=["fullscreen"],
        label="a picture (JPEG or PNG)",
        height=280,
        elem_id=f"input-{number}",
        render=False,
    )
    # Gradio would open the file and name its path in an error; `web_answers` looks at the bytes and says a sentence.
    box.preprocess = lambda payload: payload.path if payload else None
    return box


TABS: dict[tuple[str, str], Callable[[Page, Path, int], None]] = {
    ("text", "label"): _opinion,
    ("source", "translation"): _translation,
    ("audio", "text"): _speech,
    ("image", "caption"): _captioning,
}
"""What a tab looks like, by the fields ``RAW`` and ``ANSWER`` of a task; others get a text box and an answer."""
