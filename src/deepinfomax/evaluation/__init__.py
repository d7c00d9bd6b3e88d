"""Evaluation: what a frozen encoder, ours or not, is worth. One file per measure; `evaluate` runs them."""

from deepinfomax.evaluation.evaluate_embeddings import evaluate_embeddings
from deepinfomax.evaluation.evaluate_encoder import evaluate
from deepinfomax.evaluation.measures import MEASURES

__all__ = ["MEASURES", "evaluate", "evaluate_embeddings"]
