/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/random-conf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/keys.h"
#include "conf/load.h"
#include "conf/value.h"

enum {
	GROUPS = 4,
	LISTENERS = 8,
	SECURITY_GROUPS = 2,
	TARGETS_MAX = 5,
	TEXT_USUAL = 40,
	MENDS_MAX = 1000,
};

/* Of the caller's own section, or what no test is to do: many processes, much memory, modules that stay away. */
static const char *const left_alone[] = {
	"control-socket", "state-directory", "health-user",   "health-exec-user",
	"log-level",	  "vip-interface",   "event-history", "health-workers",
	"modules",	  "enabled",	     "program",
};

static const char *const addresses[] = { "203.0.113.10",     "203.0.113.11", "203.0.113.12",
					 "2001:db8:203::10", "10.0.0.1",     "::1" };
static const char *const targets[] = {
	"10.0.1.10",	  "10.0.1.11",	    "10.0.1.12:8080",	     "10.0.2.10:443",
	"2001:db8:1::10", "10.0.1.10:8081", "[2001:db8:2::10]:8080", "web.example.com:80",
	"10.0.9.9:65535", "2001:db8::9",
};
static const char *const zones[] = { "a", "b", "use1-az1", "all" };
static const char *const ports[] = { "80", "443", "53", "8000-8003", "all", "65535", "1", "7-8" };
static const char *const matchers[] = { "200", "200-399", "0-99", "12", "200,204,300-499",
					"0",   "100-599" };
static const char *const hosts[] = { "www.example.com", "a", "[2001:db8::1]:443", "10.0.0.1:80",
				     "example.com:65535" };
static const char *const url_paths[] = { "/", "/healthz?a=b&c=%20", "//",
					 "/grpc.health.v1.Health/Check", "/example.Service" };
static const char *const prefixes[] = { "10.99.0.0/28", "10.98.0.1", "2001:db8:99::/120" };
static const char *const peers[] = { "0.0.0.0/0", "::/0", "10.0.0.0/8", "198.51.100.2" };
static const char *const interfaces[] = { "public", "lo", "none" };
static const char *const commands[] = { "/bin/true", "/bin/false", "/bin/sleep 1",
					"/bin/sh -c \\\"echo weight 50%\\\"", "/nonexistent" };
static const char *const discoveries[] = { "dns:web.example.com", "dns:_http._tcp.example.com" };

static unsigned pick(unsigned *seed, unsigned n)
{
	return n > 0 ? (unsigned)rand_r(seed) % n : 0;
}

#define PICK(seed, list) ((list)[pick(seed, ARRAY_SIZE(list))])

/* Ends of the range, a little beyond, and what is between, small numbers as often as large ones. */
static uint64_t number(const struct key *key, unsigned *seed)
{
	uint64_t wide = ((uint64_t)rand_r(seed) << 31) ^ (uint64_t)rand_r(seed);

	switch (pick(seed, 24)) {
	case 0:
		return key->max + 1;
	case 1:
		return key->min > 0 ? key->min - 1 : 0;
	case 2:
	case 3:
		return key->min;
	case 4:
	case 5:
		return key->max;
	default:
		return key->min + (wide >> pick(seed, 62)) % (key->max - key->min + 1);
	}
}

static void put_number(FILE *f, const struct key *key, unsigned *seed)
{
	if (key->zero && pick(seed, 4) == 0)
		(void)fputs(key->zero, f);
	else if (key->type == KEY_DURATION)
		(void)fprintf(f, "%llums", (unsigned long long)number(key, seed) / USEC_PER_MSEC);
	else
		(void)fprintf(f, "%llu", (unsigned long long)number(key, seed));
}

/* In quotes; any byte by its number. */
static void put_text(FILE *f, const struct key *key, unsigned *seed)
{
	uint64_t most = key->max ? key->max : TEXT_USUAL;
	uint64_t n = pick(seed, 8) ? 1 + pick(seed, (unsigned)MIN(most, (uint64_t)TEXT_USUAL))
				   : most;

	(void)fputc('"', f);
	for (uint64_t i = 0; i < n; i++)
		if (pick(seed, 10))
			(void)fputc('a' + (int)pick(seed, 26), f);
		else
			(void)fprintf(f, "\\x%02x", 1 + pick(seed, 255));
	(void)fputc('"', f);
}

static void put_choice(FILE *f, const struct key *key, unsigned *seed)
{
	unsigned n = 0;

	while (key->choices[n].name)
		n++;
	(void)fputs(key->choices[pick(seed, n)].name, f);
}

