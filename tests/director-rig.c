/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "director-rig.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static const uint8_t port_macs[RIG_PORTS][PACKET_MAC_LEN] = {
	{ 0x02, 0, 0, 0, 0xaa, 0x00 },
	{ 0x02, 0, 0, 0, 0xaa, 0x01 },
};

static void must(bool condition, const char *what)
{
	if (condition)
		return;
	(void)fprintf(stderr, "rig: %s\n", what);
	abort();
}

static void retire(void *context, void (*free_fn)(void *), void *object)
{
	struct rig *r = context;

	must(r->n_retired < RIG_RETIRED_MAX, "too much retired");
	r->retired[r->n_retired].free_fn = free_fn;
	r->retired[r->n_retired++].object = object;
}

static uint16_t on_address(void *context, const struct addr *a)
{
	struct rig *r = context;
	uint16_t i = ++r->n_nexthops;
	struct nexthop *n = &r->nexthops[i];
	uint8_t mac[8] = { 0x02, 0, 0, 0, 0xd0, (uint8_t)i, 1, 0 };
	uint64_t word;

	(void)a;
	must(i < SNAPSHOT_NEXTHOPS_MAX, "too many next hops");
	memcpy(&word, mac, sizeof(word));
	n->mtu = RIG_MTU;
	must(inet_pton(AF_INET, "192.0.2.254", n->source4) == 1, "source4");
	must(inet_pton(AF_INET6, "2001:db8:ffff::fe", n->source6) == 1, "source6");
	atomic_store(&n->mac, word);
	return i;
}

void rig_init(struct rig *r, const struct rig_config *c)
{
	struct tables_config tables = {
		.n_workers = c->n_workers ? c->n_workers : 1,
		.tick_msec = RIG_TICK_MSEC,
		.dest_counters = r->counters,
		.retire = retire,
		.on_address = on_address,
		.context = r,
	};
	struct director_config config;

	memset(r, 0, sizeof(*r));
	r->n_workers = tables.n_workers;
	r->now = 1000000;
	r->overloaded = calloc(SNAPSHOT_DESTS_MAX, 1);
	r->nexthops = calloc(SNAPSHOT_NEXTHOPS_MAX, sizeof(*r->nexthops));
	for (unsigned i = 0; i < r->n_workers; i++)
		r->counters[i] = calloc(SNAPSHOT_DESTS_MAX, sizeof(struct dest_counters));
	for (unsigned i = 0; i < RIG_PORTS; i++)
		r->mtus[i] = RIG_MTU;
	tables.overloaded = r->overloaded;
	tables.nexthops = r->nexthops;
	must(tables_new(&tables, &r->tables) == 0, "tables_new");
	config = (struct director_config){
		.n_workers = r->n_workers,
		.flows = {
			.max_flows = c->max_flows ? c->max_flows : 4096,
			.embryonic_max = c->embryonic_max,
			.seed = 20261122,
			.tick_msec = RIG_TICK_MSEC,
			.endpoints = rig_snapshot(r)->endpoints,
			.locals = rig_snapshot(r)->locals,
		},
		.max_fragments = c->max_fragments ? c->max_fragments : 64,
		.seed = 7,
		.all_counters = r->counters,
		.overloaded = r->overloaded,
		.port_macs = port_macs,
		.port_mtus = r->mtus,
		.port_rss = c->port_rss,
		.n_ports = RIG_PORTS,
	};
	for (unsigned i = 0; i < r->n_workers; i++) {
		if (c->only_worker && i != c->only_worker)
			continue;
		config.worker = i;
		config.dest_counters = r->counters[i];
		must(director_new(&config, &r->directors[i]) == 0, "director_new");
	}
}

static void reclaim(struct rig *r)
{
	/* freeing may retire more */
	while (r->n_retired > 0) {
		r->n_retired--;
		r->retired[r->n_retired].free_fn(r->retired[r->n_retired].object);
	}
}

