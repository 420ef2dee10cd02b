"""The network behind one call: PyTorch, ONNX Runtime, OpenVINO; and the export to what the latter two read."""
