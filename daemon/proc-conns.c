/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/proc-conns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum {
	/* Pro FromIP FPrt ToIP TPrt DestIP DPrt State Expires [PEName PEData] */
	FIELD_PROTOCOL = 0,
	FIELD_CLIENT_PORT = 2,
	FIELD_DEST = 5,
	FIELD_DEST_PORT = 6,
	FIELD_STATE = 7,
	FIELDS = 8,
	FIELD_MAX_BYTES = 48,
};

void proc_conns_deinit(struct proc_conns *c)
{
	free(c->items);
	*c = (struct proc_conns){ 0 };
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse_hex(const char *text, size_t digits, uint32_t *ret)
{
	uint32_t n = 0;

	if (strlen(text) != digits)
		return -EBADMSG;
	for (size_t i = 0; i < digits; i++) {
		int d = hex_digit(text[i]);

		if (d < 0)
			return -EBADMSG;
		n = n << 4 | (uint32_t)d;
	}
	*ret = n;
	return 0;
}

/* IPv4: eight hexadecimal digits; IPv6: text. */
static int parse_address(const char *text, struct addr *ret)
{
	uint32_t v4;

	if (strchr(text, ':'))
		return addr_parse(text, ret) < 0 ? -EBADMSG : 0;
	if (parse_hex(text, 8, &v4) < 0)
		return -EBADMSG;
	*ret = (struct addr){ .family = AF_INET, .in.s_addr = htonl(v4) };
	return 0;
}

static size_t split(const char *line, char fields[static FIELDS][FIELD_MAX_BYTES])
{
	size_t n = 0;

	while (n < FIELDS) {
		size_t len;

		line += strspn(line, " \t\n");
		len = strcspn(line, " \t\n");
		if (!len || len >= FIELD_MAX_BYTES)
			break;
		memcpy(fields[n], line, len);
		fields[n++][len] = '\0';
		line += len;
	}
	return n;
}

int proc_conn_parse(const char *line, struct proc_conn *ret)
{
	char fields[FIELDS][FIELD_MAX_BYTES];
	struct proc_conn c = { 0 };
	uint32_t dest_port, client_port;

	if (split(line, fields) < FIELDS || parse_address(fields[FIELD_DEST], &c.dest) < 0 ||
	    parse_hex(fields[FIELD_DEST_PORT], 4, &dest_port) < 0 ||
	    parse_hex(fields[FIELD_CLIENT_PORT], 4, &client_port) < 0)
		return -EBADMSG;
	c.dest_port = (uint16_t)dest_port;
	c.live = client_port && strcmp(fields[FIELD_PROTOCOL], "IP") != 0 &&
		 strcmp(fields[FIELD_STATE], "TIME_WAIT") != 0 &&
		 strcmp(fields[FIELD_STATE], "CLOSE") != 0;
	c.half_open = c.live && strcmp(fields[FIELD_STATE], "SYN_RECV") == 0;
	*ret = c;
	return 0;
}

static int conn_cmp(const void *a, const void *b)
{
	const struct proc_conn *x = a, *y = b;
	int r = addr_cmp(&x->dest, &y->dest);

	return r ? r : x->dest_port - y->dest_port;
}

int proc_conns_read(struct proc_conns *ret)
{
	_cleanup_(proc_conns_deinit) struct proc_conns c = { 0 };
	_cleanup_fclose_ FILE *f = fopen("/proc/thread-self/net/ip_vs_conn", "re");
	size_t room = 0;
	char line[512];

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		struct proc_conn entry;

		if (proc_conn_parse(line, &entry) < 0 || !entry.live)
			continue;
		if (c.n == room) {
			struct proc_conn *grown;

			room = room ? 2 * room : 64;
			grown = reallocarray(c.items, room, sizeof(*grown));
			if (!grown)
				return -ENOMEM;
			c.items = grown;
		}
		c.items[c.n++] = entry;
	}
	if (ferror(f))
		return -EIO;
	if (c.n)
		qsort(c.items, c.n, sizeof(*c.items), conn_cmp);
	ret->n = c.n;
	ret->items = take_ptr(c.items);
	return 0;
}

static int conn_addr_cmp(const void *a, const void *b)
{
	return addr_cmp(&((const struct proc_conn *)a)->dest, &((const struct proc_conn *)b)->dest);
}

bool proc_conns_has(const struct proc_conns *c, const struct addr *dest, uint16_t port)
{
	const struct proc_conn key = { .dest = *dest, .dest_port = port };

	return c->n && bsearch(&key, c->items, c->n, sizeof(key), port ? conn_cmp : conn_addr_cmp);
}

/* The first one of this destination; c->n when there is none. */
static size_t first_of(const struct proc_conns *c, const struct proc_conn *key,
		       int (*cmp)(const void *, const void *))
{
	size_t low = 0, high = c->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (cmp(&c->items[middle], key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t proc_conns_half_open(const struct proc_conns *c, const struct addr *dest, uint16_t port)
{
	const struct proc_conn key = { .dest = *dest, .dest_port = port };
	int (*cmp)(const void *, const void *) = port ? conn_cmp : conn_addr_cmp;
	size_t n = 0;

	for (size_t i = first_of(c, &key, cmp); i < c->n && cmp(&c->items[i], &key) == 0; i++)
		n += c->items[i].half_open;
	return n;
}
