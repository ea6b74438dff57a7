/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the files of the director share. A pass is one call from outside: worker, snapshot and time. Each frame is given
 * its action, and counted, by exactly one of the functions that return nothing.
 */

#include "dpdk-fastpath/director-peers.h"
#include "dpdk-fastpath/director.h"
#include "dpdk-fastpath/fragments.h"
#include "dpdk-fastpath/icmp.h"
#include "dpdk-fastpath/local-ports.h"
#include "dpdk-fastpath/sched.h"

enum {
	/* Bounds of the work of one director_tick(). */
	DIRECTOR_EXPIRE_MAX = 128,
	DIRECTOR_SWEEP_MAX = 256,
	/* As icmp_msgs_per_sec of the kernel, per worker; fragmentation needed and too big are not limited. */
	DIRECTOR_ERRORS_PER_SEC = 1000,
	/* nat_icmp_send: packets of no connection are looked for among all destinations so often. */
	DIRECTOR_STRANGERS_PER_SEC = 1000,
	DIRECTOR_RESETS_MAX = 256,
	/* ip_vs_conn_expire(): a template that controls connections is kept for so long at a time. */
	DIRECTOR_RETAIN_SEC = 60,
	/* Bits of a template's state: the first is the kernel's IP_VS_CTPL_S_ASSURED. */
	DIRECTOR_TEMPLATE_ASSURED = 1,
	DIRECTOR_TEMPLATE_RETAINED = 2,
};

/* ip_vs_control_assure_ct(). Not one that was bound to another destination since: for the kernel it is another one. */
static inline void director_assure_template(struct flow_table *flows, const struct flow *f)
{
	struct flow *t = flow_at(flows, f->control);

	if (t->endpoint == f->endpoint)
		t->state |= DIRECTOR_TEMPLATE_ASSURED;
}

/* A reset that waits for director_emit(). */
struct director_reset {
	struct flow_key key;
	uint32_t seq, ack;
	uint16_t port, vlan_tci;
	uint8_t dst_mac[PACKET_MAC_LEN];
};

/* So many a second. */
struct director_limit {
	uint32_t n_left, tick;
};

/* What is known and decided about a packet that may begin a connection. */
struct director_attempt {
	const struct service_view *service; /* NULL: none */
	const struct dest_view *dest;	    /* NULL: not decided; what follows is not valid then */
	uint32_t overloads;		    /* director.overloads when it was */
	uint32_t template;		    /* FLOW_NONE without persistence */
	struct flow flow;
	bool is_planned; /* plan is valid, for the flow as it is */
	struct flow_plan plan;
};

struct director {
	struct director_config config;
	struct flow_table *flows;     /* owned */
	struct fragments *fragments;  /* owned */
	struct local_ports *ports;    /* owned */
	struct sched_cursor *cursors; /* owned; by service id */
	uint64_t random;
	uint32_t tick_msec;
	/* Since the look-up of this burst's keys: what it found may not be so any more. */
	bool inserted, removed;
	uint32_t overloads;  /* how often a destination became overloaded, or free again */
	uint32_t leaving;    /* the connection whose place a new one takes; FLOW_NONE */
	uint32_t full_until; /* stateless: connections without a record may be about until then */
	bool was_full;
	/* The connection of the last packet that was sent without a record: its later fragments follow it. */
	struct flow stateless;
	bool sent_stateless;
	uint16_t ipv4_id;
	struct director_limit errors, strangers;
	uint32_t deletions; /* of the snapshot, when the last sweep began */
	uint32_t sweep_cursor;
	bool is_sweeping;
	uint32_t resets_head, resets_tail; /* not reduced */
	struct director_reset resets[DIRECTOR_RESETS_MAX];
	struct peers peers;
	struct director_attempt attempts[DIRECTOR_BURST_MAX]; /* of keys that were not found */
	_Alignas(64) struct counters counters;
};

struct director_pass {
	struct director *d;
	const struct snapshot *s;
	uint32_t now;
	bool owned;
};

static inline void director_count(const struct director_pass *pass, enum counter c)
{
	COUNTER_ADD(pass->d->counters.value[c], 1);
}

