/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/diag.h"
#include "conf/parse.h"
#include "conf/validate-rules.h"

static void check_mark(const struct parse *p, const struct parse_section *s)
{
	static const char *const excluded[] = { "address", "port", "protocol", "vip-interface",
						"vip-prefix-length" };

	for (size_t i = 0; i < ARRAY_SIZE(excluded); i++) {
		unsigned line = parse_line_of(s, excluded[i]);

		if (line)
			diag_add(p->diags, DIAG_ERROR, s->origin.path, line,
				 "%s does not go with firewall-mark; the marking rule selects the "
				 "packets",
				 excluded[i]);
	}
}

static void check_address(const struct parse *p, const struct parse_section *s,
			  const struct conf_listener *l)
{
	struct diag_list *d = p->diags;
	const char *path = s->origin.path;

	if (!parse_line_of(s, "address"))
		diag_add(d, DIAG_ERROR, path, s->origin.line,
			 "[listener %s] has no address; give address and port, or firewall-mark",
			 l->name);
	if (!parse_line_of(s, "port"))
		diag_add(d, DIAG_ERROR, path, s->origin.line,
			 "[listener %s] has no port; give a port, a range, or all", l->name);
	if (l->ports.high - l->ports.low >= CONF_PORT_RANGE_MAX)
		diag_add(d, DIAG_ERROR, path, parse_line_of(s, "port"),
			 "port: %u-%u are more than %d ports, and each is a service of the kernel; "
			 "use "
			 "port = all or a firewall-mark",
			 l->ports.low, l->ports.high, CONF_PORT_RANGE_MAX);
	if (parse_line_of(s, "family"))
		diag_add(d, DIAG_ERROR, path, parse_line_of(s, "family"),
			 "family is for listeners by firewall-mark; here the address tells it");
	if (l->one_packet && l->protocol != CONF_PROTOCOL_UDP)
		diag_add(d, DIAG_ERROR, path, parse_line_of(s, "one-packet"),
			 "one-packet works with protocol = udp only");
	if (l->address.family == AF_INET && l->vip_prefix_len > 32)
		diag_add(d, DIAG_ERROR, path, parse_line_of(s, "vip-prefix-length"),
			 "vip-prefix-length: %u is out of range; accepted for IPv4: 1 to 32",
			 l->vip_prefix_len);
}

static void complete(const struct conf *c, const struct parse_section *s, struct conf_listener *l)
{
	if (l->address.family != AF_UNSPEC) {
		l->family = l->address.family;
		if (!parse_line_of(s, "vip-prefix-length"))
			l->vip_prefix_len = l->family == AF_INET ? 32 : 128;
		if (!parse_line_of(s, "vip-interface"))
			memcpy(l->vip_interface, c->global.vip_interface, sizeof(l->vip_interface));
	} else if (l->family == AF_UNSPEC) {
		l->family = AF_INET;
	}
}

/* Few enough to compare each with each: groups and security groups of one listener. */
static void check_repeated_names(const struct parse *p, const struct parse_section *s,
				 const struct conf_listener *l)
{
	for (size_t i = 0; i < p->n_references; i++) {
		const struct parse_reference *ref = &p->references[i];
		bool forward = ref->kind == KEY_SECTION_GROUP;
		const char *name;

		if (ref->listener != s->index)
			continue;
		name = forward ? l->forwards[ref->item].name : l->security_group_names[ref->item];
		for (size_t j = 0; j < ref->item; j++) {
			if (strcmp(name, forward ? l->forwards[j].name
						 : l->security_group_names[j]) == 0) {
				diag_add(p->diags, DIAG_ERROR, s->origin.path, ref->line,
					 "%s: \"%s\" stands here twice",
					 forward ? "forward" : "security-groups", name);
				break;
			}
		}
	}
}