/* No target twice: neighbours of the list. */
static void put_targets(FILE *f, unsigned *seed)
{
	unsigned at = pick(seed, ARRAY_SIZE(targets));

	for (unsigned n = pick(seed, TARGETS_MAX + 1); n > 0; n--) {
		(void)fprintf(f, "%s ", targets[at++ % ARRAY_SIZE(targets)]);
		if (pick(seed, 2))
			(void)fprintf(f, "weight=%u ", pick(seed, 3) ? pick(seed, 200) : 65535);
		if (pick(seed, 3) == 0)
			(void)fprintf(f, "zone=%s ", PICK(seed, zones));
	}
}

static void put_forwards(FILE *f, unsigned *seed)
{
	unsigned at = pick(seed, GROUPS);

	for (unsigned n = 1 + pick(seed, 3); n > 0; n--) {
		(void)fprintf(f, "g%u", at++ % GROUPS);
		if (pick(seed, 2))
			(void)fprintf(f, ":%u", pick(seed, 4) ? pick(seed, 10) : 999);
		(void)fputc(' ', f);
	}
}

static void put_rule(FILE *f, const struct key *key, unsigned *seed)
{
	static const char *const protocols[] = { "tcp 80",	"udp 53", "sctp all", "icmp",
						 "tcp 1-65535", "all",	  "icmpv6" };

	(void)fprintf(f, "%s %s %s", PICK(seed, protocols),
		      strcmp(key->name, "ingress") == 0 ? "from" : "to", PICK(seed, peers));
}

/* Linux 6.1 has no twos: there a reload is right to refuse it. */
static void put_algorithm(FILE *f, unsigned *seed)
{
	const char *const *names = value_algorithm_names();
	const char *name;
	unsigned n = 0;

	while (names[n])
		n++;
	do
		name = names[pick(seed, n)];
	while (!name || strcmp(name, "twos") == 0);
	(void)fputs(name, f);
	if (pick(seed, 4) == 0)
		(void)fputs(pick(seed, 2) ? " port" : " fallback port", f);
}

static void put_by_name(FILE *f, const struct key *key, unsigned *seed)
{
	if (strcmp(key->name, "targets-file") == 0)
		(void)fputs(RANDOM_CONF_TARGETS_FILE, f);
	else if (strcmp(key->name, "health-check-ca-file") == 0)
		(void)fputs(RANDOM_CONF_CA_FILE, f);
	else if (strcmp(key->name, "health-check-command") == 0)
		(void)fprintf(f, "\"%s\"", PICK(seed, commands));
	else if (strcmp(key->name, "discovery") == 0)
		(void)fputs(PICK(seed, discoveries), f);
	else if (strcmp(key->name, "dns-server") == 0)
		(void)fputs("127.0.0.1:1", f);
	else
		put_text(f, key, seed);
}

static void put_value(FILE *f, const struct key *key, unsigned *seed)
{
	switch (key->type) {
	case KEY_BOOL:
		(void)fputs(pick(seed, 2) ? "yes" : "no", f);
		return;
	case KEY_UINT:
	case KEY_DURATION:
		put_number(f, key, seed);
		return;
	case KEY_CHOICE:
	case KEY_CHOICE_TEXT:
		put_choice(f, key, seed);
		return;
	case KEY_URL_PATH:
		(void)fputs(PICK(seed, url_paths), f);
		return;
	case KEY_HOST:
		(void)fputs(PICK(seed, hosts), f);
		return;
	case KEY_SOCKET:
		(void)fputs("127.0.0.1:9", f);
		return;
	case KEY_INTERFACE:
		(void)fputs(PICK(seed, interfaces), f);
		return;
	case KEY_ZONE:
		(void)fputs(PICK(seed, zones), f);
		return;
	case KEY_ADDRESS:
		(void)fputs(PICK(seed, addresses), f);
		return;
	case KEY_PORTS:
		(void)fputs(PICK(seed, ports), f);
		return;
	case KEY_MATCHER:
		(void)fputs(PICK(seed, matchers), f);
		return;
	case KEY_ALGORITHM:
		put_algorithm(f, seed);
		return;
	case KEY_NAMES:
		(void)fprintf(f, "s%u", pick(seed, SECURITY_GROUPS));
		return;
	case KEY_PREFIXES:
		(void)fputs(PICK(seed, prefixes), f);
		return;
	case KEY_FORWARDS:
		put_forwards(f, seed);
		return;
	case KEY_TARGETS:
		put_targets(f, seed);
		return;
	case KEY_RULES:
		put_rule(f, key, seed);
		return;
	default:
		put_by_name(f, key, seed);
	}
}

static void add_line(struct random_conf *c, char *line)
{
	assert_non_null(line);
	assert_true(c->n < RANDOM_CONF_LINES_MAX);
	c->lines[c->n++] = line;
}

static void add_text(struct random_conf *c, const char *text)
{
	add_line(c, strdup(text));
}

static void add_key(struct random_conf *c, const struct key *key, unsigned *seed)
{
	char *line = NULL;
	size_t size;
	FILE *f = open_memstream(&line, &size);

	assert_non_null(f);
	(void)fprintf(f, "%s = ", key->name);
	put_value(f, key, seed);
	assert_int_equal(fclose(f), 0);
	add_line(c, line);
}

