/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/pattern.h"
#include "conf/command.h"
#include "conf/diag.h"
#include "conf/dns-check.h"
#include "conf/parse.h"
#include "conf/validate-rules.h"
#include "conf/value.h"

/* The method that gRPC itself has for health checks: whoever names it wants it to succeed. */
#define GRPC_HEALTH_CHECK "/grpc.health.v1.Health/Check"

enum {
	SH_BUCKETS = 256,  /* kernel: IP_VS_SH_TAB_BITS 8 */
	GRPC_DEFAULT = 12, /* ELBv2: Matcher.GrpcCode, UNIMPLEMENTED */
	GRPC_CODE_MAX = 99,
};

/* Which checks read a key, as bits; for the keys that only some of them read. */
static const struct {
	const char *key;
	unsigned checks;
} check_keys[] = {
#define CHECK(name) (1U << CONF_CHECK_##name)
	{ "health-check-path", CHECK(HTTP) | CHECK(HTTPS) | CHECK(GRPC) },
	{ "health-check-host", CHECK(HTTP) | CHECK(HTTPS) | CHECK(GRPC) },
	{ "health-check-http-version", CHECK(HTTP) | CHECK(HTTPS) },
	{ "matcher", CHECK(HTTP) | CHECK(HTTPS) | CHECK(GRPC) },
	{ "health-check-send", CHECK(UDP) | CHECK(DNS) | CHECK(AGENT) | CHECK(GRPC) },
	{ "health-check-expect", CHECK(HTTP) | CHECK(HTTPS) | CHECK(UDP) | CHECK(DNS) },
	{ "health-check-server-name", CHECK(TLS) | CHECK(HTTPS) | CHECK(GRPC) },
	{ "health-check-verify-certificate", CHECK(TLS) | CHECK(HTTPS) | CHECK(GRPC) },
	{ "health-check-ca-file", CHECK(TLS) | CHECK(HTTPS) | CHECK(GRPC) },
	{ "health-check-tls", CHECK(GRPC) },
	{ "health-check-command", CHECK(EXEC) },
	{ "health-check-port", ~(CHECK(NONE) | CHECK(ICMP)) },
	{ "health-check-source", ~(CHECK(NONE) | CHECK(EXEC)) },
	{ "health-check-interface", ~(CHECK(NONE) | CHECK(EXEC)) },
	{ "health-check-firewall-mark", ~(CHECK(NONE) | CHECK(EXEC)) },
#undef CHECK
};

static void check_unread_keys(const struct parse *p, const struct parse_section *s,
			      const struct conf_group *g)
{
	for (size_t i = 0; i < ARRAY_SIZE(check_keys); i++) {
		unsigned line = parse_line_of(s, check_keys[i].key);

		if (line && !(check_keys[i].checks & (1U << g->check.protocol)))
			diag_add(p->diags, DIAG_WARNING, s->origin.path, line,
				 "%s has no effect with health-check-protocol = %s",
				 check_keys[i].key, conf_check_to_string(g->check.protocol));
	}
}

static void check_timeout(const struct parse *p, const struct parse_section *s,
			  struct conf_group *g)
{
	char timeout[VALUE_DURATION_STR_MAX], interval[VALUE_DURATION_STR_MAX];

	if (!parse_line_of(s, "health-check-timeout")) {
		if (g->check.protocol == CONF_CHECK_HTTP)
			g->check.timeout_usec = 6 * USEC_PER_SEC;
		g->check.timeout_usec = MIN(g->check.timeout_usec, g->check.interval_usec);
	} else if (g->check.timeout_usec > g->check.interval_usec) {
		diag_add(p->diags, DIAG_ERROR, s->origin.path,
			 parse_line_of(s, "health-check-timeout"),
			 "health-check-timeout: %s is longer than health-check-interval, which is "
			 "%s",
			 value_format_duration(g->check.timeout_usec, timeout),
			 value_format_duration(g->check.interval_usec, interval));
	}
}

