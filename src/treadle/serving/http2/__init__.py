"""The part of HTTP/2 that a gRPC server needs."""
