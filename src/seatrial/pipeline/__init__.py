"""decode → preprocess → infer → postprocess as named stages, on the images that a plan names.

For: building a pipeline from its plan, finding and checking images and ground truth. Not for: timing or comparing.
"""
