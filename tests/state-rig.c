/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/state-rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

int state_rig_new(size_t n, void **state)
{
	struct state_rig *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(temporary_make(f->directory), 0);
	f->group = (struct target_group){ .name = "blue", .targets = f->targets, .n = n };
	f->registry = (struct registry){ .groups = &f->group, .n = 1 };
	for (unsigned i = 0; i < STATE_RIG_TARGETS; i++) {
		struct target *t = &f->targets[i];

		assert_int_equal(addr_parse("10.0.0.0", &t->addr), 0);
		t->addr.bytes[3] = (uint8_t)i;
		t->health = (struct target_health){ .state = TARGET_HEALTHY,
						    .since_usec = STATE_RIG_NOW,
						    .checked_usec = STATE_RIG_NOW };
	}
	assert_int_equal(state_store_open(&f->store, f->directory), 0);
	*state = f;
	return 0;
}

int state_rig_free(void **state)
{
	struct state_rig *f = *state;
	int r = temporary_remove(f->directory);

	state_store_deinit(&f->store);
	free(f);
	return r;
}