static inline void director_drop(const struct director_pass *pass, struct director_frame *f,
				 enum counter reason)
{
	f->action.verdict = DIRECTOR_DROP;
	f->action.reason = (uint8_t)reason;
	director_count(pass, reason);
}

static inline void director_except(const struct director_pass *pass, struct director_frame *f)
{
	f->action.verdict = DIRECTOR_EXCEPTION;
	director_count(pass, COUNTER_EXCEPTION);
}

static inline void director_hand_over(const struct director_pass *pass, struct director_frame *f,
				      unsigned worker)
{
	f->action.verdict = DIRECTOR_HANDOVER;
	f->action.worker = (uint16_t)worker;
	director_count(pass, COUNTER_HANDED_OVER);
}

static inline void director_sent(const struct director_pass *pass, struct director_frame *f,
				 uint16_t port, enum counter c)
{
	f->action.verdict = DIRECTOR_SEND;
	f->action.port = port;
	director_count(pass, c);
}

/* Of the IP packet, as the kernel counts. */
static inline uint32_t director_ip_bytes(const struct packet *p)
{
	return p->len_bytes - p->l3_off;
}

/* Is it one of these modes? A bit for each. */
static inline bool director_is_of_modes(uint16_t flags, unsigned modes)
{
	return modes >> (flags & FLOW_FWD_MASK) & 1;
}

static inline bool director_is_nat(uint16_t flags)
{
	return director_is_of_modes(flags, 1U << IPVS_FORWARD_MASQ | 1U << IPVS_FORWARD_FULL_NAT);
}

/* What a packet adds: fragments count as the one packet that the kernel makes of them. */
static inline uint64_t director_counted_packets(const struct packet *p)
{
	return p->frag_off_bytes == 0;
}

static inline uint64_t director_counted_bytes(const struct packet *p)
{
	if (__builtin_expect(!p->is_fragment, true))
		return director_ip_bytes(p);
	if (p->frag_off_bytes > 0)
		return p->len_bytes - p->l4_off;
	return director_ip_bytes(p) - (p->ipv6_frag_off ? PACKET_IPV6_FRAGMENT_LEN : 0);
}

static inline void director_count_in(const struct director_pass *pass, const struct dest_view *dest,
				     const struct packet *p)
{
	struct dest_counters *c = &pass->d->config.dest_counters[dest->id];

	COUNTER_ADD(c->traffic[DEST_IN].packets, director_counted_packets(p));
	COUNTER_ADD(c->traffic[DEST_IN].bytes, director_counted_bytes(p));
}

/* ip_vs_out_stats() */
static inline void director_count_out(const struct director_pass *pass,
				      const struct dest_view *dest, const struct packet *p)
{
	struct dest_counters *c;

	if (!dest || dest->deleted)
		return;
	c = &pass->d->config.dest_counters[dest->id];
	COUNTER_ADD(c->traffic[DEST_OUT].packets, director_counted_packets(p));
	COUNTER_ADD(c->traffic[DEST_OUT].bytes, director_counted_bytes(p));
}

static inline bool director_take(const struct director_pass *pass, struct director_limit *l,
				 uint32_t per_second)
{
	if (pass->now - l->tick >= 1000 / pass->d->tick_msec) {
		l->tick = pass->now;
		l->n_left = per_second;
	}
	if (l->n_left == 0)
		return false;
	l->n_left--;
	return true;
}

/* director.c: what is no whole packet with ports, or not for us. */

void director_on_other(const struct director_pass *pass, struct director_frame *f);

/* director-bind.c: connections and the counters of their destinations. */

/* As flow_insert(); counts the connection at its destination, uncounts what gave its place. */
int director_insert(const struct director_pass *pass, const struct flow *f, uint32_t timeout_ticks,
		    uint32_t *ret);
/* As flow_insert_new(). */
int director_insert_new(const struct director_pass *pass, const struct flow *f,
			const struct flow_plan *plan, uint32_t timeout_ticks, uint32_t *ret);
void director_remove(const struct director_pass *pass, uint32_t index);
/* director.leaving, where there is one. */
void director_remove_leaving(const struct director_pass *pass);
/* Moves it to another state, with what depends on it. */
void director_set_state(const struct director_pass *pass, uint32_t index, uint8_t state);
/* Moves a template to another destination. */
void director_bind_template(const struct director_pass *pass, uint32_t index,
			    const struct dest_view *dest, uint16_t dest_port_be);
