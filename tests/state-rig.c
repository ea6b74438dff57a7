/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/state-rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/state-load.h"

static void group_init(struct target_group *g, size_t index, struct target *targets, size_t n)
{
	static const char *const names[] = { "blue", "green" };

	if (index < ARRAY_SIZE(names))
		strcpy(g->name, names[index]);
	else
		(void)snprintf(g->name, sizeof(g->name), "group-%zu", index);
	g->targets = targets;
	g->n = n;
	for (unsigned i = 0; i < STATE_RIG_TARGETS; i++) {
		struct target *t = &targets[i];

		assert_int_equal(addr_parse("10.0.0.0", &t->addr), 0);
		t->addr.bytes[3] = (uint8_t)i;
		t->health = (struct target_health){ .state = TARGET_HEALTHY,
						    .since_usec = STATE_RIG_NOW,
						    .checked_usec = STATE_RIG_NOW };
	}
}

int state_rig_new(size_t n_groups, size_t n_targets, void **state)
{
	struct state_rig *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(temporary_make(f->directory), 0);
	f->targets = calloc(n_groups * STATE_RIG_TARGETS, sizeof(*f->targets));
	assert_non_null(f->targets);
	f->registry = (struct registry){ .groups = f->groups, .n = n_groups };
	for (size_t i = 0; i < n_groups; i++)
		group_init(&f->groups[i], i, f->targets + i * STATE_RIG_TARGETS, n_targets);
	assert_int_equal(state_store_open(&f->store, f->directory), 0);
	*state = f;
	return 0;
}

int state_rig_free(void **state)
{
	struct state_rig *f = *state;
	int r = temporary_remove(f->directory);

	state_store_deinit(&f->store);
	free(f->targets);
	free(f);
	return r;
}

const char *state_rig_path(const struct state_rig *f, const char *name)
{
	static char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", f->directory, name);
	return path;
}

bool state_rig_exists(const struct state_rig *f, const char *name)
{
	return access(state_rig_path(f, name), F_OK) == 0;
}

static void on_trouble(const char *name, int error, size_t n_skipped, void *userdata)
{
	struct state_rig_troubles *t = userdata;

	t->n++;
	t->n_skipped += n_skipped;
	t->error = error;
	(void)snprintf(t->name, sizeof(t->name), "%s", name);
}

void state_rig_load(struct state_rig *f, usec_t now_usec, struct state_rig_troubles *ret_troubles,
		    struct state *ret)
{
	*ret_troubles = (struct state_rig_troubles){ 0 };
	assert_int_equal(state_store_open(&f->store, f->directory), 0);
	assert_int_equal(state_load(&f->store, 600 * USEC_PER_SEC, now_usec, on_trouble,
				    ret_troubles, ret),
			 0);
}
