/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The probe specification of a target, from its group's configuration. */

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/registry.h"
#include "daemon/registry-via.h"

_Static_assert((int)CONF_HOST_MAX + 6 <= (int)PROTOCOL_HOST_MAX, "with a port behind it");

static const enum protocol_check checks[_CONF_CHECK_MAX] = {
	[CONF_CHECK_TCP] = PROTOCOL_CHECK_TCP,	 [CONF_CHECK_TLS] = PROTOCOL_CHECK_TLS,
	[CONF_CHECK_HTTP] = PROTOCOL_CHECK_HTTP, [CONF_CHECK_HTTPS] = PROTOCOL_CHECK_HTTPS,
	[CONF_CHECK_GRPC] = PROTOCOL_CHECK_GRPC, [CONF_CHECK_UDP] = PROTOCOL_CHECK_UDP,
	[CONF_CHECK_DNS] = PROTOCOL_CHECK_DNS,	 [CONF_CHECK_ICMP] = PROTOCOL_CHECK_ICMP,
	[CONF_CHECK_EXEC] = PROTOCOL_CHECK_EXEC, [CONF_CHECK_AGENT] = PROTOCOL_CHECK_AGENT,
};

uint16_t registry_probe_port(const struct target_group *g, const struct target *t)
{
	if (g->conf->check.port)
		return g->conf->check.port;
	return t->port ? t->port : g->listener_port;
}

/* Every byte of the record counts; a multiplication and a fold a word. */
static uint32_t record_hash(const struct protocol_probe_record *r)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < r->probe.header.size; i += sizeof(uint64_t)) {
		uint64_t word = 0;

		memcpy(&word, (const char *)r + i, MIN(sizeof(word), r->probe.header.size - i));
		h = (h ^ word) * 0x9e3779b97f4a7c15ULL;
		h ^= h >> 32;
	}
	return (uint32_t)h;
}

static void append(struct protocol_probe_record *r, enum protocol_text which, const char *text)
{
	int err = text ? protocol_probe_append(r, which, text, strlen(text)) : 0;

	assert(err == 0); /* the configuration has the protocol's limits */
}

static bool is_request(enum conf_check check)
{
	return check == CONF_CHECK_HTTP || check == CONF_CHECK_HTTPS || check == CONF_CHECK_GRPC;
}

/* What a program is told beside address and port: health/probe-exec.h. */
static void append_environment(struct protocol_probe_record *r, const struct target_group *g,
			       const struct target *t)
{
	char text[PROTOCOL_PAYLOAD_MAX];
	int n = snprintf(text, sizeof(text), "IPVSD_GROUP=%s%cIPVSD_ZONE=%s", g->name, 0, t->zone);

	assert(n > 0 && (size_t)n < sizeof(text)); /* names are short */
	n = protocol_probe_append(r, PROTOCOL_TEXT_SEND, text, (size_t)n + 1);
	assert(n == 0);
}

static void append_texts(struct protocol_probe_record *r, const struct target_group *g,
			 const struct target *t)
{
	const struct conf_health_check *check = &g->conf->check;

	if (is_request(check->protocol)) {
		append(r, PROTOCOL_TEXT_PATH, check->path ? check->path : "/");
		append(r, PROTOCOL_TEXT_HOST, check->host_header);
	}
	append(r, PROTOCOL_TEXT_SERVER_NAME, check->server_name);
	if (check->protocol == CONF_CHECK_EXEC)
		append_environment(r, g, t);
	else
		append(r, PROTOCOL_TEXT_SEND, check->send);
	append(r, PROTOCOL_TEXT_EXPECT, check->expect);
	append(r, PROTOCOL_TEXT_COMMAND, check->command);
}

/* To the listener's address, by the mark that has the kernel forward it to this target. */
static void go_through(struct protocol_probe_record *r, const struct target_group *g,
		       const struct target *t)
{
	char address[ADDR_STR_MAX];

	r->probe.addr = registry_via(g, t)->address;
	r->probe.firewall_mark = t->probe_mark;
	append(r, PROTOCOL_TEXT_THROUGH, addr_format(&t->addr, address));
}

/* AWS has no check but these over TCP, and sends the header in each (elbv2.md 1.1). */
static bool takes_proxy_header(enum conf_check check)
{
	return check == CONF_CHECK_TCP || check == CONF_CHECK_TLS || is_request(check);
}

static uint32_t probe_flags(const struct conf_group *g)
{
	const struct conf_health_check *check = &g->check;
	bool http = check->protocol == CONF_CHECK_HTTP || check->protocol == CONF_CHECK_HTTPS;
	uint32_t flags = 0;

	if (http && check->http_version && strcmp(check->http_version, "2") == 0)
		flags |= PROTOCOL_PROBE_HTTP2;
	if (conf_check_verifies(check))
		flags |= PROTOCOL_PROBE_VERIFY_CERTIFICATE;
	if (check->protocol == CONF_CHECK_GRPC && check->tls)
		flags |= PROTOCOL_PROBE_TLS;
	if (g->proxy_protocol_v2 && takes_proxy_header(check->protocol))
		flags |= PROTOCOL_PROBE_PROXY_V2;
	return flags;
}

bool registry_lacks_authorities(const struct target_group *g)
{
	return g->conf->check.ca_file && !g->authorities && conf_check_verifies(&g->conf->check);
}

bool registry_probe(const struct target_group *g, const struct target *t,
		    struct protocol_probe_record *ret)
{
	const struct conf_health_check *check = &g->conf->check;
	struct protocol_probe *p = &ret->probe;

	if (check->protocol == CONF_CHECK_NONE || !g->conf->in_use || target_is_out(t) ||
	    registry_lacks_authorities(g) ||
	    (!registry_probe_port(g, t) && conf_check_has_port(check->protocol)))
		return false;
	*p = (struct protocol_probe){
		.id = t->id,
		.check = (uint8_t)checks[check->protocol],
		.addr = t->addr,
		.port = registry_probe_port(g, t),
		.firewall_mark = check->firewall_mark,
		.flags = probe_flags(g->conf),
		.interval_usec = check->interval_usec,
		.timeout_usec = check->timeout_usec,
	};
	if (p->flags & PROTOCOL_PROBE_VERIFY_CERTIFICATE)
		p->authorities = g->authorities;
	protocol_init(&p->header, PROTOCOL_PROBE_SET, sizeof(*p));
	memcpy(p->interface, check->interface, sizeof(p->interface));
	if (is_request(check->protocol)) {
		for (unsigned i = 0; i < check->matcher.n; i++)
			p->matcher[i] = (struct protocol_range){ check->matcher.ranges[i].low,
								 check->matcher.ranges[i].high };
		p->n_matcher = (uint8_t)check->matcher.n;
	}
	append_texts(ret, g, t);
	if (t->probe_mark)
		go_through(ret, g, t);
	/* A group may have targets of both families; those of the other one have the kernel's choice. */
	if (check->source.family == p->addr.family)
		p->source = check->source;
	p->generation = record_hash(ret);
	if (t->health.checked_usec != 0)
		p->flags |= PROTOCOL_PROBE_HISTORY;
	return true;
}