static bool is_left_alone(const struct key *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(left_alone); i++)
		if (strcmp(left_alone[i], key->name) == 0)
			return key->section != KEY_SECTION_LISTENER;
	return false;
}

static bool is_one_of(const struct key *key, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(*names, key->name) == 0)
			return true;
	return false;
}

/*
 * Without some keys a section says nothing, and others do not go together: nearly always, or nearly never, each. Of the
 * rest one in 4 to 20.
 */
static void add_keys(struct random_conf *c, enum key_section section, unsigned *seed)
{
	static const char *const by_address[] = { "address", "port", NULL };
	static const char *const by_mark[] = { "firewall-mark", "family", NULL };
	static const char *const wanted[] = { "forward", "targets", "ingress", "zone", NULL };
	unsigned one_in = 4 + pick(seed, 17);
	bool mark = pick(seed, 8) == 0;
	const struct key *keys;
	size_t n;

	keys = keys_of(section, &n);
	for (size_t i = 0; i < n; i++) {
		bool listens = section == KEY_SECTION_LISTENER;
		bool always = is_one_of(&keys[i], wanted) ||
			      (listens && is_one_of(&keys[i], mark ? by_mark : by_address));
		bool never = listens && is_one_of(&keys[i], mark ? by_address : by_mark);
		bool usual = always || (!never && pick(seed, one_in) == 0);

		if (!is_left_alone(&keys[i]) && usual != (pick(seed, 40) == 0 && (always || never)))
			add_key(c, &keys[i], seed);
	}
}

static void add_sections(struct random_conf *c, enum key_section section, char letter, unsigned n,
			 unsigned *seed)
{
	char header[CONF_NAME_MAX + 32];

	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(header, sizeof(header), "[%s %c%u]", key_sections[section].kind,
			       letter, i);
		add_text(c, header);
		add_keys(c, section, seed);
	}
}

void random_conf_init(struct random_conf *c, const char *own, unsigned *seed)
{
	_cleanup_free_ char *lines = strdup(own);
	char *rest = lines, *line;

	*c = (struct random_conf){ 0 };
	assert_non_null(lines);
	while ((line = strsep(&rest, "\n")))
		if (*line)
			add_text(c, line);
	add_keys(c, KEY_SECTION_GLOBAL, seed);
	add_sections(c, KEY_SECTION_LISTENER, 'l', 1 + pick(seed, LISTENERS), seed);
	add_sections(c, KEY_SECTION_GROUP, 'g', GROUPS, seed);
	add_sections(c, KEY_SECTION_SECURITY_GROUP, 's', SECURITY_GROUPS, seed);
	if (pick(seed, 3) == 0) {
		add_text(c, "[fastpath]");
		add_keys(c, KEY_SECTION_FASTPATH, seed);
	}
}

void random_conf_deinit(struct random_conf *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->lines[i]);
	c->n = 0;
}

char *random_conf_text(const struct random_conf *c)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	for (size_t i = 0; i < c->n; i++)
		(void)fprintf(f, "%s\n", c->lines[i]);
	assert_int_equal(fclose(f), 0);
	return text;
}

/* Line numbers stay as they are until all diagnostics are gone through: a line that goes is an empty one. */
static void take_out(struct random_conf *c, size_t i)
{
	bool section = c->lines[i][0] == '[';

	do
		c->lines[i++][0] = '\0';
	while (section && i < c->n && c->lines[i][0] != '[');
}

static void write_to(const struct random_conf *c, const char *path)
{
	_cleanup_free_ char *text = random_conf_text(c);
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

unsigned random_conf_mend(struct random_conf *c, const char *path)
{
	for (unsigned n = 0; n < MENDS_MAX; n++) {
		_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
		struct conf *conf = NULL;
		size_t before = 0;
		int r;

		write_to(c, path);
		r = conf_load(path, &conf, &diags);
		conf_free(conf);
		if (r == 0)
			return n;
		assert_int_equal(r, -EINVAL);
		/* One error at a time in a section: the next may be its consequence. */
		for (size_t i = 0; i < diags.n; i++) {
			const struct diag *d = &diags.items[i];

			if (d->severity != DIAG_ERROR)
				continue;
			assert_in_range(d->line, 1, c->n);
			if (before == d->line || !c->lines[d->line - 1][0])
				continue;
			take_out(c, d->line - 1);
			before = d->line;
			break;
		}
		assert_true(before > 0);
	}
	fail_msg("no end of errors");
	return 0;
}

bool random_conf_check(const char *path)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	struct conf *conf = NULL;
	int r = conf_load(path, &conf, &diags);

	conf_free(conf);
	return r == 0;
}
