"""Bad captions counted like pictures: their share of all captions is what counts as the share of bad examples."""

from pipelines.data.sources.source import Problem


class Lost:
    """Rows and captions that cannot be used; as many as a picture has make one bad picture.

    Counted one by one against pictures of five captions each, 2.5 % of bad captions would read as 11 %.
    """

    def __init__(self) -> None:
        self.found: list[tuple[Problem, bool]] = []

    def row(self, problem: Problem) -> None:
        """Keep a row that cannot be read."""
        self.found.append((problem, True))

    def caption(self, problem: Problem) -> None:
        """Keep a caption that cannot be used."""
        self.found.append((problem, False))

    def told(self, pictures: int, rows: int, captions: int) -> tuple[list[Problem], list[str]]:
        """Name everything that was kept, by file and line.

        Args:
            pictures: how many have a usable caption.
            rows: how many hold one.
            captions: how many are usable.

        Returns:
            Problems, one for as much as a picture has; where all of it is less than half of that, sentences instead.
        """
        share = {True: pictures / max(1, rows), False: pictures / max(1, captions)}
        whole: list[list[Problem]] = []
        held: list[Problem] = []
        weight = 0.0
        for problem, is_row in self.found:
            held.append(problem)
            weight += share[is_row]
            if weight > 0.999 or not pictures:
                whole.append(held)
                held, weight = [], 0.0
        if weight >= 0.5:
            whole.append(held)
            held = []
        elif whole:
            whole[-1] += held
            held = []
        return [_joined(*group) for group in whole], [f"{p.where}: {p.reason}" for p in held]


def _joined(first: Problem, *others: Problem) -> Problem:
    return Problem(first.where, "; ".join([first.reason, *(f"{p.where}: {p.reason}" for p in others)]))
