"""How a person reads a result: its headline, and the remarks without which it should not be believed."""

from collections.abc import Mapping
from typing import Any

from deepinfomax.evaluation.few_labels import parse_measure_name
from deepinfomax.evaluation.measure import Figure, Measure
from deepinfomax.evaluation.measures import MEASURES

#: the note on a level that an encoder does not have
NO_LEVEL = "the encoder has no {}, so nothing is measured there"


def headline_figure(measure: Measure, result: Mapping[str, Any]) -> tuple[Figure, str] | None:
    """The first figure of the measure that the result has, and its value with its error; None if it has none.

    Nats come with their standard error; a remark that is True stands in capitals behind the value.
    """
    for figure in measure.figures:
        value = result.get(figure.key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        shouted = "".join(f" {remark.key.upper()}" for remark in measure.remarks if result.get(remark.key) is True)
        if figure.unit != "nats":
            return figure, f"{value:.3f}{shouted}"
        error = result.get(figure.error or "")
        return figure, f"{value:.2f}" + (f" ± {error:.2f}" if isinstance(error, int | float) else "") + shouted
    return None


def headline(measure: Measure, result: Mapping[str, Any]) -> str:
    """The headline of a result and its seconds, for the terminal: "accuracy 0.601 ± 0.003 (12.1 s)"."""
    read = headline_figure(measure, result)
    seconds = f"({result.get('seconds', 0):.1f} s)"
    if read is None:
        return f"done {seconds}"
    figure, value = read
    if figure.unit == "nats":
        return f"{value} nats {seconds}"
    error = result.get(figure.error or "")
    spread = f" ± {error:.3f}" if isinstance(error, int | float) else ""
    return f"{figure.key.replace('_', ' ')} {value}{spread} {seconds}"


def remarks(measure: Measure, result: Mapping[str, Any]) -> list[str]:
    """What a person should know before believing the result."""
    return [remark.text.format_map(result) for remark in measure.remarks if result.get(remark.key)]


def cell(name: str, result: Mapping[str, Any]) -> str:
    """The value that a table shows for a result; "-" where it has none.

    A result of a measure that is not installed here, or of a control, shows its first number.
    """
    base, _ = parse_measure_name(name)
    if base in MEASURES:
        read = headline_figure(MEASURES[base], result)
        return "-" if read is None else read[1]
    numbers = (value for value in result.values() if isinstance(value, int | float) and not isinstance(value, bool))
    return next((f"{value:.3f}" for value in numbers), "-")
