/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * IP addresses, prefixes and sockets as values. Addresses are stored in network order; ports in host order,
 * except in struct sockaddr. Unused bytes are zero, so that structs compare and hash by their members.
 * Pure: no resolver, no I/O.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct addr {
	uint16_t family; /* AF_INET, AF_INET6, or AF_UNSPEC for "none" */
	uint16_t zero;	 /* instead of padding: structs that hold addresses are hashed as bytes */
	union {
		struct in_addr in;
		struct in6_addr in6;
		uint8_t bytes[16]; /* IPv4: the first four, the rest zero */
	};
};

struct prefix {
	struct addr addr; /* host bits are zero */
	uint8_t len;	  /* 0..32 or 0..128 */
};

enum {
	ADDR_STR_MAX = INET6_ADDRSTRLEN,
	ADDR_PORT_STR_MAX = INET6_ADDRSTRLEN + 8, /* "[v6]:65535" and the final NUL */
};

/* Numeric IPv4 or IPv6, nothing before or after it; -EINVAL otherwise. */
int addr_parse(const char *text, struct addr *ret);

/* "10.0.0.1:80" or "[2001:db8::1]:80"; a missing port gives *ret_port = 0. -EINVAL otherwise. */
int addr_port_parse(const char *text, struct addr *ret, uint16_t *ret_port);

/* "10.0.0.0/8", "::/0" or a bare address (full length). -EINVAL; -ERANGE where host bits are set. */
int prefix_parse(const char *text, struct prefix *ret);

/* These return buf. */
const char *addr_format(const struct addr *a, char buf[static ADDR_STR_MAX]);
const char *addr_port_format(const struct addr *a, uint16_t port,
			     char buf[static ADDR_PORT_STR_MAX]);

/* Total order: family, then bytes. */
int addr_cmp(const struct addr *a, const struct addr *b);
bool addr_eq(const struct addr *a, const struct addr *b);
bool prefix_contains(const struct prefix *p, const struct addr *a);

/* 4, 16, or 0 for AF_UNSPEC. */
size_t addr_len_bytes(const struct addr *a);

/* A host address that can be bound or connected to: not unspecified, multicast or broadcast. */
bool addr_is_host(const struct addr *a);

/* Returns the length used. */
socklen_t addr_to_sockaddr(const struct addr *a, uint16_t port, struct sockaddr_storage *ret);
