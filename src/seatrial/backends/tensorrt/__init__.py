"""TensorRT 10 and 11, and TensorRT-RTX: networks of ONNX files, engines of networks, and running them.

For: building an engine where it can be built, keeping it, and running it as a backend. Not for: precisions, which are the
model's own (precision/). What differs between the libraries is in library.py alone.
"""
