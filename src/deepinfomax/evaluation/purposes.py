"""What each measure is for, in words for the help pages: a question that its figure answers.

Light on purpose: `--help` shows it and imports no measure, since measures need torch.
"""

#: name of a measure -> the question; the first group needs labels, the second none
WITH_LABELS = {
    "mlp": "can a small network tell the classes? (the paper's measure)",
    "linear": "can a weighted sum tell them: are classes simply laid out?",
    "knn": "have an image's neighbours its class? Nothing is trained.",
    "svm": "can a linear support vector machine? (the paper's Table 4)",
    "attributes": "which yes/no attributes can be told? (CelebA)",
    "semi_supervised": "how good is the encoder, trained on, with few labels?",
}
WITHOUT_LABELS = {
    "reconstruction": "how much of an image can be drawn again from y?",
    "rank": "how many directions does y use: has it collapsed?",
    "mine": "how much information, in nats, do y and the image share?",
    "decoding": "by how many nats does y shorten an image's description?",
    "ndm": "how far from independent are the units of y, in nats?",
    "distribution": "can a network tell y from samples of each prior?",
}
PURPOSES = {**WITH_LABELS, **WITHOUT_LABELS}


def listing() -> str:
    """All measures for a terminal."""

    def group(title: str, purposes: dict[str, str]) -> str:
        return "\n".join([title, *(f"  {name:17s}{question}" for name, question in purposes.items())])

    return f"{group('With labels:', WITH_LABELS)}\n{group('Without labels:', WITHOUT_LABELS)}"
