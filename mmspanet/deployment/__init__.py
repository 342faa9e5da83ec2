"""Models as ONNX graphs: the spectral step without FFTs, and the parts that a graph can hold."""
