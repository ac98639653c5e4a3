"""SavedModel, ONNX and LiteRT exports, each compared with the run."""
