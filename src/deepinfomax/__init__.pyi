from . import encoders as encoders
from . import information as information
from . import objectives as objectives
from . import recipes as recipes
from .encoders.averaged import Averaged as Averaged
from .encoders.storage import load as load
from .encoders.wrapping import wrap as wrap
from .errors import UserError as UserError
from .evaluation.distribution import EncoderDistribution as EncoderDistribution
from .evaluation.distribution import encoder_distribution as encoder_distribution
from .evaluation.embeddings import embed as embed
from .evaluation.encoder_evaluation import evaluate as evaluate
from .features import Features as Features
from .information import bounds as bounds
from .information import pairs as pairs
from .information.estimate import MIEstimate as MIEstimate
from .information.estimation import estimate_mi as estimate_mi
from .information.pairs import local_infomax as local_infomax
from .information.several import conditional_mi as conditional_mi
from .information.tables import mi_matrix as mi_matrix
from .information.tables import mi_with as mi_with
from .training.loop import train as train

__version__: str
