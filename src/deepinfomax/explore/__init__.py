"""What is in this folder: a map of the images, groups, near-copies, outliers and doubtful labels, on one page.

Each of the files `map`, `clusters`, `duplicates`, `outliers` and `label_doubts` answers one question, from the vectors
of a `Representation`. `analysis` does this for an encoder and for an untrained control, to show what the encoder adds.
`page` and `tables` write the results.
"""
