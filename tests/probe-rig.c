/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/probe-rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"

void probe_rig_init(struct probe_rig *rig)
{
	*rig = (struct probe_rig){ 0 };
	assert_true(sd_event_new(&rig->engines.event) >= 0);
}

void probe_rig_deinit(struct probe_rig *rig)
{
	sd_event_unref(rig->engines.event);
}

void probe_rig_spec(struct probe_rig *rig, enum protocol_check check, const char *address,
		    uint16_t port)
{
	rig->record.probe = (struct protocol_probe){
		.id = 1,
		.generation = 1,
		.check = (uint8_t)check,
		.port = port,
		.interval_usec = 10 * USEC_PER_SEC,
		.timeout_usec = 10 * USEC_PER_SEC,
	};
	assert_int_equal(addr_parse(address, &rig->record.probe.addr), 0);
	protocol_init(&rig->record.probe.header, PROTOCOL_PROBE_SET, sizeof(rig->record.probe));
}

void probe_rig_text(struct probe_rig *rig, enum protocol_text which, const char *text, size_t size)
{
	assert_int_equal(protocol_probe_append(&rig->record, which, text, size), 0);
}

static void on_advice(void *userdata, int32_t weight_percent, enum probe_advice advice)
{
	struct probe_rig *rig = userdata;

	assert_false(rig->done);
	rig->weight_percent = weight_percent;
	rig->advice = advice;
}

static void on_done(void *userdata, enum probe_outcome outcome, int32_t detail)
{
	struct probe_rig *rig = userdata;

	assert_false(rig->done);
	rig->done = true;
	rig->outcome = outcome;
	rig->detail = detail;
}

void probe_rig_run(struct probe_rig *rig, usec_t timeout_usec, void (*serve)(void *userdata),
		   void *userdata)
{
	usec_t start_usec = clock_monotonic_usec();
	struct probe_spec spec;
	struct attempt attempt;
	enum protocol_kind kind;
	int r;

	assert_int_equal(protocol_check(&rig->record, rig->record.probe.header.size, &kind), 0);
	assert_int_equal(probe_spec_init(&spec, &rig->record.probe, NULL), 0);
	rig->done = false;
	rig->weight_percent = -1;
	rig->advice = PROBE_ADVICE_NONE;
	r = attempt_start(&attempt, &rig->engines, &spec, on_advice, on_done, rig);
	if (r < 0)
		on_done(rig, PROBE_INTERNAL_ERROR, -r);
	while (!rig->done) {
		if (clock_monotonic_usec() - start_usec >= timeout_usec) {
			on_done(rig, attempt_cancel(&attempt, &spec), 0);
			break;
		}
		assert_true(sd_event_run(rig->engines.event, USEC_PER_MSEC) >= 0);
		if (serve)
			serve(userdata);
	}
	rig->duration_usec = clock_monotonic_usec() - start_usec;
	probe_spec_deinit(&spec);
}

int probe_rig_bind(int family, int type, uint16_t *ret_port)
{
	struct sockaddr_storage ss;
	struct addr loopback;
	socklen_t len;
	int fd;

	assert_int_equal(addr_parse(family == AF_INET6 ? "::1" : "127.0.0.1", &loopback), 0);
	len = addr_to_sockaddr(&loopback, 0, &ss);
	fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_return_code(fd, errno);
	assert_return_code(bind(fd, (struct sockaddr *)&ss, len), errno);
	assert_return_code(getsockname(fd, (struct sockaddr *)&ss, &len), errno);
	*ret_port = ntohs(family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
					     : ((struct sockaddr_in *)&ss)->sin_port);
	return fd;
}
