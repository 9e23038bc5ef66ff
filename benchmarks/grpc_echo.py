"""The least that a grpcio server can do with the messages of `ModelInfer`: read the request, and send an answer back.

Arguments: the gRPC port, and a port where `GET` is answered with 200 as soon as it serves.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc

from treadle.serving.inference_messages import SERVICE, message

_REQUEST, _RESPONSE = message("ModelInferRequest"), message("ModelInferResponse")


async def infer(request: Any, context: Any) -> Any:
    """Answer with as many outputs as our server does."""
    made = _RESPONSE(model_name=request.model_name, model_version="1", id="0123456789abcdef0123456789")
    made.outputs.add(name="prediction", datatype="BOOL", shape=[1])
    made.outputs.add(name="probability", datatype="FP64", shape=[1])
    made.raw_output_contents.extend([b"\1", b"01234567"])
    return made


async def main(port: int, ready: int) -> None:
    """Serve until the process is ended."""
    handler = grpc.unary_unary_rpc_method_handler(infer, _REQUEST.FromString, _RESPONSE.SerializeToString)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"ModelInfer": handler}),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()

    async def well(reader: Any, writer: Any) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    await asyncio.start_server(well, "127.0.0.1", ready)
    await server.wait_for_termination()


if __name__ == "__main__":
    try:
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    except ImportError:
        pass
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
