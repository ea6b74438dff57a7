/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/conformance/scenario.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/conformance/steps.h"
#include "tests/lab/lab.h"

#define JIFFIES_USEC (8 * USEC_PER_MSEC) /* two of a kernel with CONFIG_HZ=250 */

static const char *const schedulers[] = { "mh",	 "sh",	"dh", "rr", "wrr", "lc",
					  "wlc", "sed", "nq", "fo", "ovf" };

static bool one_in(struct scenario *s, uint32_t n)
{
	return random_below(&s->random, n) == 0;
}

static enum ipvs_forward pick_forward(struct scenario *s, enum ipvs_tunnel *ret_tunnel)
{
	*ret_tunnel = IPVS_TUNNEL_IPIP;
	switch (random_below(&s->random, 8)) {
	case 0:
		return IPVS_FORWARD_ROUTE;
	case 1:
		return IPVS_FORWARD_TUNNEL;
	case 2:
		*ret_tunnel = one_in(s, 2) ? IPVS_TUNNEL_GUE : IPVS_TUNNEL_GRE;
		return IPVS_FORWARD_TUNNEL;
	default:
		return IPVS_FORWARD_MASQ;
	}
}

static void make_dests(struct scenario *s, enum ipvs_forward forward, enum ipvs_tunnel tunnel)
{
	unsigned n = 1 + random_below(&s->random, SCENARIO_DESTS_MAX);
	bool threshold = one_in(s, 8), checksum = one_in(s, 2);
	/* A tunnel may carry one family inside the other. */
	bool dest_v6 = s->v6 != (forward == IPVS_FORWARD_TUNNEL && s->index % 3 == 0);

	for (unsigned i = 0; i < n; i++) {
		struct ipvs_dest d = {
			.port = s->service.key.port,
			.forward = forward,
			.weight = random_below(&s->random, 6),
		};

		rig_target(n - i, dest_v6, &d.addr);
		if (forward == IPVS_FORWARD_MASQ && s->service.key.port != 0)
			d.port = (uint16_t)(8000 + random_below(&s->random, 3));
		if (forward == IPVS_FORWARD_TUNNEL) {
			d.tunnel = tunnel;
			d.tunnel_port = tunnel == IPVS_TUNNEL_GUE ? 6080 : 0;
			d.tunnel_flags = tunnel != IPVS_TUNNEL_IPIP && checksum;
		}
		if (threshold)
			d.upper_threshold = 1 + random_below(&s->random, 3);
		if (!ipvs_service_append(&s->service, &d))
			abort();
	}
}

static void make_service(struct scenario *s)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_TCP, IPPROTO_TCP,
					     IPPROTO_UDP, IPPROTO_UDP, IPPROTO_SCTP };
	struct ipvs_service_key *k = &s->service.key;
	const bool v6 = s->v6;
	uint32_t client_bits = v6 ? 128 : 32;

	k->family = v6 ? AF_INET6 : AF_INET;
	k->protocol = protocols[random_below(&s->random, ARRAY_SIZE(protocols))];
	k->port = (uint16_t)(1024 + s->place);
	rig_virtual(1 + s->place % SCENARIO_VIRTUALS, s->v6, &k->addr);
	s->virtual_port = k->port;
	(void)snprintf(s->service.scheduler, sizeof(s->service.scheduler), "%s",
		       schedulers[random_below(&s->random, ARRAY_SIZE(schedulers))]);
	if (s->service.scheduler[1] == 'h')
		s->service.flags |= random_below(&s->random, 4) * IPVS_SVC_SCHED1;
	if (k->protocol == IPPROTO_UDP && one_in(s, 5))
		s->service.flags |= IPVS_SVC_ONEPACKET;
	if (one_in(s, 5)) {
		s->service.flags |= IPVS_SVC_PERSISTENT;
		s->service.timeout_sec = 300;
		if (one_in(s, 2))
			client_bits -= 8;
	}
	s->service.netmask = v6 ? client_bits : htonl(UINT32_MAX << (32 - client_bits));
}

static void make_flows(struct scenario *s)
{
	s->n_flows = 1 + random_below(&s->random, SCENARIO_FLOWS_MAX);
	for (unsigned i = 0; i < s->n_flows; i++) {
		struct scenario_flow *f = &s->flows[i];

		/* Every second client has another port of the one before it. */
		rig_client(s->place * SCENARIO_FLOWS_MAX + (i & ~1U) + 1, s->v6, &f->client);
		f->port = (uint16_t)(20000 + random_below(&s->random, 1000) * 4 + i);
		f->seq = random_below(&s->random, UINT32_MAX);
	}
}

void scenario_init(struct scenario *s, uint64_t seed, uint32_t index, uint32_t place)
{
	enum ipvs_tunnel tunnel;
	enum ipvs_forward forward;

	*s = (struct scenario){ .index = index, .place = place };
	s->random.state = (seed + 1) * 0x9e3779b97f4a7c15ULL ^ (index + 1) * 0xd1342543de82ef95ULL;
	s->v6 = one_in(s, 3);
	make_service(s);
	forward = pick_forward(s, &tunnel);
	make_dests(s, forward, tunnel);
	make_flows(s);
}

