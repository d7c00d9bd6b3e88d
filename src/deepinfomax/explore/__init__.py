"""What is in this folder: a map of the images, groups, near-copies, outliers and doubtful labels, on one page.

One file answers one question (`map`, `clusters`, `duplicates`, `outliers`, `label_doubts`), from the vectors of a
`Representation` alone. `analysis` asks all of them of an encoder and of a control that has learned nothing, so that a
reader sees what the encoder adds; `page` and `tables` write what was found.
"""
