/* SPDX-License-Identifier: GPL-2.0-or-later */

/* replay: the daemon's records of probes, run again here (health/replay.h) with other thresholds. */

#include "daemon/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "daemon/rfc3339.h"
#include "daemon/table.h"
#include "health/replay.h"

enum {
	REPLAY_SECONDS = 30,
};

DEFINE_CLEANUP(json_t *, json_decref)

static json_int_t number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static int outcome_from_string(const char *text)
{
	for (unsigned i = 0; i < _PROBE_OUTCOME_MAX; i++)
		if (!strcmp(text, probe_outcome_to_string((enum probe_outcome)i)))
			return (int)i;
	return -EINVAL;
}

static int note_from_string(const char *text)
{
	for (unsigned i = 0; i < _HISTORY_NOTE_MAX; i++)
		if (!strcmp(text, history_note_to_string((enum history_note)i)))
			return (int)i;
	return -EINVAL;
}

static int read_result(const json_t *j, struct history_entry *ret)
{
	int outcome = outcome_from_string(cli_text(j, "outcome"));
	int note = note_from_string(cli_text(j, "note"));
	enum target_state state;
	usec_t time;

	if (outcome < 0 || note < 0 || target_state_from_string(cli_text(j, "state"), &state) < 0 ||
	    !table_parse_time(cli_text(j, "time"), &time))
		return -EPROTO;
	*ret = (struct history_entry){
		.wall_msec = time / USEC_PER_MSEC,
		.outcome = (unsigned)outcome & 0xff,
		.state = (unsigned)state & 0xf,
		.note = (unsigned)note & 0xf,
		.detail = (int32_t)number(j, "detail"),
		.duration_usec = (uint32_t)number(j, "duration_us"),
	};
	return 0;
}

static int read_history(const json_t *record, struct history *ret)
{
	const json_t *before = json_object_get(record, "before"), *result;
	const json_t *results = json_object_get(record, "results");
	enum target_state state;
	struct history_entry e;
	size_t i;
	int r;

	if (target_state_from_string(cli_text(before, "state"), &state) < 0)
		return -EPROTO;
	r = history_init(ret, (uint32_t)json_array_size(results) + 1, state,
			 (unsigned)number(before, "successes"),
			 (unsigned)number(before, "failures"));
	json_array_foreach (results, i, result) {
		if (r == 0)
			r = read_result(result, &e);
		if (r == 0)
			history_add(ret, &e);
	}
	return r;
}

static struct replay_settings settings_of(const struct cli *cli, const json_t *record)
{
	const json_t *check = json_object_get(record, "check");
	json_int_t healthy = cli->healthy_threshold, unhealthy = cli->unhealthy_threshold;

	if (healthy < 0)
		healthy = number(check, "healthy_threshold");
	if (unhealthy < 0)
		unhealthy = number(check, "unhealthy_threshold");
	return (struct replay_settings){
		.thresholds = { .healthy = (unsigned)healthy, .unhealthy = (unsigned)unhealthy },
		.timeout_usec = cli->timeout_usec,
	};
}

static const char *format_time(usec_t wall_usec, char buf[static TABLE_TIME_MAX])
{
	char rfc3339[RFC3339_MAX];

	return table_format_time(rfc3339_format(wall_usec, rfc3339), buf);
}

static void print_change(const struct replay_change *c)
{
	const struct replay_transition *t = c->kind == REPLAY_NEW ? &c->would : &c->was;
	double was = (double)c->was.wall_usec / 1e6, would = (double)c->would.wall_usec / 1e6;
	char time[TABLE_TIME_MAX];

	(void)printf("  %s  %s -> %s: ", format_time(t->wall_usec, time),
		     target_state_to_string(t->from), target_state_to_string(t->to));
	switch (c->kind) {
	case REPLAY_SAME:
		(void)puts("the same");
		break;
	case REPLAY_EARLIER:
		(void)printf("%.1f s earlier\n", was - would);
		break;
	case REPLAY_LATER:
		(void)printf("%.1f s later\n", would - was);
		break;
	case REPLAY_ABSENT:
		(void)puts("would not have happened");
		break;
	default:
		(void)puts("would have happened");
	}
}

