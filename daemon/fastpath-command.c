/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The command line of ipvsd-fastpath, from the configuration; see ipvsd-fastpath(8). */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "daemon/fastpath-internal.h"

enum {
	FIXED_ARGUMENTS = 24,
};

void fastpath_command_free(struct fastpath_command *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->argv[i]);
	free(c->argv);
	free(c->text);
	*c = (struct fastpath_command){ 0 };
}

/* After an allocation failed the rest is left out, and fastpath_command_make() says so. */
static void add(struct fastpath_command *c, const char *argument, bool *failed)
{
	char *copy = *failed ? NULL : strdup(argument);

	if (copy)
		c->argv[c->n++] = copy;
	else
		*failed = true;
}

static void add_number(struct fastpath_command *c, const char *option, size_t value, bool *failed)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%zu", value);
	add(c, option, failed);
	add(c, text, failed);
}

static void add_text(struct fastpath_command *c, const char *option, const char *value,
		     bool *failed)
{
	add(c, option, failed);
	add(c, value, failed);
}

static char *join(const struct fastpath_command *c)
{
	size_t len = 1;
	char *text, *end;

	for (size_t i = 0; i < c->n; i++)
		len += strlen(c->argv[i]) + 1;
	text = calloc(1, len);
	end = text;
	for (size_t i = 0; text && i < c->n; i++)
		end += sprintf(end, "%s%s", i ? " " : "", c->argv[i]);
	return text;
}

int fastpath_command_make(struct fastpath_command *c, const struct conf_fastpath *f,
			  const char *socket)
{
	bool failed = false;

	*c = (struct fastpath_command){ 0 };
	c->argv = calloc(FIXED_ARGUMENTS + 2 * f->n_ports, sizeof(*c->argv));
	if (!c->argv)
		return -ENOMEM;
	add(c, f->program, &failed);
	add_text(c, "--control", socket, &failed);
	add_text(c, "--exception-interface", f->exception_interface, &failed);
	add_text(c, "--workers", f->lcores, &failed);
	add_number(c, "--max-connections", f->max_connections, &failed);
	add_number(c, "--memory", f->memory_mib, &failed);
	add_number(c, "--queue-size", f->queue_size, &failed);
	if (!f->hugepages)
		add(c, "--no-hugepages", &failed);
	if (!f->idle_sleep)
		add(c, "--no-idle-sleep", &failed);
	add(c, "--hold-ports", &failed);
	for (size_t i = 0; i < f->n_ports; i++)
		add_text(c, "--port", f->ports[i], &failed);
	c->text = failed ? NULL : join(c);
	return c->text ? 0 : -ENOMEM;
}
