/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/sctp-crc.h"

#include <assert.h>
#include <endian.h>

enum {
	LEN_BITS = 17, /* an IPv6 payload may be that of IPv4 and a few bytes */
};

/* Bits are reflected: bit 31 is x^0. */
#define POLYNOMIAL 0x82f63b78u

/* The product of two polynomials of degree < 32, modulo the CRC's. */
static uint32_t multiply(uint32_t a, uint32_t b)
{
	uint32_t product = 0;

	for (; a; a <<= 1) {
		if (a & 0x80000000)
			product ^= b;
		b = b & 1 ? b >> 1 ^ POLYNOMIAL : b >> 1;
	}
	return product;
}

/* What a byte of the change does to the CRC is carried over packet_bytes by x^(8 * packet_bytes). */
uint32_t sctp_crc_of_change(uint32_t change, uint32_t packet_bytes)
{
	/* x^(8 * 2^n); the test makes them by squaring. */
	static const uint32_t powers[LEN_BITS] = {
		0x00800000, 0x00008000, 0x82f63b78, 0x6ea2d55c, 0x18b8ea18, 0x510ac59a,
		0xb82be955, 0xb8fdb1e7, 0x88e56f72, 0x74c360a4, 0xe4172b16, 0x0d65762a,
		0x35d73a62, 0x28461564, 0xbf455269, 0xe2ea32dc, 0xfe7740e6,
	};
	uint32_t r = le32toh(change);

	assert(packet_bytes < 1u << LEN_BITS);
	for (unsigned n = 0; packet_bytes; n++, packet_bytes >>= 1) {
		if (packet_bytes & 1)
			r = multiply(powers[n], r);
	}
	return htole32(r);
}
