"""What runs the network: PyTorch, onnxruntime or OpenVINO, behind one call."""
