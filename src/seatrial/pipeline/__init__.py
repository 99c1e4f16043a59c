"""decode → preprocess → infer → postprocess as named stages, on the images that a plan names.

For: building a pipeline from its plan, and errors where model and plan do not fit. Not for: finding images (images), ground
truth (parity), timing or comparing.
"""
