/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/tables-internal.h"

#include <errno.h>
#include <limits.h>

int tables_set_last_weight(struct tables *t, const struct ipvs_service_key *k, const struct addr *a,
			   uint16_t port, uint32_t last_weight)
{
	struct tables_service *s = tables_find_service(t, k);
	size_t i;

	if (!s)
		return -ESRCH;
	i = tables_find_dest(s, a, port);
	if (i == s->n_dests)
		return -ENOENT;
	if (last_weight > INT_MAX)
		return -ERANGE;
	if (s->dests[i]->conf.weight != 0)
		return 0;
	s->dests[i]->last_weight = last_weight;
	tables_touch_dest(t, s->dests[i]);
	tables_touch_service(t, s, true);
	return 0;
}

int tables_set_rules(struct tables *t, const struct ipvs_service_key *k, struct rules_view *rules,
		     void (*free_fn)(void *))
{
	struct tables_service *s = tables_find_service(t, k);

	if (!s)
		return -ESRCH;
	if (s->rules && s->rules != s->published_rules)
		s->free_rules(s->rules);
	s->rules = rules;
	s->free_rules = free_fn;
	tables_touch_service(t, s, false);
	return 0;
}

int tables_set_timeouts(struct tables *t, const struct ipvs_timeouts *timeouts)
{
	/* ip_vs_set_timeout() has them in jiffies; Debian's HZ. */
	const uint32_t max = INT_MAX / 250;

	if (timeouts->tcp_sec > max || timeouts->tcp_fin_sec > max || timeouts->udp_sec > max)
		return -EINVAL;
	t->timeouts.tcp_sec = timeouts->tcp_sec ? timeouts->tcp_sec : t->timeouts.tcp_sec;
	t->timeouts.tcp_fin_sec = timeouts->tcp_fin_sec ? timeouts->tcp_fin_sec
							: t->timeouts.tcp_fin_sec;
	t->timeouts.udp_sec = timeouts->udp_sec ? timeouts->udp_sec : t->timeouts.udp_sec;
	conn_timeouts_set(&t->draft.timeouts, t->config.tick_msec, t->timeouts.tcp_sec,
			  t->timeouts.tcp_fin_sec, t->timeouts.udp_sec);
	t->draft_dirty = true;
	return 0;
}

void tables_get_timeouts(const struct tables *t, struct ipvs_timeouts *ret)
{
	*ret = t->timeouts;
}

int tables_set_options(struct tables *t, const struct snapshot_options *o)
{
	t->draft.options = *o;
	t->draft_dirty = true;
	return 0;
}

const struct snapshot_options *tables_options(const struct tables *t)
{
	return &t->draft.options;
}
