/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon and the worker do with a record from the other side: check it, then act on it. A record that passes
 * the check must be safe to use without a second look.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "health/outcome.h"
#include "health/probe.h"
#include "health/protocol.h"
#include "health/schedule.h"
#include "health/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_result(const struct protocol_result *r)
{
	static const struct target_thresholds thresholds = { 2, 2 };
	struct probe_report report = {
		.outcome = (enum probe_outcome)r->outcome,
		.detail = r->detail,
		.duration_usec = r->duration_usec,
	};
	char description[TARGET_DESCRIPTION_MAX];
	struct target_health t;

	target_health_init(&t, TARGET_USE_CHECKED, r->start_usec);
	for (unsigned i = 0; i < 3; i++)
		(void)target_health_report(&t, &thresholds, &report, r->start_usec);
	if (report.outcome == PROBE_INTERNAL_ERROR)
		assert(t.state == TARGET_INITIAL);
	else
		assert(t.state == (report.outcome == PROBE_OK ? TARGET_HEALTHY : TARGET_UNHEALTHY));
	(void)target_health_drain(&t, r->due_usec, r->start_usec);
	assert(t.drain_deadline_usec >= r->start_usec);
	(void)target_health_describe(&t, description);
	(void)probe_outcome_to_string(report.outcome);
	assert(r->start_usec - r->due_usec <= r->start_usec);
	assert(r->weight_percent >= -1 && r->agent_state < _PROBE_ADVICE_MAX);
}

static void use_probe(const struct protocol_probe *p)
{
	usec_t phase = schedule_phase(p->id, p->interval_usec);
	usec_t next = schedule_next(phase, p->interval_usec, p->id >> 1);
	char where[ADDR_PORT_STR_MAX];
	struct probe_spec spec;

	assert(phase < p->interval_usec);
	assert(next >= p->id >> 1 && (next == phase || next - (p->id >> 1) < p->interval_usec));
	assert(probe_spec_init(&spec, p, NULL) == 0);
	assert(strlen(spec.text[PROTOCOL_TEXT_PATH]) == spec.text_size[PROTOCOL_TEXT_PATH]);
	assert(strlen(spec.text[PROTOCOL_TEXT_COMMAND]) == spec.text_size[PROTOCOL_TEXT_COMMAND]);
	for (size_t i = PROTOCOL_TEXT_PATH; i <= PROTOCOL_TEXT_SERVER_NAME; i++)
		assert(!strpbrk(spec.text[i], "\r\n \t"));
	for (size_t i = 0; i < _PROTOCOL_TEXT_MAX; i++)
		assert(spec.text[i][spec.text_size[i]] == 0);
	probe_spec_deinit(&spec);
	assert(strlen(p->interface) < PROTOCOL_IFNAME_MAX);
	assert(p->n_matcher <= PROTOCOL_MATCHER_RANGES);
	assert(!p->authorities || (p->flags & PROTOCOL_PROBE_VERIFY_CERTIFICATE));
	assert(strcmp(addr_port_format(&p->addr, p->port, where), "-") != 0);
}

/* As many bytes as the record has, and written again it is the same. */
static void use_authority(const struct protocol_authority_record *r)
{
	size_t size = r->authority.header.size - sizeof(r->authority);
	struct protocol_authority_record again;

	assert(r->authority.authorities != 0 && size > 0 && size <= PROTOCOL_CERTIFICATE_MAX);
	protocol_authority_init(&again, r->authority.authorities, r->certificate, size);
	assert(memcmp(&again, r, r->authority.header.size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum protocol_kind kind;
	union {
		struct protocol_probe_record probe;
		struct protocol_result result;
		struct protocol_authority_record authority;
	} u;

	if (protocol_check(data, size, &kind) < 0)
		return 0;
	assert(size <= sizeof(u));
	memcpy(&u, data, size);
	if (kind == PROTOCOL_RESULT)
		use_result(&u.result);
	if (kind == PROTOCOL_PROBE_SET)
		use_probe(&u.probe.probe);
	if (kind == PROTOCOL_AUTHORITY)
		use_authority(&u.authority);
	return 0;
}
