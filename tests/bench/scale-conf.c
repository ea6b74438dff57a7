/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/bench/scale-conf.h"

#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "tests/lab/gateway.h"
#include "tests/lab/lab.h"

#define TARGET_FORMAT "10.%u.%u.%u"

/* 200 targets of a service share a /24, so that none is a network's or a broadcast's address. */
#define TARGET_ARGUMENTS(service, target) (service) + 1, (target) / 200, (target) % 200 + 1

enum {
	ADDRESS_MAX = 32,
};

unsigned scale_changed_target(const struct scale *s)
{
	return s->targets / 2;
}

struct ipvs_service_key scale_service(unsigned service)
{
	struct ipvs_service_key key = {
		.family = AF_INET,
		.protocol = IPPROTO_TCP,
		.port = (uint16_t)(SCALE_PORT + service),
	};

	if (addr_parse(SCALE_VIP, &key.addr) < 0)
		abort();
	return key;
}

struct addr scale_target(unsigned service, unsigned target)
{
	char text[ADDRESS_MAX];
	struct addr a;

	(void)snprintf(text, sizeof(text), TARGET_FORMAT, TARGET_ARGUMENTS(service, target));
	if (addr_parse(text, &a) < 0)
		abort();
	return a;
}

static unsigned weight(const struct scale *s, unsigned service, unsigned target)
{
	return service == s->services - 1 && target == scale_changed_target(s) ? s->changed_weight
									       : SCALE_WEIGHT;
}

static int replace(const char *path, int (*write)(const struct scale *, FILE *),
		   const struct scale *s)
{
	char fresh[PATH_MAX];
	FILE *f;
	int r;

	(void)snprintf(fresh, sizeof(fresh), "%s.new", path);
	f = fopen(fresh, "we");
	if (!f)
		return lab_fail(errno, "%s", path);
	r = write(s, f);
	if (fclose(f) != 0 || r < 0 || rename(fresh, path) < 0)
		return lab_fail(errno, "%s", path);
	return 0;
}

static int print_ipvsd(const struct scale *s, FILE *f)
{
	int r = fprintf(f,
			"[ipvsd]\ncontrol-socket = " LAB_CONTROL_SOCKET
			"\nstate-directory = " LAB_STATE_DIRECTORY
			"\nhealth-user = nobody\nreconcile-interval = %s\n",
			s->reconcile);

	for (unsigned i = 0; i < s->services; i++) {
		r |= fprintf(f,
			     "[listener s%u]\naddress = " SCALE_VIP
			     "\nport = %u\nforward = g%u\n\n[target-group g%u]\n"
			     "algorithm = round-robin\nhealth-check-protocol = none\ntargets =",
			     i, SCALE_PORT + i, i, i);
		for (unsigned j = 0; j < s->targets; j++)
			r |= fprintf(f, " " TARGET_FORMAT ":%u weight=%u\n", TARGET_ARGUMENTS(i, j),
				     SCALE_TARGET_PORT, weight(s, i, j));
	}
	return r;
}

/* Without a router_id it asks the resolver for the host's name, and waits 9 s where there is none. */
static int print_keepalived(const struct scale *s, FILE *f)
{
	int r = fprintf(f, "global_defs {\n\trouter_id bench\n}\n");

	for (unsigned i = 0; i < s->services; i++) {
		r |= fprintf(f,
			     "virtual_server " SCALE_VIP " %u {\n\tlvs_sched wrr\n"
			     "\tlvs_method NAT\n\tprotocol TCP\n",
			     SCALE_PORT + i);
		for (unsigned j = 0; j < s->targets; j++)
			r |= fprintf(f,
				     "\treal_server " TARGET_FORMAT " %u {\n\t\tweight %u\n\t}\n",
				     TARGET_ARGUMENTS(i, j), SCALE_TARGET_PORT, weight(s, i, j));
		r |= fprintf(f, "}\n");
	}
	return r;
}

static int print_ipvsadm(const struct scale *s, FILE *f)
{
	int r = 0;

	for (unsigned i = 0; i < s->services; i++) {
		r |= fprintf(f, "-A -t " SCALE_VIP ":%u -s wrr\n", SCALE_PORT + i);
		for (unsigned j = 0; j < s->targets; j++)
			r |= fprintf(f, "-a -t " SCALE_VIP ":%u -r " TARGET_FORMAT ":%u -m -w %u\n",
				     SCALE_PORT + i, TARGET_ARGUMENTS(i, j), SCALE_TARGET_PORT,
				     weight(s, i, j));
	}
	return r;
}

int scale_write_ipvsd(const struct scale *s, const char *path)
{
	return replace(path, print_ipvsd, s);
}

int scale_write_keepalived(const struct scale *s)
{
	return replace(SCALE_KEEPALIVED_CONF, print_keepalived, s);
}

int scale_write_ipvsadm(const struct scale *s)
{
	return replace(SCALE_IPVSADM_RULES, print_ipvsadm, s);
}
