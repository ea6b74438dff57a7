# SPDX-License-Identifier: GPL-2.0-or-later
"""grpc.health.v1.Health on two ports of 127.0.0.1, in the clear and over TLS, with gRPC's own library.

    grpc-health.py PORT TLS_PORT CERTIFICATE KEY

The services "" and "up" are serving, "down" is not, "slow" never answers; others are not known.
"""

import sys
import threading
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVING, NOT_SERVING = 1, 2


def messages():
    """The two messages of health.proto, without a compiler of them."""
    field = descriptor_pb2.FieldDescriptorProto
    proto = descriptor_pb2.FileDescriptorProto(name="health.proto", package="grpc.health.v1")
    request = proto.message_type.add(name="HealthCheckRequest")
    request.field.add(name="service", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    response = proto.message_type.add(name="HealthCheckResponse")
    response.field.add(name="status", number=1, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(proto)
    factory = message_factory.MessageFactory(pool)
    return [
        factory.GetPrototype(pool.FindMessageTypeByName("grpc.health.v1." + name))
        for name in ("HealthCheckRequest", "HealthCheckResponse")
    ]


Request, Response = messages()


def check(request, context):
    if request.service == "slow":
        threading.Event().wait(60)
    if request.service not in ("", "up", "down"):
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return Response(status=NOT_SERVING if request.service == "down" else SERVING)


def main():
    port, tls_port, certificate, key = sys.argv[1:]
    with open(certificate, "rb") as c, open(key, "rb") as k:
        credentials = grpc.ssl_server_credentials([(k.read(), c.read())])
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    handler = grpc.unary_unary_rpc_method_handler(
        check, request_deserializer=Request.FromString, response_serializer=Response.SerializeToString
    )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler})]
    )
    server.add_insecure_port("127.0.0.1:" + port)
    server.add_secure_port("127.0.0.1:" + tls_port, credentials)
    server.start()
    server.wait_for_termination()


main()