static int check_grpc(const struct parse *p, const struct parse_section *s, struct conf_group *g)
{
	bool real = g->check.path && strcmp(g->check.path, GRPC_HEALTH_CHECK) == 0;
	uint16_t code = real ? 0 : GRPC_DEFAULT;

	if (!parse_line_of(s, "matcher"))
		g->check.matcher = (struct conf_matcher){ .ranges = { { code, code } }, .n = 1 };
	for (unsigned i = 0; i < g->check.matcher.n; i++) {
		if (g->check.matcher.ranges[i].high > GRPC_CODE_MAX) {
			diag_add(p->diags, DIAG_ERROR, s->origin.path, parse_line_of(s, "matcher"),
				 "matcher: gRPC codes are 0 to %d", GRPC_CODE_MAX);
			break;
		}
	}
	if (!parse_line_of(s, "health-check-path")) {
		free(g->check.path);
		g->check.path = strdup("/AWS.ALB/healthcheck");
		if (!g->check.path)
			return -ENOMEM;
	}
	return 0;
}

static void check_expect(const struct parse *p, const struct parse_section *s,
			 const struct conf_group *g)
{
	unsigned line = parse_line_of(s, "health-check-expect");
	char error[PATTERN_ERROR_MAX];

	if (line && g->check.expect && !pattern_check(g->check.expect, error))
		diag_add(p->diags, DIAG_ERROR, s->origin.path, line,
			 "health-check-expect: %s: %s; after \"regex:\" stands a POSIX extended "
			 "regular expression",
			 g->check.expect, error);
}

/* A port belongs to health-check-port. */
static void check_server_name(const struct parse *p, const struct parse_section *s,
			      const struct conf_group *g)
{
	if (g->check.server_name && strpbrk(g->check.server_name, ":[]"))
		diag_add(p->diags, DIAG_ERROR, s->origin.path,
			 parse_line_of(s, "health-check-server-name"),
			 "health-check-server-name: %s is not the name of a server, without a port",
			 g->check.server_name);
}

/* Who asks for verification, or names authorities, believes that certificates are looked at. */
static void check_verification(const struct parse *p, const struct parse_section *s,
			       const struct conf_group *g)
{
	unsigned ca_file = parse_line_of(s, "health-check-ca-file");
	unsigned server_name = parse_line_of(s, "health-check-server-name");
	bool clear = g->check.protocol == CONF_CHECK_GRPC && !g->check.tls;

	if (g->check.protocol != CONF_CHECK_GRPC && g->check.protocol != CONF_CHECK_TLS &&
	    g->check.protocol != CONF_CHECK_HTTPS)
		return;
	if (ca_file && !g->check.verify_certificate)
		diag_add(p->diags, DIAG_ERROR, s->origin.path, ca_file,
			 "health-check-ca-file needs health-check-verify-certificate = yes: "
			 "without it no certificate is looked at");
	if (clear && g->check.verify_certificate)
		diag_add(p->diags, DIAG_ERROR, s->origin.path,
			 parse_line_of(s, "health-check-verify-certificate"),
			 "health-check-verify-certificate needs health-check-tls = yes: without it "
			 "grpc probes go in the clear");
	else if (clear && server_name)
		diag_add(p->diags, DIAG_WARNING, s->origin.path, server_name,
			 "health-check-server-name has no effect without health-check-tls = yes");
}

static void check_http_codes(const struct parse *p, const struct parse_section *s,
			     const struct conf_group *g)
{
	for (unsigned i = 0; i < g->check.matcher.n; i++) {
		if (g->check.matcher.ranges[i].low < 100) {
			diag_add(p->diags, DIAG_ERROR, s->origin.path, parse_line_of(s, "matcher"),
				 "matcher: HTTP codes are 100 to 599");
			break;
		}
	}
}

static int check_dns(const struct parse *p, const struct parse_section *s,
		     const struct conf_group *g)
{
	const char *problem = NULL;
	struct dns_check c;
	unsigned line = parse_line_of(s, "health-check-send");
	int r = dns_check_parse(g->check.send, g->check.expect, &c, &problem);

	if (!problem)
		return r;
	if (!line)
		line = parse_line_of(s, "health-check-expect");
	diag_add(p->diags, DIAG_ERROR, s->origin.path, line,
		 "health-check-send, health-check-expect: %s; accepted are \"NAME TYPE\" and "
		 "\"CODE\" or an address",
		 problem);
	return 0;
}

