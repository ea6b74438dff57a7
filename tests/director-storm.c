/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "director-storm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "director-storm-internal.h"
#include "dpdk-fastpath/director-internal.h"

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			(void)fprintf(stderr, "storm: %s:%d: %s\n", __FILE__, __LINE__,            \
				      #condition);                                                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

const struct storm_service storm_services[STORM_SERVICES] = {
	{ IPPROTO_TCP,
	  { "203.0.113.1:80", "[2001:db8::1]:80" },
	  "rr",
	  0,
	  { { "10.0.0.1:80", "10.0.0.2:81" }, { "[2001:db8:1::1]:80", "[2001:db8:1::2]:81" } },
	  { .forward = IPVS_FORWARD_MASQ, .upper_threshold = 6 } },
	{ IPPROTO_UDP,
	  { "203.0.113.1:53", "[2001:db8::1]:53" },
	  "mh",
	  0,
	  { { "10.0.0.1:53", "10.0.0.2:53" }, { "[2001:db8:1::1]:53", "[2001:db8:1::2]:53" } },
	  { .forward = IPVS_FORWARD_FULL_NAT } },
	{ IPPROTO_TCP,
	  { "203.0.113.2:80", "[2001:db8::2]:80" },
	  "mh",
	  IPVS_SVC_SCHED1,
	  { { "10.0.0.1:80", "10.0.0.3:80" }, { "[2001:db8:1::1]:80", "[2001:db8:1::3]:80" } },
	  { .forward = IPVS_FORWARD_ROUTE } },
	{ IPPROTO_UDP,
	  { "203.0.113.2:0", "[2001:db8::2]:0" },
	  "wlc",
	  IPVS_SVC_PERSISTENT,
	  { { "10.0.0.4:0", "10.0.0.5:0" }, { "[2001:db8:1::4]:0", "10.0.0.9:0" } },
	  { .forward = IPVS_FORWARD_TUNNEL } },
	{ IPPROTO_TCP,
	  { "203.0.113.3:80", "[2001:db8::3]:80" },
	  "sh",
	  IPVS_SVC_PERSISTENT,
	  { { "10.0.0.6:80", "[2001:db8:1::9]:80" }, { "[2001:db8:1::6]:80", "10.0.0.8:80" } },
	  { .forward = IPVS_FORWARD_TUNNEL, .tunnel = IPVS_TUNNEL_GUE, .tunnel_port = 6080 } },
	{ IPPROTO_UDP,
	  { "203.0.113.3:53", "[2001:db8::3]:53" },
	  "rr",
	  IPVS_SVC_ONEPACKET,
	  { { "10.0.0.1:54", "10.0.0.2:54" }, { "[2001:db8:1::1]:54", "[2001:db8:1::2]:54" } },
	  { .forward = IPVS_FORWARD_MASQ } },
	{ IPPROTO_SCTP,
	  { "203.0.113.4:99", "[2001:db8::4]:99" },
	  "lc",
	  0,
	  { { "10.0.0.1:99", "10.0.0.2:98" }, { "[2001:db8:1::1]:99", "[2001:db8:1::2]:98" } },
	  { .forward = IPVS_FORWARD_FULL_NAT, .upper_threshold = 4, .lower_threshold = 2 } },
	{ IPPROTO_TCP,
	  { "203.0.113.4:80", "[2001:db8::4]:80" },
	  "wrr",
	  0,
	  { { "10.0.0.7:80", "10.0.0.8:80" }, { "[2001:db8:1::7]:80", "[2001:db8:1::8]:80" } },
	  { .forward = IPVS_FORWARD_TUNNEL, .tunnel = IPVS_TUNNEL_GRE, .tunnel_flags = 1 } },
};

static struct ipvs_service_key key_of(unsigned service, unsigned family)
{
	return rig_key(storm_services[service].protocol, storm_services[service].virtual[family]);
}

static struct ipvs_dest conf_of(unsigned service, unsigned weight)
{
	struct ipvs_dest d = storm_services[service].conf;

	d.weight = weight;
	return d;
}

struct storm *storm_new(void)
{
	static const char *const locals[] = { "192.0.2.1", "192.0.2.2", "2001:db8:ffff::1" };
	struct storm *s = calloc(1, sizeof(*s));

	CHECK(s);
	rig_init(&s->rig, &(struct rig_config){ .n_workers = STORM_WORKERS,
						.max_flows = 16,
						.embryonic_max = 8,
						.max_fragments = 8 });
	for (unsigned i = 0; i < STORM_SERVICES; i++) {
		for (unsigned family = 0; family < STORM_FAMILIES; family++) {
			struct ipvs_service_key k = key_of(i, family);
			struct ipvs_dest d = conf_of(i, 1);

			rig_service(&s->rig, &k, storm_services[i].scheduler,
				    storm_services[i].flags, 30);
			rig_dest_conf(&s->rig, &k, storm_services[i].dests[family][0], &d);
			rig_dest_conf(&s->rig, &k, storm_services[i].dests[family][1], &d);
		}
	}
	rig_locals(&s->rig, locals, ARRAY_SIZE(locals));
	CHECK(tables_set_timeouts(s->rig.tables, &(struct ipvs_timeouts){ 20, 10, 15 }) == 0);
	rig_publish(&s->rig);
	return s;
}

void storm_free(struct storm *s)
{
	rig_deinit(&s->rig);
	free(s);
}

uint64_t storm_counter(const struct storm *s, unsigned counter)
{
	return s->counters[counter];
}

static void remember(struct storm *s, const struct frame_view *v)
{
	struct recent *r = &s->recent[s->n_recent++ % STORM_RECENT];

	(void)addr_port_format(&v->src, v->src_port, r->src);
	(void)addr_port_format(&v->dst, v->dst_port, r->dst);
	r->protocol = v->protocol;
}

/* What must be true of a frame that the director has dealt with. */
static void check_frame(struct storm *s, unsigned worker, bool owned, unsigned i)
{
	struct rig_frame *f = &s->frames[i];
	const struct director_action *a = &f->f.action;

	switch (a->verdict) {
	case DIRECTOR_SEND:
	case DIRECTOR_FRAGMENT:
		CHECK(a->port < RIG_PORTS);
		rig_read(f);
		CHECK(!s->whole[i] || f->out.checksums_right || f->out.no_checksum);
		CHECK(f->out.src_mac[4] == 0xaa);
		CHECK(a->verdict == DIRECTOR_SEND || f->out.ip_bytes > a->mtu);
		remember(s, &f->out);
		s->last_sent = f;
		return;
	case DIRECTOR_HANDOVER:
		CHECK(a->worker < STORM_WORKERS && a->worker != worker);
		CHECK(!owned || f->f.packet.is_fragment ||
		      a->worker == snapshot_former_owner(rig_snapshot(&s->rig), &f->f.packet.key));
		return;
	case DIRECTOR_HOLD:
		s->held[i] = true;
		return;
	case DIRECTOR_DROP:
		CHECK(a->reason < _COUNTER_MAX);
		return;
	default:
		CHECK(a->verdict == DIRECTOR_EXCEPTION);
	}
}

static void run(struct storm *s, unsigned worker, bool owned, unsigned first, unsigned n);

static void hand_over(struct storm *s, unsigned i, unsigned depth)
{
	struct rig_frame *f = &s->frames[i];

	CHECK(depth < 3);
	while (f->f.action.verdict == DIRECTOR_HANDOVER && depth < 3) {
		unsigned worker = f->f.action.worker;
		uint32_t len = f->f.packet.len_bytes;
		uint16_t port = f->f.port;

		rig_parse(f, len);
		f->f.port = port;
		run(s, worker, true, i, 1);
		depth++;
	}
	CHECK(f->f.action.verdict != DIRECTOR_HANDOVER);
}

static void run(struct storm *s, unsigned worker, bool owned, unsigned first, unsigned n)
{
	struct director_frame burst[STORM_FRAMES_MAX];
	uint64_t before = rig_counters(&s->rig, worker);

	for (unsigned i = 0; i < n; i++) {
		burst[i] = s->frames[first + i].f;
		memset(&burst[i].action, 0xee, sizeof(burst[i].action));
	}
	director_run(s->rig.directors[worker], rig_snapshot(&s->rig), s->rig.now, owned, burst, n);
	CHECK(rig_counters(&s->rig, worker) == before + n);
	for (unsigned i = 0; i < n; i++) {
		s->frames[first + i].f = burst[i];
		check_frame(s, worker, owned, first + i);
	}
}

static void release(struct storm *s)
{
	for (unsigned w = 0; w < STORM_WORKERS; w++) {
		struct director_frame frames[3];
		unsigned n;

		while ((n = director_released(s->rig.directors[w], rig_snapshot(&s->rig),
					      s->rig.now, frames, 3)) > 0) {
			for (unsigned k = 0; k < n; k++) {
				struct rig_frame *f = frames[k].handle;
				unsigned i = (unsigned)(f - s->frames);

				CHECK(i < STORM_FRAMES_MAX && s->held[i]);
				CHECK(frames[k].action.verdict != DIRECTOR_HOLD);
				s->held[i] = false;
				f->f = frames[k];
				check_frame(s, w, true, i);
				if (f->f.action.verdict == DIRECTOR_HANDOVER)
					hand_over(s, i, 0);
			}
		}
	}
}

/* Runs what was made since the last time, then gives strangers to their owners. */
static void flush(struct storm *s, unsigned worker, unsigned *first)
{
	unsigned begin = *first, n = s->n_frames - begin;

	*first = s->n_frames;
	if (n == 0)
		return;
	run(s, worker, false, begin, n);
	for (unsigned i = begin; i < begin + n; i++)
		if (s->frames[i].f.action.verdict == DIRECTOR_HANDOVER)
			hand_over(s, i, 0);
	release(s);
}

static void change_dest(struct storm *s)
{
	unsigned what = storm_next(s), service = what % STORM_SERVICES, family = what >> 7;
	unsigned which = what >> 6 & 1, weight = storm_next(s) % 3;
	struct ipvs_service_key k = key_of(service, family);
	const char *dest = storm_services[service].dests[family][which];
	struct ipvs_dest d = conf_of(service, weight);
	bool *deleted = &s->deleted[service][family][which];

	if (*deleted)
		rig_dest_conf(&s->rig, &k, dest, &d);
	else if (what & 0x20)
		rig_del_dest(&s->rig, &k, dest);
	else
		rig_set_dest(&s->rig, &k, dest, &d);
	*deleted = !*deleted && (what & 0x20);
	s->changed[service][family][which] = true;
}

static void change_options(struct storm *s)
{
	unsigned bits = storm_next(s);

	s->options_changed = true;
	rig_options(&s->rig, &(struct snapshot_options){
				     .expire_nodest_conn = bits & 1,
				     .expire_quiescent_template = bits & 2,
				     .sloppy_tcp = bits & 4,
				     .nat_icmp_send = bits & 8,
				     .conn_reuse_mode = bits >> 4 & 3,
				     .reset_on_expiry = bits & 64,
				     .stateless_when_full = bits & 128,
			     });
}

/* A connection out and in again, perhaps to the other worker, perhaps changed. */
static void move(struct storm *s)
{
	unsigned from = storm_next(s) % STORM_WORKERS, to = storm_next(s) % STORM_WORKERS,
		 change = storm_next(s);
	struct director_conn conns[4];
	uint32_t cursor = 0;
	unsigned n = director_export(s->rig.directors[from], rig_snapshot(&s->rig), s->rig.now,
				     &cursor, conns, 4);

	for (unsigned i = 0; i < n; i++) {
		conns[i].key.src[3] ^= (uint8_t)(change & 7);
		conns[i].state ^= (uint8_t)(change >> 4);
		(void)director_import(s->rig.directors[to], rig_snapshot(&s->rig), s->rig.now,
				      &conns[i]);
	}
}

/* Every record is counted at one destination. */
static void check_counts(const struct storm *s)
{
	for (unsigned w = 0; w < STORM_WORKERS; w++) {
		struct flow_usage u;
		uint64_t references = 0, persistent = 0;

		flow_table_usage(director_flows(s->rig.directors[w]), &u);
		for (uint32_t id = 0; id < 64; id++) {
			const struct dest_counters *c = &s->rig.counters[w][id];

			CHECK(c->references == c->active + c->inactive + c->persistent);
			references += c->references;
			persistent += c->persistent;
		}
		CHECK(references == u.flows);
		CHECK(persistent == u.templates);
	}
}

static void sleep_ticks(struct storm *s, unsigned ticks)
{
	uint8_t data[128];
	uint16_t port;

	s->rig.now += ticks;
	for (unsigned w = 0; w < STORM_WORKERS; w++) {
		unsigned n;

		director_tick(s->rig.directors[w], rig_snapshot(&s->rig), s->rig.now);
		while ((n = director_emit(s->rig.directors[w], rig_snapshot(&s->rig), data,
					  &port)) > 0) {
			struct frame_view v;

			CHECK(n <= sizeof(data) && port < RIG_PORTS);
			CHECK(frame_read(data, n, &v) && v.checksums_right);
		}
	}
	release(s);
}

static void restore_dest(struct storm *s, unsigned service, unsigned family, unsigned which)
{
	struct ipvs_service_key k = key_of(service, family);
	struct ipvs_dest d = conf_of(service, 1);
	const char *dest = storm_services[service].dests[family][which];

	if (!s->changed[service][family][which])
		return;
	if (s->deleted[service][family][which])
		rig_dest_conf(&s->rig, &k, dest, &d);
	else
		rig_set_dest(&s->rig, &k, dest, &d);
	s->deleted[service][family][which] = s->changed[service][family][which] = false;
}

static void restore(struct storm *s)
{
	for (unsigned i = 0; i < STORM_SERVICES * STORM_FAMILIES * 2; i++)
		restore_dest(s, i / 4, i / 2 % 2, i % 2);
	if (s->options_changed)
		rig_options(&s->rig, &(struct snapshot_options){ .conn_reuse_mode = 1 });
	s->options_changed = false;
	s->n_recent = 0;
	memset(s->recent, 0, sizeof(s->recent));
}

static bool is_empty(const struct storm *s)
{
	size_t n = 0;

	for (unsigned w = 0; w < STORM_WORKERS; w++) {
		struct flow_usage u;

		flow_table_usage(director_flows(s->rig.directors[w]), &u);
		n += u.flows;
	}
	return n == 0;
}

/* All connections end, and leave nothing. */
static void settle(struct storm *s)
{
	for (unsigned i = 0; i < 2 || (i < 400 && !is_empty(s)); i++)
		sleep_ticks(s, FRAGMENTS_TIMEOUT_MSEC / RIG_TICK_MSEC);
	for (unsigned i = 0; i < s->n_frames; i++)
		CHECK(!s->held[i]);
	check_counts(s);
	CHECK(is_empty(s));
	for (unsigned w = 0; w < STORM_WORKERS; w++)
		for (unsigned i = 0; i < PEERS_BUCKETS; i++)
			CHECK(s->rig.directors[w]->peers.buckets[i] == PEERS_NONE);
	for (uint32_t id = 0; id < 64; id++)
		CHECK(!s->rig.overloaded[id]);
	restore(s);
	for (unsigned c = 0; c < _COUNTER_MAX; c++)
		s->counters[c] = rig_counter(&s->rig, 0, c) + rig_counter(&s->rig, 1, c);
}

void storm_play(struct storm *s, const uint8_t *script, size_t n)
{
	unsigned first = 0, worker = 0;

	s->script = script;
	s->end = script + n;
	s->n_frames = 0;
	s->last_sent = NULL;
	while (s->script < s->end && s->n_frames < STORM_FRAMES_MAX) {
		unsigned op = storm_next(s);

		switch (op % 16) {
		case 10:
			storm_make_raw(s);
			break;
		case 11:
			storm_make_frame(s, true, op & 0x80);
			break;
		case 12:
		case 13:
		case 14:
		case 15:
			flush(s, worker, &first);
			worker = op >> 7;
			if (op % 16 == 12)
				sleep_ticks(s, storm_next(s) * storm_next(s));
			else if (op % 16 == 13)
				change_dest(s);
			else if (op % 16 == 14)
				change_options(s);
			else
				move(s);
			break;
		default:
			storm_make_frame(s, false, op >= 0xe0);
		}
		if (op & 0x10)
			flush(s, worker, &first);
	}
	flush(s, worker, &first);
	check_counts(s);
	settle(s);
}
