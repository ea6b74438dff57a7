/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/conformance/tallies.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/conformance/rig.h"
#include "tests/lab/lab.h"

#define SETTLE_USEC (8 * USEC_PER_SEC)
#define CONNECTIONS_USEC (3 * USEC_PER_SEC)

enum {
	DIFFERENCES_PRINTED = 12,
	EXPIRY_SKEW_SEC = 3,
	INVALID_TEMPLATE =
		65535, /* ip_vs_check_template(): the kernel keeps it, but never finds it */
};

/* Answers that do not pass the gateway are not compared: the kernel counts its own errors there. */
static bool same_stats(const struct ipvs_stats *a, const struct ipvs_stats *b, bool answers)
{
	return a->conns == b->conns && a->in_packets == b->in_packets &&
	       a->in_bytes == b->in_bytes &&
	       (!answers || (a->out_packets == b->out_packets && a->out_bytes == b->out_bytes));
}

static bool sees_answers(const struct ipvs_dest *d)
{
	return d->forward == IPVS_FORWARD_MASQ;
}

static void print_stats(const char *what, const char *key, const struct ipvs_stats *a,
			const struct ipvs_stats *b)
{
	(void)fprintf(stderr,
		      "# %s %s: conns %llu/%llu packets in %llu/%llu out %llu/%llu bytes in "
		      "%llu/%llu out %llu/%llu (oracle/other)\n",
		      what, key, (unsigned long long)a->conns, (unsigned long long)b->conns,
		      (unsigned long long)a->in_packets, (unsigned long long)b->in_packets,
		      (unsigned long long)a->out_packets, (unsigned long long)b->out_packets,
		      (unsigned long long)a->in_bytes, (unsigned long long)b->in_bytes,
		      (unsigned long long)a->out_bytes, (unsigned long long)b->out_bytes);
}

static bool same_dest(const char *key, const struct ipvs_dest *a, const struct ipvs_dest *b,
		      bool print)
{
	char text[ADDR_PORT_STR_MAX];
	bool live = a->active_conns == b->active_conns && a->inactive_conns == b->inactive_conns &&
		    a->persistent_conns == b->persistent_conns;

	if (live && same_stats(&a->stats, &b->stats, sees_answers(a)))
		return true;
	if (!print)
		return false;
	(void)addr_port_format(&a->addr, a->port, text);
	(void)fprintf(stderr, "# %s > %s: active %u/%u inactive %u/%u persistent %u/%u\n", key,
		      text, a->active_conns, b->active_conns, a->inactive_conns, b->inactive_conns,
		      a->persistent_conns, b->persistent_conns);
	if (!same_stats(&a->stats, &b->stats, sees_answers(a)))
		print_stats("  destination", text, &a->stats, &b->stats);
	return false;
}

/* How many services and destinations differ. */
static unsigned compare_tables(const struct ipvs_ruleset *a, const struct ipvs_ruleset *b,
			       bool print)
{
	char key[IPVS_KEY_STR_MAX];
	unsigned n = 0;

	for (size_t i = 0; i < a->n; i++) {
		const struct ipvs_service *s = &a->services[i], *t = ipvs_ruleset_find(b, &s->key);

		(void)ipvs_service_key_format(&s->key, key);
		if (!t || t->n_dests != s->n_dests) {
			if (print && n < DIFFERENCES_PRINTED)
				(void)fprintf(stderr, "# %s: not there, or other destinations\n",
					      key);
			n++;
			continue;
		}
		if (!same_stats(&s->stats, &t->stats,
				s->n_dests > 0 && sees_answers(&s->dests[0]))) {
			if (print && n < DIFFERENCES_PRINTED)
				print_stats("service", key, &s->stats, &t->stats);
			n++;
		}
		for (size_t d = 0; d < s->n_dests; d++)
			n += !same_dest(key, &s->dests[d], &t->dests[d],
					print && n < DIFFERENCES_PRINTED);
	}
	return n + (a->n != b->n);
}

static unsigned compare_once(struct rig *rig, bool print)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset a = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset b = IPVS_RULESET_INIT;

	if (channel_dump(rig_channel(rig, RIG_KERNEL), &a) < 0 ||
	    channel_dump(rig_channel(rig, RIG_FASTPATH), &b) < 0) {
		(void)fputs("# a table cannot be read\n", stderr);
		return 1;
	}
	return compare_tables(&a, &b, print);
}

