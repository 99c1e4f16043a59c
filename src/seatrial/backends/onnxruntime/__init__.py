"""ONNX Runtime as backends: its CPU, CUDA and TensorRT providers and its plugins, from Python and by the C API.

Read providers.py first. Imports nothing by itself: sessions are opened late.
"""
