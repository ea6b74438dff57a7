/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The two messages of grpc.health.v1.Health/Check, with gRPC's frame of five bytes before each: a flag for compression
 * and a length (grpc's PROTOCOL-HTTP2.md, health.proto). Pure.
 */

#include <stddef.h>
#include <stdint.h>

#define GRPC_HEALTH_CHECK "/grpc.health.v1.Health/Check"

enum {
	GRPC_FRAME_LEN = 5,
	GRPC_SERVICE_MAX = 1024,
	GRPC_REQUEST_MAX = GRPC_FRAME_LEN + 1 + 2 + GRPC_SERVICE_MAX,
	GRPC_SERVING = 1, /* HealthCheckResponse.ServingStatus */
	GRPC_NOT_SERVING = 2,
};

/* HealthCheckRequest of a service, "" = the server as a whole. Returns its size. */
size_t grpc_request(const char *service, size_t size, char buf[static GRPC_REQUEST_MAX]);

/* HealthCheckResponse: 0 and the serving status, of which 1 is well. -EBADMSG: not one whole message of this type. */
int grpc_response_parse(const void *bytes, size_t size, int32_t *ret_status);