static bool settled(void *userdata)
{
	return compare_once(userdata, false) == 0;
}

struct row {
	char *text; /* owned; all but the time */
	unsigned remaining_sec;
	bool is_template, is_invalid;
};

static int compare_rows(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->text, ((const struct row *)b)->text);
}

static bool read_row(const char *line, struct row *ret)
{
	char proto[8], from[48], to[48], dest[48], state[24];
	unsigned from_port, to_port, dest_port;

	if (sscanf(line, "%7s %47s %x %47s %x %47s %x %23s %u", proto, from, &from_port, to,
		   &to_port, dest, &dest_port, state, &ret->remaining_sec) != 9)
		return false; /* the heading */
	ret->is_template = from_port == 0;
	ret->is_invalid = to_port == INVALID_TEMPLATE;
	return asprintf(&ret->text, "%s %s:%u %s:%u %s:%u %s", proto, from, from_port, to, to_port,
			dest, dest_port, state) > 0;
}

static struct row *sorted_rows(char *text, size_t *ret_n)
{
	size_t n = 0, capacity = 64;
	struct row *rows = calloc(capacity, sizeof(*rows));
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); rows && line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (n == capacity)
			rows = reallocarray(rows, capacity *= 2, sizeof(*rows));
		n += rows && read_row(line, &rows[n]);
	}
	if (!rows)
		abort();
	qsort(rows, n, sizeof(*rows), compare_rows);
	*ret_n = n;
	return rows;
}

/* What is about to run out may be gone on one side. */
static void print_row(const char *who, const struct row *row, bool print, unsigned *differences)
{
	if (row->remaining_sec <= EXPIRY_SKEW_SEC)
		return;
	if ((*differences)++ < DIFFERENCES_PRINTED && print)
		(void)fprintf(stderr, "# only %s: %s, for %u s\n", who, row->text,
			      row->remaining_sec);
}

static void print_time(const struct row *a, const struct row *b, bool print, unsigned *differences)
{
	unsigned gap = a->remaining_sec > b->remaining_sec ? a->remaining_sec - b->remaining_sec
							   : b->remaining_sec - a->remaining_sec;

	if (gap > EXPIRY_SKEW_SEC && (*differences)++ < DIFFERENCES_PRINTED && print)
		(void)fprintf(stderr, "# %s: runs out in %u/%u s (oracle/other)\n", a->text,
			      a->remaining_sec, b->remaining_sec);
}

static void free_rows(struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(rows[i].text);
	free(rows);
}

static bool compare_connections(struct rig *rig, bool print)
{
	_cleanup_free_ char *a = rig_connections(rig, RIG_KERNEL);
	_cleanup_free_ char *b = rig_connections(rig, RIG_FASTPATH);
	size_t n_a, n_b, i = 0, j = 0, invalid = 0;
	unsigned differences = 0;
	struct row *rows_a, *rows_b;

	if (!a || !b)
		return false;
	rows_a = sorted_rows(a, &n_a);
	rows_b = sorted_rows(b, &n_b);
	for (size_t k = 0; k < n_a; k++)
		invalid += rows_a[k].is_invalid;
	while (i < n_a || j < n_b) {
		int order = i == n_a ? 1 : j == n_b ? -1 : compare_rows(&rows_a[i], &rows_b[j]);

		if (order < 0 && rows_a[i].is_invalid)
			; /* nobody finds it any more */
		else if (order < 0)
			print_row("the oracle", &rows_a[i], print, &differences);
		else if (order > 0 && rows_b[j].is_template && invalid > 0)
			invalid--; /* it still names its destination there, and is not used either */
		else if (order > 0)
			print_row("the other", &rows_b[j], print, &differences);
		else
			print_time(&rows_a[i], &rows_b[j], print, &differences);
		i += order <= 0;
		j += order >= 0;
	}
	free_rows(rows_a, n_a);
	free_rows(rows_b, n_b);
	return differences == 0;
}

static bool same_connections(void *userdata)
{
	return compare_connections(userdata, false);
}

bool tallies_are_same(struct rig *rig)
{
	bool same;

	/* One reading of /proc/net/ip_vs_conn can miss rows when others run out meanwhile. */
	same = lab_wait_until(same_connections, rig, CONNECTIONS_USEC) == 0 ||
	       compare_connections(rig, true);
	if (lab_wait_until(settled, rig, SETTLE_USEC) == 0)
		return same;
	return compare_once(rig, true) == 0 && same;
}