/* A path with a slash, since there is no shell that would look for it. */
static int check_command(const struct parse *p, const struct parse_section *s,
			 const struct conf_group *g)
{
	unsigned line = parse_line_of(s, "health-check-command");
	char *argv[COMMAND_WORDS_MAX + 1];
	_cleanup_free_ char *words = NULL;
	int n;

	if (!line) {
		diag_add(p->diags, DIAG_ERROR, s->origin.path,
			 parse_line_of(s, "health-check-protocol"),
			 "health-check-protocol = exec needs health-check-command");
		return 0;
	}
	words = strdup(g->check.command ? g->check.command : "");
	if (!words)
		return -ENOMEM;
	n = command_split(words, argv);
	if (n < 0)
		diag_add(p->diags, DIAG_ERROR, s->origin.path, line,
			 n == -E2BIG ? "health-check-command: more than %d words"
				     : "health-check-command: a quote is not closed, or \\ stands "
				       "at the end",
			 COMMAND_WORDS_MAX);
	else if (n == 0 || argv[0][0] != '/')
		diag_add(p->diags, DIAG_ERROR, s->origin.path, line,
			 "health-check-command: the program needs its whole path, such as "
			 "/usr/local/bin/check; for a shell write /bin/sh -c '...'");
	return 0;
}

static int check_kind(const struct parse *p, const struct parse_section *s, struct conf_group *g)
{
	switch (g->check.protocol) {
	case CONF_CHECK_GRPC:
		return check_grpc(p, s, g);
	case CONF_CHECK_DNS:
		return check_dns(p, s, g);
	case CONF_CHECK_EXEC:
		return check_command(p, s, g);
	case CONF_CHECK_HTTP:
	case CONF_CHECK_HTTPS:
		check_http_codes(p, s, g);
		check_expect(p, s, g);
		return 0;
	case CONF_CHECK_UDP:
		check_expect(p, s, g);
		return 0;
	default:
		return 0;
	}
}

/* Only what IPVS schedules is forwarded, and the mark is what has it forwarded. */
static void check_via_vip(const struct parse *p, const struct parse_section *s,
			  const struct conf_group *g)
{
	unsigned line = parse_line_of(s, "health-check-via-vip");

	if (!g->check.via_vip || g->check.protocol == CONF_CHECK_NONE)
		return;
	if (g->forwarding == CONF_FORWARDING_NAT || g->forwarding == CONF_FORWARDING_FULL_NAT)
		diag_add(p->diags, DIAG_WARNING, s->origin.path, line,
			 "health-check-via-vip has no effect with forwarding = %s: such targets do "
			 "not have the listener's address",
			 conf_forwarding_to_string(g->forwarding));
	else if (!conf_check_has_port(g->check.protocol))
		diag_add(p->diags, DIAG_ERROR, s->origin.path, line,
			 "health-check-via-vip: %s checks are not forwarded",
			 conf_check_to_string(g->check.protocol));
	else if (g->check.firewall_mark)
		diag_add(p->diags, DIAG_ERROR, s->origin.path, line,
			 "health-check-via-vip: such probes have a mark of their own, and can not "
			 "have that of health-check-firewall-mark too");
}

static int check_health(const struct parse *p, const struct parse_section *s, struct conf_group *g)
{
	int r;

	check_unread_keys(p, s, g);
	check_timeout(p, s, g);
	check_via_vip(p, s, g);
	check_server_name(p, s, g);
	check_verification(p, s, g);
	r = check_kind(p, s, g);
	return r;
}

static void check_hash_size(const struct parse *p, const struct parse_section *s,
			    const struct conf_group *g)
{
	unsigned line = parse_line_of(s, "algorithm");
	uint64_t total = 0;

	for (size_t i = 0; i < g->n_targets; i++)
		total += g->targets[i].weight;
	if (strcmp(g->algorithm.scheduler, "sh") == 0 && total > SH_BUCKETS)
		diag_add(p->diags, DIAG_WARNING, s->origin.path, line,
			 "algorithm: sh has %d buckets, but the weights sum to %llu: the last "
			 "targets get "
			 "no traffic; give smaller weights, or use source-ip-hash",
			 SH_BUCKETS, (unsigned long long)total);
}

