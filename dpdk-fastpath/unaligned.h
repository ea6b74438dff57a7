/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Integers in network order at any address. */

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t unaligned_read_be16(const uint8_t *at)
{
	uint16_t v;

	memcpy(&v, at, sizeof(v));
	return be16toh(v);
}

static inline uint32_t unaligned_read_be32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return be32toh(v);
}

static inline void unaligned_write_be16(uint8_t *at, uint16_t value)
{
	uint16_t v = htobe16(value);

	memcpy(at, &v, sizeof(v));
}

static inline void unaligned_write_be32(uint8_t *at, uint32_t value)
{
	uint32_t v = htobe32(value);

	memcpy(at, &v, sizeof(v));
}
