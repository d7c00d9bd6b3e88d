"""Evaluation: what a frozen encoder, ours or not, is worth. One file per measure; `evaluate` runs them."""

from deepinfomax.evaluation.suite import MEASURES, evaluate, evaluate_embeddings

__all__ = ["MEASURES", "evaluate", "evaluate_embeddings"]