static void check_forwarding(const struct parse *p, const struct parse_section *s,
			     const struct conf_group *g)
{
	const char *path = s->origin.path;

	if (g->forwarding == CONF_FORWARDING_FULL_NAT)
		diag_add(p->diags, DIAG_WARNING, path, parse_line_of(s, "forwarding"),
			 "full-nat works only on the fast path; the kernel plane uses nat");
	if (parse_line_of(s, "tunnel-port") && g->forwarding != CONF_FORWARDING_GUE)
		diag_add(p->diags, DIAG_WARNING, path, parse_line_of(s, "tunnel-port"),
			 "tunnel-port has no effect without forwarding = gue");
	if (parse_line_of(s, "tunnel-checksum") && g->forwarding != CONF_FORWARDING_GUE &&
	    g->forwarding != CONF_FORWARDING_GRE)
		diag_add(p->diags, DIAG_WARNING, path, parse_line_of(s, "tunnel-checksum"),
			 "tunnel-checksum has no effect without forwarding = gue or gre");
	if (g->tunnel_flags == 2 && g->forwarding == CONF_FORWARDING_GRE)
		diag_add(p->diags, DIAG_ERROR, path, parse_line_of(s, "tunnel-checksum"),
			 "tunnel-checksum: remcsum is for gue only; accepted for gre: nocsum or "
			 "csum");
}

static void check_limits(const struct parse *p, const struct parse_section *s,
			 const struct conf_group *g)
{
	static const char *const sticky[] = { "stickiness-duration", "stickiness-prefix-ipv4",
					      "stickiness-prefix-ipv6" };
	const char *path = s->origin.path;

	for (size_t i = 0; i < ARRAY_SIZE(sticky); i++)
		if (parse_line_of(s, sticky[i]) && !g->stickiness)
			diag_add(p->diags, DIAG_WARNING, path, parse_line_of(s, sticky[i]),
				 "%s has no effect without stickiness = yes", sticky[i]);
	if (g->min_connections && !g->max_connections)
		diag_add(p->diags, DIAG_ERROR, path, parse_line_of(s, "min-connections"),
			 "min-connections needs max-connections");
	else if (g->min_connections > g->max_connections)
		diag_add(p->diags, DIAG_ERROR, path, parse_line_of(s, "min-connections"),
			 "min-connections: %u is more than max-connections, which is %u",
			 g->min_connections, g->max_connections);
	if (parse_is_set(s, "dns-failover-minimum-count") && g->minimum_healthy_dns.count &&
	    g->minimum_healthy_dns.count < g->minimum_healthy_routing.count)
		diag_add(p->diags, DIAG_ERROR, path, parse_line_of(s, "dns-failover-minimum-count"),
			 "dns-failover-minimum-count: %u is less than "
			 "unhealthy-state-routing-minimum-count, which is %u",
			 g->minimum_healthy_dns.count, g->minimum_healthy_routing.count);
	if (g->minimum_healthy_dns.percent &&
	    g->minimum_healthy_dns.percent < g->minimum_healthy_routing.percent)
		diag_add(p->diags, DIAG_ERROR, path,
			 parse_line_of(s, "dns-failover-minimum-percentage"),
			 "dns-failover-minimum-percentage: %u is less than "
			 "unhealthy-state-routing-minimum-percentage, which is %u",
			 g->minimum_healthy_dns.percent, g->minimum_healthy_routing.percent);
}

int validate_group(struct parse *p, const struct parse_section *s)
{
	struct conf_group *g = &p->conf->groups[s->index];
	int r = check_health(p, s, g);

	if (r == 0)
		r = validate_targets(p->diags, g);
	if (r < 0)
		return r;
	validate_discovery(p, s);
	check_hash_size(p, s, g);
	check_forwarding(p, s, g);
	check_limits(p, s, g);
	validate_life(p, s);
	if (g->n_targets == 0 && !g->discovery && !g->targets_file && !diag_has_errors(p->diags))
		diag_add(p->diags, DIAG_WARNING, s->origin.path, s->origin.line,
			 "[target-group %s] has no targets", g->name);
	return 0;
}
