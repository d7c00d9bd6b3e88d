"""Scales: how long a measure trains what it trains. "smoke": seconds; "cpu": minutes; "paper": as the paper has it."""

from collections.abc import Mapping
from typing import TypeVar

from deepinfomax.errors import UserError
from deepinfomax.recipes import SCALES, Scale

__all__ = ["Scale", "at_scale", "check_scale"]

S = TypeVar("S")


def check_scale(scale: str) -> Scale:
    """Raises UserError for a scale that does not exist."""
    for known in SCALES:
        if known == scale:
            return known
    raise UserError(f"unknown scale {scale!r}; choose smoke, cpu or paper")


def at_scale(settings: Mapping[Scale, S], scale: Scale) -> S:
    """The settings of a scale. Raises UserError for a scale that does not exist."""
    return settings[check_scale(scale)]
