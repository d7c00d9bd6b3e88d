from .embeddings_evaluation import evaluate_embeddings as evaluate_embeddings
from .encoder_evaluation import evaluate as evaluate
from .measures import MEASURES as MEASURES
