"""One module per format; each registers a `divbench.images.reader.Reader`."""
