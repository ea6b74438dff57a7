/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lab/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/addr.h"
#include "base/clock.h"

DEFINE_CLEANUP(json_t *, json_decref)

void fixture_init(struct fixture *f, unsigned targets_a, unsigned targets_b)
{
	const struct lab_spec spec = { .targets = { targets_a, targets_b } };

	*f = (struct fixture){ 0 };
	for (size_t i = 0; i < ARRAY_SIZE(f->servers); i++)
		f->servers[i] = LAB_SERVER_INIT;
	assert_int_equal(lab_new(&spec, &f->lab), 0);
	for (size_t i = 0; i < f->lab->n_targets; i++)
		assert_int_equal(lab_server_start(&f->lab->targets[i], &f->servers[i]), 0);
	assert_int_equal(gateway_new(f->lab, &f->gateway), 0);
}

void fixture_deinit(struct fixture *f)
{
	if (f->gateway)
		gateway_free(f->gateway);
	for (size_t i = 0; f->lab && i < f->lab->n_targets; i++)
		lab_server_deinit(&f->servers[i]);
	if (f->lab)
		lab_free(f->lab);
	*f = (struct fixture){ 0 };
}

/* Borrowed from status. */
static json_t *find_group(json_t *status, const char *name)
{
	json_t *groups = json_object_get(status, "groups"), *group;
	size_t i;

	json_array_foreach (groups, i, group) {
		const char *text = json_string_value(json_object_get(group, "name"));

		if (text && strcmp(text, name) == 0)
			return group;
	}
	return NULL;
}

struct wait_arg {
	struct fixture *f;
	const char *group;
};

static bool group_is_healthy(void *userdata)
{
	_cleanup_(json_decref_p) json_t *status = NULL;
	struct wait_arg *arg = userdata;
	json_t *targets, *target;
	size_t i;

	if (gateway_request(arg->f->gateway, "GET", "/v1/status", NULL, &status) != 200)
		return false;
	targets = json_object_get(find_group(status, arg->group), "targets");
	json_array_foreach (targets, i, target) {
		const char *state = json_string_value(json_object_get(target, "state"));

		if (!state || strcmp(state, "healthy") != 0)
			return false;
	}
	return json_array_size(targets) > 0;
}

void fixture_wait_healthy(struct fixture *f, const char *group)
{
	struct wait_arg arg = { f, group };

	if (lab_wait_until(group_is_healthy, &arg, 10 * USEC_PER_SEC) < 0) {
		gateway_print_log(f->gateway);
		fail_msg("group %s did not become healthy", group);
	}
}

void fixture_start(struct fixture *f, const char *group)
{
	assert_int_equal(gateway_start(f->gateway), 0);
	fixture_wait_healthy(f, group);
}

const char *fixture_text(struct fixture *f, const char *group, const char *address, const char *key,
			 char buf[static FIXTURE_TEXT_MAX])
{
	_cleanup_(json_decref_p) json_t *status = NULL;
	json_t *target;
	size_t i, len = strlen(address);

	buf[0] = '\0';
	assert_int_equal(gateway_request(f->gateway, "GET", "/v1/status", NULL, &status), 200);
	json_array_foreach (json_object_get(find_group(status, group), "targets"), i, target) {
		const char *name = json_string_value(json_object_get(target, "target"));
		const char *text = json_string_value(json_object_get(target, key));

		name = name && name[0] == '[' ? name + 1 : name;
		if (name && text && strncmp(name, address, len) == 0 &&
		    (name[len] == ':' || name[len] == ']' || name[len] == '\0'))
			(void)snprintf(buf, FIXTURE_TEXT_MAX, "%s", text);
	}
	return buf;
}

const char *fixture_state(struct fixture *f, const char *group, const char *address,
			  char buf[static FIXTURE_STATE_MAX])
{
	char text[FIXTURE_TEXT_MAX];

	(void)snprintf(buf, FIXTURE_STATE_MAX, "%s",
		       fixture_text(f, group, address, "state", text));
	return buf;
}