void rig_deinit(struct rig *r)
{
	for (unsigned i = 0; i < r->n_workers; i++)
		director_free(r->directors[i]);
	reclaim(r);
	tables_free(r->tables);
	reclaim(r);
	for (unsigned i = 0; i < r->n_workers; i++)
		free(r->counters[i]);
	free((void *)r->overloaded);
	free(r->nexthops);
}

const struct snapshot *rig_snapshot(const struct rig *r)
{
	return tables_snapshot(r->tables);
}

void rig_publish(struct rig *r)
{
	must(tables_publish(r->tables) == 0, "tables_publish");
	reclaim(r);
}

struct ipvs_service_key rig_key(uint8_t protocol, const char *virtual)
{
	struct ipvs_service_key k = { .protocol = protocol };

	must(addr_port_parse(virtual, &k.addr, &k.port) == 0, virtual);
	k.family = k.addr.family;
	return k;
}

void rig_service(struct rig *r, const struct ipvs_service_key *k, const char *scheduler,
		 uint32_t flags, uint32_t timeout_sec)
{
	struct ipvs_service s = {
		.key = *k,
		.flags = flags,
		.timeout_sec = timeout_sec,
		.netmask = k->family == AF_INET6 ? 128 : 0xffffffff,
	};

	(void)snprintf(s.scheduler, sizeof(s.scheduler), "%s", scheduler);
	must(tables_service_new(r->tables, &s) == 0, "tables_service_new");
	rig_publish(r);
}

void rig_dest_conf(struct rig *r, const struct ipvs_service_key *k, const char *dest,
		   const struct ipvs_dest *conf)
{
	struct ipvs_dest d = *conf;

	must(addr_port_parse(dest, &d.addr, &d.port) == 0, dest);
	must(tables_dest_new(r->tables, k, &d) == 0, "tables_dest_new");
	rig_publish(r);
}

void rig_dest(struct rig *r, const struct ipvs_service_key *k, const char *dest,
	      enum ipvs_forward forward, uint32_t weight)
{
	const struct ipvs_dest conf = { .forward = forward, .weight = weight };

	rig_dest_conf(r, k, dest, &conf);
}

void rig_set_dest(struct rig *r, const struct ipvs_service_key *k, const char *dest,
		  const struct ipvs_dest *conf)
{
	struct ipvs_dest d = *conf;

	must(addr_port_parse(dest, &d.addr, &d.port) == 0, dest);
	must(tables_dest_set(r->tables, k, &d) == 0, "tables_dest_set");
	rig_publish(r);
}

void rig_del_dest(struct rig *r, const struct ipvs_service_key *k, const char *dest)
{
	uint16_t port;
	struct addr a;

	must(addr_port_parse(dest, &a, &port) == 0, dest);
	must(tables_dest_del(r->tables, k, &a, port) == 0, "tables_dest_del");
	rig_publish(r);
}

void rig_options(struct rig *r, const struct snapshot_options *o)
{
	must(tables_set_options(r->tables, o) == 0, "tables_set_options");
	rig_publish(r);
}

void rig_locals(struct rig *r, const char *const *addrs, size_t n)
{
	struct addr parsed[16];

	must(n <= ARRAY_SIZE(parsed), "locals");
	for (size_t i = 0; i < n; i++)
		must(addr_parse(addrs[i], &parsed[i]) == 0, addrs[i]);
	must(tables_set_locals(r->tables, parsed, n) == 0, "tables_set_locals");
	rig_publish(r);
}

uint32_t rig_dest_id(const struct rig *r, const struct ipvs_service_key *k, const char *dest)
{
	struct flow_key key = { .protocol = k->protocol, .family = (uint8_t)k->family };
	const struct service_view *s;
	uint16_t port;
	struct addr a;

	must(addr_port_parse(dest, &a, &port) == 0, dest);
	memcpy(key.dst, k->addr.bytes, sizeof(key.dst));
	key.dst_port_be = htons(k->port);
	s = snapshot_find_service(rig_snapshot(r), &key);
	for (size_t i = 0; s && i < s->n_dests; i++)
		if (memcmp(s->dests[i]->addr, a.bytes, sizeof(a.bytes)) == 0 &&
		    s->dests[i]->port_be == htons(port))
			return s->dests[i]->id;
	return 0;
}

