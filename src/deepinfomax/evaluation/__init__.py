"""Evaluation: what a frozen encoder, ours or not, is worth. One file per measure; `evaluate` runs them."""

from deepinfomax.evaluation.embeddings_evaluation import evaluate_embeddings
from deepinfomax.evaluation.encoder_evaluation import evaluate
from deepinfomax.evaluation.measures import MEASURES

__all__ = ["MEASURES", "evaluate", "evaluate_embeddings"]
