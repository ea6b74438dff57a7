/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A gRPC server's answer, as the worker reads it; and any service's name, as a reader of protobuf finds it again. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "health/grpc-message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char message[GRPC_REQUEST_MAX];
	int32_t status = -1;
	size_t n;

	if (grpc_response_parse(data, size, &status) == 0)
		assert(status >= 0);
	if (size > GRPC_SERVICE_MAX)
		return 0;
	n = grpc_request((const char *)data, size, message);
	assert(n >= GRPC_FRAME_LEN + size && n <= GRPC_FRAME_LEN + size + 3);
	assert(memcmp(message + n - size, data, size) == 0);
	/* A request has a string where a response has its status. */
	assert(grpc_response_parse(message, n, &status) == 0 && status == 0);
	return 0;
}