void fixture_wait_state(struct fixture *f, const char *group, const char *address,
			const char *state)
{
	usec_t end = clock_monotonic_usec() + FIXTURE_SOON_USEC;
	char buf[FIXTURE_STATE_MAX];

	while (strcmp(fixture_state(f, group, address, buf), state) != 0) {
		if (clock_monotonic_usec() > end) {
			gateway_print_log(f->gateway);
			fail_msg("%s of %s is %s, not %s", address, group, buf, state);
		}
		lab_sleep(50 * USEC_PER_MSEC);
	}
}

void fixture_wait_weight(struct fixture *f, const char *address, int64_t weight)
{
	if (gateway_wait_weight(f->gateway, LAB_VIP, address, weight, FIXTURE_SOON_USEC) !=
	    USEC_NEVER)
		return;
	gateway_print_log(f->gateway);
	fail_msg("%s: weight %ld, not %ld", address,
		 (long)gateway_weight(f->gateway, LAB_VIP, 80, address), (long)weight);
}

static bool has_alarm(struct fixture *f, const char *begin)
{
	_cleanup_(json_decref_p) json_t *status = NULL;
	json_t *alarm;
	size_t i;

	assert_int_equal(gateway_request(f->gateway, "GET", "/v1/status", NULL, &status), 200);
	json_array_foreach (json_object_get(json_object_get(status, "health"), "alarms"), i, alarm)
		if (strncmp(json_string_value(alarm), begin, strlen(begin)) == 0)
			return true;
	return false;
}

void fixture_wait_alarm(struct fixture *f, const char *begin, bool wanted)
{
	usec_t end = clock_monotonic_usec() + FIXTURE_SOON_USEC;

	while (has_alarm(f, begin) != wanted) {
		if (clock_monotonic_usec() > end) {
			gateway_print_log(f->gateway);
			fail_msg("%s \"%s\"", wanted ? "no alarm" : "an alarm", begin);
		}
		lab_sleep(50 * USEC_PER_MSEC);
	}
}

void fixture_reload(struct fixture *f, int status, struct lab_result *ret)
{
	assert_int_equal(gateway_command(f->gateway, ret, "reload", "--socket", LAB_CONTROL_SOCKET,
					 NULL),
			 0);
	if (ret->status == status)
		return;
	gateway_print_log(f->gateway);
	fail_msg("ipvsd reload: status %d, expected %d\n%s%s", ret->status, status, ret->out,
		 ret->err);
}

const char *fixture_get(struct fixture *f, const char *path, char buf[static LAB_TARGET_MAX])
{
	const struct lab_url url = { LAB_VIP, 80, path };
	struct lab_reply reply;

	assert_int_equal(lab_http_get(&f->lab->internet, &url, 5 * USEC_PER_SEC, &reply, NULL), 0);
	if (reply.outcome != LAB_ANSWERED || reply.status != 200)
		fail_msg("GET %s from the VIP: %s, status %d", path,
			 lab_outcome_to_string(reply.outcome), reply.status);
	(void)snprintf(buf, LAB_TARGET_MAX, "%s", reply.target);
	return buf;
}

struct lab_load *fixture_load(struct fixture *f, const char *vip, unsigned rate,
			      usec_t timeout_usec)
{
	const struct lab_load_spec spec = {
		.from = &f->lab->internet,
		.url = { vip, 80, "/" },
		.rate = rate,
		.timeout_usec = timeout_usec,
	};
	struct lab_load *load;

	assert_int_equal(lab_load_start(&spec, &load), 0);
	return load;
}

struct lab_echo *fixture_echo(struct fixture *f, unsigned connections)
{
	const struct lab_echo_spec spec = {
		.from = &f->lab->internet,
		.address = LAB_VIP,
		.port = LAB_ECHO_PORT,
		.connections = connections,
		.interval_usec = 50 * USEC_PER_MSEC,
	};
	struct lab_echo *echo;

	assert_int_equal(lab_echo_start(&spec, &echo), 0);
	return echo;
}