void scenario_deinit(struct scenario *s)
{
	free(take_ptr(s->service.dests));
}

const struct ipvs_service *scenario_service(const struct scenario *s)
{
	return &s->service;
}

static void print_outputs(const char *who, const struct rig_output *o)
{
	(void)fprintf(stderr, "#   %s: %zu packets\n", who, o->n);
	for (size_t i = 0; i < o->n; i++) {
		(void)fputs("#     ", stderr);
		compare_describe(&o->frames[i], stderr);
	}
}

static void print_difference(const struct scenario *s, unsigned number, const struct step *step,
			     const struct rig_output *outputs, const char *why)
{
	char key[IPVS_KEY_STR_MAX];
	const struct ipvs_dest *d = s->service.dests;

	(void)fprintf(
		stderr,
		"# scenario %u, step %u (%s): %s\n#   %s %s flags 0x%x, forward %d tunnel %d, "
		"%zu destinations:",
		s->index, number, step_kind_to_string(step->kind), why,
		ipvs_service_key_format(&s->service.key, key), s->service.scheduler,
		s->service.flags, s->service.n_dests ? (int)d->forward : -1,
		s->service.n_dests ? (int)d->tunnel : -1, s->service.n_dests);
	for (size_t i = 0; i < s->service.n_dests; i++)
		(void)fprintf(stderr, d[i].upper_threshold ? " w%u<%u" : " w%u", d[i].weight,
			      d[i].upper_threshold);
	(void)fputc('\n', stderr);
	for (size_t i = 0; i < step->n_frames; i++) {
		(void)fputs("#   sent ", stderr);
		compare_describe(&step->frames[i], stderr);
	}
	print_outputs("oracle", &outputs[RIG_KERNEL]);
	print_outputs("other", &outputs[RIG_FASTPATH]);
}

static bool change_both(struct rig *rig, const struct step *step)
{
	struct channel_result result;
	struct plan plan = { .ops = (struct plan_op *)&step->op, .n = 1 };
	size_t failed;

	for (int p = 0; p < _RIG_PLANE_MAX; p++) {
		int r = channel_apply(rig_channel(rig, (enum rig_plane)p), &plan, &result, &failed);

		if (r < 0 || failed) {
			(void)fprintf(stderr, "# plane %d refused %s: %s\n", p,
				      plan_op_kind_to_string(step->op.kind),
				      strerror(r < 0 ? -r : -result.error));
			return false;
		}
	}
	return true;
}

/*
 * Fragments that waited for the first leave behind what came later: a second barrier has to pass. A packet that may
 * begin a connection in the place of another leaves the kernel's old one to its timer, which needs a jiffy.
 */
static int settle(struct rig *rig, const struct scenario *s, const struct step *step,
		  struct rig_output outputs[static _RIG_PLANE_MAX])
{
	static struct rig_output more;
	int r = 0;

	if (step_is_of_client(step->kind) && s->flows[step->flow].delivered)
		lab_sleep(JIFFIES_USEC);
	if (step->kind != STEP_CLIENT_FRAGMENTS)
		return 0;
	for (int p = 0; r == 0 && p < _RIG_PLANE_MAX; p++) {
		r = rig_exchange(rig, (enum rig_plane)p, NULL, 0, s->v6, &more);
		for (size_t i = 0; i < more.n && outputs[p].n < RIG_OUTPUTS_MAX; i++)
			outputs[p].frames[outputs[p].n++] = more.frames[i];
	}
	return r;
}

bool scenario_run(struct scenario *s, struct rig *rig, struct compare *c, uint64_t *ret_steps)
{
	static struct rig_output outputs[_RIG_PLANE_MAX];
	unsigned n = 4 + random_below(&s->random, 12);
	static struct step step;
	char why[128];

	s->no_fragments = s->service.key.protocol == IPPROTO_SCTP && s->service.n_dests > 0 &&
			  s->service.dests[0].forward == IPVS_FORWARD_MASQ &&
			  compare_wants(c, "sctp-nat-fragments");
	for (unsigned i = 0; i < n; i++) {
		step_make(s, &step);
		if (step.kind == STEP_NONE)
			continue;
		(*ret_steps)++;
		if (step.is_change) {
			if (!change_both(rig, &step))
				return false;
			step_changed(s, &step);
			continue;
		}
		for (int p = 0; p < _RIG_PLANE_MAX; p++)
			if (rig_exchange(rig, (enum rig_plane)p, step.frames, step.n_frames, s->v6,
					 &outputs[p]) < 0)
				return false;
		if (settle(rig, s, &step, outputs) < 0)
			return false;
		if (!compare_outputs(c, &outputs[RIG_KERNEL], &outputs[RIG_FASTPATH], why,
				     sizeof(why))) {
			print_difference(s, i + 1, &step, outputs, why);
			return false;
		}
		step_learn(s, &step, &outputs[RIG_KERNEL]);
	}
	return true;
}
