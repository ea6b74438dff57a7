/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Conversations between two hosts of a lab, both ends held by the test: each returns when the last byte has arrived and
 * is the right one. Functions fail the running cmocka test themselves.
 */

#include <stddef.h>
#include <stdint.h>

#include "tests/lab/lab.h"

/* A socket of `type` on the host, bound to the address and port (any where NULL, 0); listening where it is a stream's. */
int conversation_server(const struct lab_host *h, int type, const char *address, uint16_t port);
/* Connected. of a stream: the connection is under way, and conversation_accept() completes it. */
int conversation_client(const struct lab_host *h, int type, const char *address, uint16_t port);
/* Waits for the connection. */
int conversation_accept(int server);

/* One datagram there and the same back. */
void conversation_udp_echo(int client, int server, size_t bytes);
/* -ETIMEDOUT, or the error that the network reported; the server's socket stays empty then. */
int conversation_udp_try(int client, int server, size_t bytes);

/* So many bytes both ways at the same time, compared. */
void conversation_tcp_exchange(int client, int server, size_t bytes);

/* The ICMP error that the client's last datagram brought, of type and code; *ret_info is its MTU. Waits for it. */
void conversation_expect_icmp(int client, int family, unsigned type, unsigned code,
			      uint32_t *ret_info);