static void print_replay(const json_t *record, const struct replay_settings *s,
			 const struct history *h, const struct replay *r)
{
	char first[TABLE_TIME_MAX], last[TABLE_TIME_MAX];

	table_put_text(stdout, cli_text(record, "group"));
	(void)putchar('/');
	table_put_text(stdout, cli_text(record, "target"));
	if (h->n == 0) {
		(void)puts(": no results are recorded");
		return;
	}
	(void)printf(": %u results from %s to %s UTC, with up after %u, down after %u", h->n,
		     format_time((usec_t)history_get(h, 0)->wall_msec * USEC_PER_MSEC, first),
		     format_time((usec_t)history_get(h, h->n - 1)->wall_msec * USEC_PER_MSEC, last),
		     s->thresholds.healthy, s->thresholds.unhealthy);
	if (s->timeout_usec)
		(void)printf(", timeout %g s", (double)s->timeout_usec / 1e6);
	(void)putchar('\n');
	for (size_t i = 0; i < r->n; i++)
		print_change(&r->changes[i]);
	(void)printf("  transitions: %zu were, %zu would have been; it is %s and would be %s\n",
		     r->n_was, r->n_would, target_state_to_string(r->last_was),
		     target_state_to_string(r->last_would));
	if (r->n_unknown)
		(void)printf("  %zu probes ended before this timeout: whether an answer would "
			     "have come is not known; they count as failed\n",
			     r->n_unknown);
}

static json_t *transition_to_json(const struct replay_transition *t)
{
	char time[RFC3339_MAX];

	return json_pack("{s:s,s:s,s:s}", "time", rfc3339_format(t->wall_usec, time), "from",
			 target_state_to_string(t->from), "to", target_state_to_string(t->to));
}

static json_t *replay_to_json(const json_t *record, const struct replay_settings *s,
			      const struct history *h, const struct replay *r)
{
	json_t *changes = json_array();

	for (size_t i = 0; changes && i < r->n; i++) {
		const struct replay_change *c = &r->changes[i];

		(void)json_array_append_new(
			changes,
			json_pack("{s:s,s:o,s:o}", "kind", replay_kind_to_string(c->kind), "was",
				  c->kind == REPLAY_NEW ? json_null() : transition_to_json(&c->was),
				  "would",
				  c->kind == REPLAY_ABSENT ? json_null()
							   : transition_to_json(&c->would)));
	}
	return json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:s,s:s,s:o?}", "group",
			 cli_text(record, "group"), "target", cli_text(record, "target"), "results",
			 (json_int_t)h->n, "healthy_threshold", (json_int_t)s->thresholds.healthy,
			 "unhealthy_threshold", (json_int_t)s->thresholds.unhealthy, "were",
			 (json_int_t)r->n_was, "would_be", (json_int_t)r->n_would, "unknown",
			 (json_int_t)r->n_unknown, "state", target_state_to_string(r->last_was),
			 "would_be_state", target_state_to_string(r->last_would), "changes",
			 changes);
}

/* One target: printed, or appended to the list. */
static int replay_one(const struct cli *cli, const json_t *record, json_t *list)
{
	_cleanup_(history_deinit) struct history h = HISTORY_INIT;
	_cleanup_(replay_deinit) struct replay r = REPLAY_INIT;
	struct replay_settings s = settings_of(cli, record);
	int error = read_history(record, &h);

	if (error == 0)
		error = replay_run(&h, &s, &r);
	if (error < 0)
		return cli_fail(cli, "%s",
				error == -ENOMEM ? "out of memory"
						 : "the daemon's record is not understood: is it "
						   "of another version?");
	if (!list)
		print_replay(record, &s, &h, &r);
	else if (json_array_append_new(list, replay_to_json(record, &s, &h, &r)) < 0)
		return cli_fail(cli, "out of memory");
	return CLI_OK;
}

/* "GROUP/TARGET" and addresses are targets, all else is a group. */
static bool is_target(const char *text)
{
	struct addr addr;
	uint16_t port;

	return strchr(text, '/') || addr_port_parse(text, &addr, &port) == 0;
}

int cli_replay(const struct cli *cli)
{
	_cleanup_(json_decref_p) json_t *report = NULL, *list = cli->json ? json_array() : NULL;
	_cleanup_free_ char *path = NULL;
	const json_t *record;
	size_t i;
	int status;

	path = cli_query("/v1/history",
			 (const char *const[][2]){
				 { is_target(cli->args[0]) ? "target" : "group", cli->args[0] } },
			 1);
	if (!path)
		return cli_fail(cli, "out of memory");
	status = cli_ask(cli, "GET", path, NULL, REPLAY_SECONDS, &report);
	json_array_foreach (json_object_get(report, "targets"), i, record)
		if (status == CLI_OK)
			status = replay_one(cli, record, list);
	if (status != CLI_OK || !list)
		return status;
	return cli_print_json(list);
}
