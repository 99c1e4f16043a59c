"""Pre- and postprocessing: the same functions in the trial, in training and in serving.

`preprocess` and `postprocess` are public. `reference` holds the readable NumPy/OpenCV twins: the truth in tests.
"""