void validate_listener(struct parse *p, const struct parse_section *s)
{
	struct conf_listener *l = &p->conf->listeners[s->index];
	unsigned total = 0;

	if (parse_line_of(s, "firewall-mark"))
		check_mark(p, s);
	else
		check_address(p, s, l);
	complete(p->conf, s, l);
	check_repeated_names(p, s, l);
	if (l->n_forwards == 0 && !(parse_line_of(s, "forward") && !parse_is_set(s, "forward")))
		diag_add(p->diags, DIAG_ERROR, s->origin.path,
			 parse_line_of(s, "forward") ? parse_line_of(s, "forward") : s->origin.line,
			 "[listener %s] forwards to no target group; give forward", l->name);
	for (size_t i = 0; i < l->n_forwards; i++)
		total += l->forwards[i].weight;
	if (l->n_forwards && total == 0)
		diag_add(p->diags, DIAG_WARNING, s->origin.path, parse_line_of(s, "forward"),
			 "forward: all weights are 0; new connections are refused");
}

/* A listener's claim on one protocol: a listener of tcp-udp has two. */
struct claim {
	const struct conf_listener *listener;
	enum conf_protocol protocol;
};

static int claim_cmp(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	const struct conf_listener *l = x->listener, *m = y->listener;
	int c = (l->firewall_mark > m->firewall_mark) - (l->firewall_mark < m->firewall_mark);

	if (!c && l->firewall_mark)
		c = l->family - m->family;
	if (!c)
		c = addr_cmp(&l->address, &m->address);
	if (!c)
		c = (x->protocol > y->protocol) - (x->protocol < y->protocol);
	if (!c)
		c = l->ports.low - m->ports.low;
	return c ? c : (l > m) - (l < m);
}

static bool claims_overlap(const struct claim *a, const struct claim *b)
{
	const struct conf_listener *l = a->listener, *m = b->listener;

	if (l->firewall_mark != m->firewall_mark)
		return false;
	if (l->firewall_mark)
		return l->family == m->family;
	/* 0-0, every port, takes what listeners by port leave: it overlaps only with itself */
	return addr_eq(&l->address, &m->address) && a->protocol == b->protocol &&
	       l->ports.low <= m->ports.high && m->ports.low <= l->ports.high;
}

static void report_overlap(const struct parse *p, const struct claim *a, const struct claim *b)
{
	const struct conf_listener *first = MIN(a->listener, b->listener);
	const struct conf_listener *second = MAX(a->listener, b->listener);
	char address[ADDR_STR_MAX];

	if (first->firewall_mark)
		diag_add(p->diags, DIAG_ERROR, second->origin.path, second->origin.line,
			 "[listener %s] has the firewall mark of [listener %s] at %s:%u",
			 second->name, first->name, first->origin.path, first->origin.line);
	else
		diag_add(p->diags, DIAG_ERROR, second->origin.path, second->origin.line,
			 "[listener %s] and [listener %s] at %s:%u take the same packets: %s %s "
			 "port %u",
			 second->name, first->name, first->origin.path, first->origin.line,
			 conf_protocol_to_string(a->protocol),
			 addr_format(&first->address, address),
			 MAX(first->ports.low, second->ports.low));
}

int validate_overlaps(struct parse *p)
{
	const struct conf *c = p->conf;
	_cleanup_free_ struct claim *claims = calloc(c->n_listeners * 2 + 1, sizeof(*claims));
	size_t n = 0, widest = 0;

	if (!claims)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_listeners; i++) {
		const struct conf_listener *l = &c->listeners[i];

		if (l->protocol == CONF_PROTOCOL_TCP_UDP) {
			claims[n++] = (struct claim){ l, CONF_PROTOCOL_TCP };
			claims[n++] = (struct claim){ l, CONF_PROTOCOL_UDP };
		} else {
			claims[n++] = (struct claim){ l, l->protocol };
		}
	}
	qsort(claims, n, sizeof(*claims), claim_cmp);
	/* sorted by first port: who reaches furthest is the only one that the next can overlap with */
	for (size_t i = 1; i < n; i++) {
		if (claims_overlap(&claims[widest], &claims[i])) {
			/* a pair of tcp-udp listeners is reported once, for tcp */
			if (!(claims[i].protocol == CONF_PROTOCOL_UDP &&
			      claims[i].listener->protocol == CONF_PROTOCOL_TCP_UDP &&
			      claims[widest].listener->protocol == CONF_PROTOCOL_TCP_UDP))
				report_overlap(p, &claims[widest], &claims[i]);
			if (claims[i].listener->ports.high <= claims[widest].listener->ports.high)
				continue;
		}
		widest = i;
	}
	return 0;
}