struct sched_load director_load(const void *context, uint32_t dest_id);
bool director_overloaded(const void *context, uint32_t dest_id);
void director_expire(const struct director_pass *pass);

/* director-flow.c: packets of connections. */

/* A burst whose keys were looked up; of those without a key director_on_other() is called. */
void director_on_flows(const struct director_pass *pass, struct director_frame *frames,
		       const struct flow_key *const *keys, const flow_ref *refs, unsigned n);
void director_on_request(const struct director_pass *pass, struct director_frame *f,
			 uint32_t index);
void director_on_answer(const struct director_pass *pass, struct director_frame *f, uint32_t index);

/* director-new.c: a PACKET_FLOW that belongs to no connection. */

/* expected: by director_expect(), or NULL. */
void director_on_miss(const struct director_pass *pass, struct director_frame *f,
		      struct director_attempt *expected);
/*
 * Decides as far as can be foreseen, for all of a burst before the first is made, and asks for the memory of the
 * connection that the packet may begin: the bucket of its answers' key was waited for during a fifth of a connection's
 * life. No effect but on *ret.
 */
void director_expect(const struct director_pass *pass, const struct packet *p,
		     struct director_attempt *ret);
/* By the scheduler; NULL: none. */
const struct dest_view *director_choose(const struct director_pass *pass,
					const struct service_view *service,
					const struct flow_key *k);

/* director-template.c: persistence. */

/* Flags of a new record. */
uint16_t director_flags(const struct dest_view *dest, const struct flow_key *k);
/* Finds or makes the template of the client, and its destination. -ENOENT: no destination; -ENOSPC. */
int director_use_template(const struct director_pass *pass, const struct service_view *service,
			  const struct flow_key *k, uint32_t *ret,
			  const struct dest_view **ret_dest);
/* Its time begins anew. */
void director_touch_template(const struct director_pass *pass, const struct service_view *service,
			     uint32_t index);

/* director-xmit.c */

/* By the mode of *flow, which need not be in the table. ICMP errors about it are sent, and counted, by the mode as well. */
void director_send_request(const struct director_pass *pass, struct director_frame *f,
			   const struct flow *flow, const struct dest_view *dest);
/* Is an answer within TTL and MTU? If not, the frame has its action. */
bool director_may_send_answer(const struct director_pass *pass, struct director_frame *f,
			      const struct flow *flow);
void director_send_answer(const struct director_pass *pass, struct director_frame *f,
			  const struct flow *flow);
/* As it is. */
void director_send_to_peer(const struct director_pass *pass, struct director_frame *f,
			   uint16_t peer, enum counter c);
/* Turns the packet into the error about it; from: an address of its family. */
void director_error(const struct director_pass *pass, struct director_frame *f, enum icmp_error e,
		    uint32_t mtu, const uint8_t from[16]);
/* Our own address towards the next hop; false: none known. */
bool director_source(const struct nexthop *n, uint8_t family, uint8_t ret[16]);
/* Is the next hop's address known? */
bool director_nexthop_mac(const struct nexthop *n, uint8_t ret[PACKET_MAC_LEN]);

/* director-icmp.c */

void director_on_icmp_error(const struct director_pass *pass, struct director_frame *f);
/* director-tunnel-error.c: about a packet that we sent through a tunnel. False: it is not. */
bool director_on_tunnel_error(const struct director_pass *pass, struct director_frame *f);

bool director_has_bad_checksum(const struct packet *p);
/* A packet to no service. */
void director_on_stranger(const struct director_pass *pass, struct director_frame *f);
void director_on_echo(const struct director_pass *pass, struct director_frame *f);

/* director-reset.c: the packet of a connection whose destination is gone resets both sides. */

void director_reset(const struct director_pass *pass, struct director_frame *f, uint32_t index,
		    bool is_answer);

/* director-fragment.c: first and later fragments. */

void director_on_fragment(const struct director_pass *pass, struct director_frame *f,
			  bool may_hold);