void rig_parse(struct rig_frame *f, uint32_t len_bytes)
{
	uint8_t *data = f->buffer + FRAME_HEADROOM;

	memset(&f->f, 0, sizeof(f->f));
	memset(&f->out, 0, sizeof(f->out));
	f->f.handle = f;
	packet_parse(data, len_bytes, len_bytes, false, &f->f.packet);
	f->f.packet.headroom_bytes = FRAME_HEADROOM;
	f->f.packet.tailroom_bytes = (uint16_t)(FRAME_MAX - len_bytes);
}

void rig_make(struct rig_frame *f, const struct frame_spec *s)
{
	rig_parse(f, frame_make(s, f->buffer + FRAME_HEADROOM));
}

void rig_read(struct rig_frame *f)
{
	const struct packet *p = &f->f.packet;

	memset(&f->out, 0, sizeof(f->out));
	if (f->f.action.verdict == DIRECTOR_SEND || f->f.action.verdict == DIRECTOR_FRAGMENT)
		must(frame_read(p->data, p->len_bytes, &f->out), "what leaves is no frame");
}

uint64_t rig_counter(const struct rig *r, unsigned worker, enum counter c)
{
	return atomic_load(&director_counters(r->directors[worker])->value[c]);
}

uint64_t rig_counters(const struct rig *r, unsigned worker)
{
	uint64_t sum = 0;

	for (unsigned c = 0; c < _COUNTER_MAX; c++)
		sum += rig_counter(r, worker, (enum counter)c);
	return sum;
}

void rig_run_frame(struct rig *r, unsigned worker, bool owned, struct rig_frame *f)
{
	uint64_t before = rig_counters(r, worker);

	memset(&f->f.action, 0xee, sizeof(f->f.action));
	director_run(r->directors[worker], rig_snapshot(r), r->now, owned, &f->f, 1);
	must(rig_counters(r, worker) == before + 1, "a frame ends in one counter");
	rig_read(f);
}

enum director_verdict rig_send_to(struct rig *r, unsigned worker, struct rig_frame *f,
				  const struct frame_spec *s, unsigned *ret_worker)
{
	rig_make(f, s);
	rig_run_frame(r, worker, false, f);
	for (unsigned i = 0; i < 3 && f->f.action.verdict == DIRECTOR_HANDOVER; i++) {
		must(f->f.action.worker < r->n_workers, "handed over to nobody");
		must(f->f.action.worker != worker, "handed over to itself");
		worker = f->f.action.worker;
		/* as the other worker sees it: bytes alone */
		rig_parse(f, f->f.packet.len_bytes);
		rig_run_frame(r, worker, true, f);
	}
	if (ret_worker)
		*ret_worker = worker;
	return (enum director_verdict)f->f.action.verdict;
}

enum director_verdict rig_send(struct rig *r, struct rig_frame *f, const struct frame_spec *s)
{
	return rig_send_to(r, 0, f, s, NULL);
}

void rig_sleep(struct rig *r, uint32_t sec)
{
	for (uint32_t i = 0; i < sec * RIG_SEC; i++) {
		r->now++;
		for (unsigned w = 0; w < r->n_workers; w++)
			if (r->directors[w])
				director_tick(r->directors[w], rig_snapshot(r), r->now);
	}
}

struct flow_usage rig_usage(const struct rig *r)
{
	struct flow_usage u;

	flow_table_usage(director_flows(r->directors[0]), &u);
	return u;
}

bool rig_goes_to(struct rig *r, uint8_t protocol, const char *src, const char *dst,
		 const char *dest)
{
	struct frame_spec s = {
		.src = src, .dst = dst, .protocol = protocol, .tcp_flags = FRAME_SYN
	};
	struct rig_frame f;

	return rig_send(r, &f, &s) == DIRECTOR_SEND && frame_is_to(&f.out, dest);
}
