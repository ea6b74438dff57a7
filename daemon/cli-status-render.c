/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon/cli-status.h"

#include <string.h>

#include "base/cleanup.h"

static const char *str(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static const char *dash(const char *text)
{
	return *text ? text : "-";
}

static uint64_t num(const json_t *object, const char *name)
{
	json_int_t n = json_integer_value(json_object_get(object, name));

	return n > 0 ? (uint64_t)n : 0;
}

static bool yes(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

static void add_number(struct table *t, const json_t *object, const char *name, const char *unit)
{
	char buf[TABLE_NUMBER_MAX];
	uint64_t n = num(object, name);

	table_add(t, n ? TABLE_PLAIN : TABLE_DIM, "%s%s", table_format_number(n, buf), unit);
}

static void alarm_line(FILE *f, const struct table_style *style, enum table_colour colour,
		       const char *label, const char *text)
{
	table_put(f, style, colour, label);
	table_put_text(f, text);
	(void)fputc('\n', f);
}

/* Which of several workers is the latest: one that is starved does not show in the sum. */
static void print_latest(const json_t *workers, FILE *f)
{
	const json_t *worker, *latest = NULL;
	uint64_t most = 0;
	size_t i;

	json_array_foreach (workers, i, worker) {
		if (num(worker, "lateness_p99_us") <= most)
			continue;
		most = num(worker, "lateness_p99_us");
		latest = worker;
	}
	if (!latest || json_array_size(workers) < 2)
		return;
	(void)fprintf(f, ", %.1f ms in %s worker", (double)most / 1e3, str(latest, "kind"));
	if (strcmp(str(latest, "kind"), "network") == 0)
		(void)fprintf(f, " %llu", (unsigned long long)num(latest, "number"));
}

static void print_worker(const json_t *health, const struct table_style *style, FILE *f)
{
	const json_t *late = json_object_get(health, "lateness_us"), *alarm;
	size_t n_workers = json_array_size(json_object_get(health, "workers")), i;

	if (!json_is_object(health))
		return;
	if (!yes(health, "alive"))
		alarm_line(f, style, TABLE_RED, "! HEALTH WORKER DOWN: ",
			   "the weights of its targets are frozen until it is back");
	else if (yes(health, "frozen"))
		alarm_line(f, style, TABLE_RED, "! WEIGHTS FROZEN: ",
			   "a health worker is late; verdicts on its targets are not acted upon");
	json_array_foreach (json_object_get(health, "alarms"), i, alarm) {
		if (json_is_string(alarm))
			alarm_line(f, style, TABLE_RED, "! ALARM: ", json_string_value(alarm));
	}
	(void)fprintf(f, "health checks: %llu probes, %llu in flight, %zu worker%s, %llu restarts",
		      (unsigned long long)num(health, "probes"),
		      (unsigned long long)num(health, "in_flight"), n_workers,
		      n_workers == 1 ? "" : "s", (unsigned long long)num(health, "restarts"));
	if (num(late, "probes"))
		(void)fprintf(f, ", begun late by %.1f ms (median), %.1f ms (1 of 100)",
			      (double)num(late, "p50") / 1e3, (double)num(late, "p99") / 1e3);
	print_latest(json_object_get(health, "workers"), f);
	(void)fputc('\n', f);
}

static void print_head(const json_t *status, const struct table_style *style, FILE *f)
{
	char uptime[TABLE_NUMBER_MAX], loaded[TABLE_TIME_MAX];
	double seconds = json_number_value(json_object_get(status, "uptime_seconds"));
	const json_t *warning;
	size_t i;

	table_put(f, style, TABLE_BOLD, "ipvsd ");
	table_put(f, style, TABLE_BOLD, str(status, "version"));
	(void)fprintf(f, ", up %s, %s plane\n",
		      table_format_duration(seconds > 0 ? (usec_t)(seconds * 1e6) : 0, uptime),
		      dash(str(status, "plane")));
	(void)fputs("configuration: ", f);
	table_put_text(f, str(status, "config"));
	(void)fprintf(f, ", loaded %s UTC, %llu reloads, %llu drift repairs\n",
		      table_format_time(str(status, "loaded"), loaded),
		      (unsigned long long)num(status, "reloads"),
		      (unsigned long long)num(status, "drift_repairs"));
	print_worker(json_object_get(status, "health"), style, f);
	if (json_is_string(json_object_get(status, "last_error")))
		alarm_line(f, style, TABLE_RED, "! THE CONFIGURATION ON DISK IS NOT IN EFFECT: ",
			   str(status, "last_error"));
	json_array_foreach (json_object_get(status, "warnings"), i, warning) {
		if (json_is_string(warning))
			alarm_line(f, style, TABLE_YELLOW,
				   "! warning: ", json_string_value(warning));
	}
}

static void format_forwards(const json_t *listener, char *buf, size_t size)
{
	const json_t *forward;
	size_t i, len = 0;

	buf[0] = '\0';
	json_array_foreach (json_object_get(listener, "forward"), i, forward) {
		int n = snprintf(buf + len, size - len, "%s%s:%llu", i ? " " : "",
				 str(forward, "group"), (unsigned long long)num(forward, "weight"));

		if (n < 0 || (size_t)n >= size - len)
			break; /* cut: the JSON has all of it */
		len += (size_t)n;
	}
}

static void add_listener_place(struct table *t, const json_t *l)
{
	const char *address = str(l, "address");

	if (num(l, "firewall_mark"))
		table_add(t, TABLE_PLAIN, "mark %llu", (unsigned long long)num(l, "firewall_mark"));
	else
		table_add(t, TABLE_PLAIN, strchr(address, ':') ? "%s [%s]:%s" : "%s %s:%s",
			  str(l, "protocol"), address, str(l, "port"));
}

/* What a reload took out of a listener, while it has connections. */
static void print_leaving(const json_t *listeners, const struct table_style *style, FILE *f)
{
	char deadline[TABLE_TIME_MAX], text[128];
	const json_t *l, *d;
	size_t i, k;

	json_array_foreach (listeners, i, l) {
		json_array_foreach (json_object_get(l, "leaving"), k, d) {
			(void)snprintf(text, sizeof(text),
				       "%s, until its connections end, or %s UTC", str(d, "target"),
				       table_format_time(str(d, "drain_deadline"), deadline));
			(void)fprintf(f, "%s: ", str(l, "name"));
			alarm_line(f, style, TABLE_YELLOW, "leaving ", text);
		}
	}
}

static void print_listeners(const json_t *listeners, const struct table_style *style, FILE *f)
{
	static const struct table_column columns[] = {
		{ "LISTENER", false, 0, false },  { "ADDRESS", false, 0, false },
		{ "FORWARD TO", false, 7, true }, { "SCHEDULER", false, 1, false },
		{ "ACTIVE", true, 8, false },	  { "INACTIVE", true, 3, false },
		{ "NEW/S", true, 6, false },	  { "IN", true, 4, false },
		{ "OUT", true, 5, false },	  { "CONNECTIONS", true, 2, false },
	};
	_cleanup_(table_deinit) struct table t;
	const json_t *l;
	char forwards[256];
	size_t i;

	table_init(&t, columns, ARRAY_SIZE(columns));
	json_array_foreach (listeners, i, l) {
		format_forwards(l, forwards, sizeof(forwards));
		table_add(&t, TABLE_BOLD, "%s", str(l, "name"));
		add_listener_place(&t, l);
		table_add(&t, TABLE_PLAIN, "%s", dash(forwards));
		table_add(&t, TABLE_PLAIN, "%s", dash(str(l, "scheduler")));
		add_number(&t, l, "active", "");
		add_number(&t, l, "inactive", "");
		add_number(&t, l, "cps", "");
		add_number(&t, l, "in_bps", "B/s");
		add_number(&t, l, "out_bps", "B/s");
		add_number(&t, l, "connections", "");
	}
	(void)fputc('\n', f);
	if (json_array_size(listeners))
		table_print(&t, style, 0, f);
	else
		(void)fputs("no listeners\n", f);
	print_leaving(listeners, style, f);
}

static enum table_colour state_colour(const char *state)
{
	if (!strcmp(state, "healthy"))
		return TABLE_GREEN;
	if (!strncmp(state, "unhealthy", strlen("unhealthy")))
		return TABLE_RED;
	if (!strcmp(state, "unused"))
		return TABLE_DIM;
	return TABLE_YELLOW;
}

static void add_reason(struct table *t, const json_t *target)
{
	char deadline[TABLE_TIME_MAX];
	const char *reason = str(target, "reason"), *detail = str(target, "detail");

	if (*str(target, "drain_deadline"))
		table_add(t, TABLE_PLAIN, "drains until %s UTC",
			  table_format_time(str(target, "drain_deadline"), deadline));
	else if (!*reason)
		table_add(t, TABLE_DIM, "-");
	else if (*detail && strcmp(detail, "ok") != 0)
		table_add(t, TABLE_PLAIN, "%s (%s)", reason, detail);
	else
		table_add(t, TABLE_PLAIN, "%s", reason);
}

static void add_weight(struct table *t, const json_t *target)
{
	uint64_t weight = num(target, "weight"), configured = num(target, "configured_weight");

	if (weight == configured)
		table_add(t, TABLE_PLAIN, "%llu", (unsigned long long)weight);
	else
		table_add(t, TABLE_YELLOW, "%llu of %llu", (unsigned long long)weight,
			  (unsigned long long)configured);
}

static void add_since(struct table *t, const json_t *target, usec_t now)
{
	char buf[TABLE_NUMBER_MAX];
	usec_t since;

	if (!table_parse_time(str(target, "since"), &since) || since > now)
		table_add(t, TABLE_DIM, "-");
	else
		table_add(t, TABLE_PLAIN, "%s", table_format_duration(now - since, buf));
}

static void add_target(struct table *t, const json_t *target, usec_t now)
{
	const char *state = str(target, "state");

	table_add(t, TABLE_PLAIN, "%s%s", str(target, "target"),
		  strcmp(str(target, "origin"), "register") == 0 ? " +" : "");
	table_add(t, TABLE_PLAIN, "%s", dash(str(target, "zone")));
	table_add(t, state_colour(state), "%s%s%s", dash(state),
		  yes(target, "drained") ? ", drained" : "",
		  yes(target, "fail_open")    ? ", fail open"
		  : yes(target, "cold_start") ? ", cold start"
					      : "");
	add_weight(t, target);
	add_number(t, target, "active", "");
	add_number(t, target, "inactive", "");
	add_number(t, target, "cps", "");
	add_number(t, target, "in_bps", "B/s");
	add_number(t, target, "out_bps", "B/s");
	add_since(t, target, now);
	add_reason(t, target);
}

static void print_group_head(const json_t *g, const struct table_style *style, FILE *f)
{
	uint64_t healthy = num(g, "healthy"), registered = num(g, "registered");

	(void)fputs("\nTARGET GROUP ", f);
	table_put(f, style, TABLE_BOLD, str(g, "name"));
	(void)fputs(": ", f);
	if (yes(g, "in_use")) {
		char text[64];

		(void)snprintf(text, sizeof(text), "%llu of %llu healthy",
			       (unsigned long long)healthy, (unsigned long long)registered);
		table_put(f, style,
			  healthy == registered ? TABLE_GREEN
			  : healthy		? TABLE_YELLOW
						: TABLE_RED,
			  text);
	} else {
		table_put(f, style, TABLE_DIM, "no listener forwards to it");
	}
	if (*str(g, "check")) {
		(void)fputs(", health check: ", f);
		table_put_text(f, str(g, "check"));
	}
	(void)fputc('\n', f);
	if (yes(g, "cold_start"))
		alarm_line(f, style, TABLE_YELLOW, "! COLD START: ",
			   "until its first health check has an answer, a target gets traffic");
	else if (yes(g, "fail_open"))
		alarm_line(f, style, TABLE_RED,
			   "! FAIL OPEN: ", "too few healthy targets, so all of them get traffic");
}

/* Names and the targets-file: dim while all is well. */
static void print_sources(const json_t *sources, const struct table_style *style, FILE *f)
{
	const json_t *s;
	size_t i;

	json_array_foreach (sources, i, s) {
		json_int_t age = json_integer_value(json_object_get(s, "age_seconds"));
		const char *status = str(s, "status"), *what = str(s, "path");
		bool good = !strcmp(status, "ok");
		char since[TABLE_NUMBER_MAX], text[128];

		table_put(f, style, good ? TABLE_DIM : TABLE_YELLOW, "  from ");
		table_put_text(f, *what ? what : str(s, "source"));
		(void)snprintf(text, sizeof(text), "%s%s: %llu targets", *what ? "" : " ",
			       str(s, "family"), (unsigned long long)num(s, "targets"));
		table_put_text(f, text);
		if (!json_is_null(json_object_get(s, "age_seconds")))
			(void)fprintf(f, ", %s old",
				      table_format_duration((usec_t)age * USEC_PER_SEC, since));
		if (num(s, "left_out"))
			(void)fprintf(f, ", %llu more left out",
				      (unsigned long long)num(s, "left_out"));
		if (!good) {
			table_put(f, style, TABLE_YELLOW, " ! ");
			table_put_text(f, *str(s, "description") ? str(s, "description") : status);
		}
		(void)fputc('\n', f);
	}
}

static void print_group(const json_t *g, const struct table_style *style, usec_t now, FILE *f)
{
	static const struct table_column columns[] = {
		{ "TARGET", false, 0, false }, { "ZONE", false, 5, false },
		{ "STATE", false, 0, false },  { "WEIGHT", true, 9, false },
		{ "ACTIVE", true, 8, false },  { "INACTIVE", true, 1, false },
		{ "NEW/S", true, 4, false },   { "IN", true, 2, false },
		{ "OUT", true, 3, false },     { "SINCE", false, 6, false },
		{ "REASON", false, 7, true },
	};
	_cleanup_(table_deinit) struct table t;
	const json_t *targets = json_object_get(g, "targets"), *target;
	size_t i;

	print_group_head(g, style, f);
	print_sources(json_object_get(g, "sources"), style, f);
	if (json_array_size(targets) == 0) {
		(void)fputs("  no targets\n", f);
		return;
	}
	table_init(&t, columns, ARRAY_SIZE(columns));
	json_array_foreach (targets, i, target)
		add_target(&t, target, now);
	table_print(&t, style, 2, f);
}

void cli_status_render(const json_t *status, const struct table_style *style, usec_t now_wall_usec,
		       FILE *f)
{
	const json_t *group;
	size_t i;

	print_head(status, style, f);
	print_listeners(json_object_get(status, "listeners"), style, f);
	json_array_foreach (json_object_get(status, "groups"), i, group)
		print_group(group, style, now_wall_usec, f);
}
