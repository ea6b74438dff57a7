/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/fastpath-record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/state-file.h"

#define FILE_NAME "fastpath.json"

enum {
	VERSION = 1,
	PORTS_MAX = 64,
};

static const char *const phases[_FASTPATH_PHASE_MAX] = {
	[FASTPATH_IDLE] = "idle",
	[FASTPATH_RUNNING] = "running",
	[FASTPATH_SEIZED] = "seized",
	[FASTPATH_CARRIES] = "carries",
};

DEFINE_CLEANUP(json_t *, json_decref)

void fastpath_record_clear(struct fastpath_record *r)
{
	for (size_t i = 0; i < r->n_ports; i++)
		interface_state_deinit(&r->ports[i].state);
	free(r->ports);
	r->ports = NULL;
	r->n_ports = 0;
}

void fastpath_record_deinit(struct fastpath_record *r)
{
	fastpath_record_clear(r);
	free(r->command);
	*r = FASTPATH_RECORD_INIT;
}

static json_t *port_to_json(const struct fastpath_taken *t)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:o?}", "port", t->port.spec, "interface", t->interface,
			 "exception", t->exception, "driver", t->driver, "state",
			 t->state.n || *t->state.name ? interface_state_to_json(&t->state)
						      : json_null());
}

json_t *fastpath_record_to_json(const struct fastpath_record *r)
{
	_cleanup_(json_decref_p) json_t *ports = json_array();

	for (size_t i = 0; ports && i < r->n_ports; i++)
		if (json_array_append_new(ports, port_to_json(&r->ports[i])) < 0)
			return NULL;
	return json_pack("{s:i,s:s,s:b,s:b,s:I,s:I,s:s?,s:O?}", "version", VERSION, "phase",
			 phases[r->phase], "enabled", r->enabled, "wanted", r->wanted, "pid",
			 (json_int_t)r->pid, "start_ticks", (json_int_t)r->start_ticks, "command",
			 r->command, "ports", ports);
}

static int take_name(const json_t *j, const char *member, char *ret, size_t size)
{
	const char *text = json_string_value(json_object_get(j, member));

	if (!text || strlen(text) >= size || strchr(text, '/'))
		return -EBADMSG;
	memcpy(ret, text, strlen(text) + 1);
	return 0;
}

static int port_from_json(const json_t *j, struct fastpath_taken *ret)
{
	const char *spec = json_string_value(json_object_get(j, "port"));
	const json_t *state = json_object_get(j, "state");

	if (!spec || fastpath_port_parse(spec, &ret->port) < 0 ||
	    take_name(j, "interface", ret->interface, sizeof(ret->interface)) < 0 ||
	    take_name(j, "exception", ret->exception, sizeof(ret->exception)) < 0 ||
	    take_name(j, "driver", ret->driver, sizeof(ret->driver)) < 0)
		return -EBADMSG;
	return json_is_object(state) ? interface_state_from_json(state, &ret->state) : 0;
}

static int phase_parse(const char *text, enum fastpath_phase *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(phases); i++) {
		if (!strcmp(text, phases[i])) {
			*ret = (enum fastpath_phase)i;
			return 0;
		}
	}
	return -EBADMSG;
}

static void hand_over(struct fastpath_record *from, struct fastpath_record *to)
{
	*to = *from;
	*from = FASTPATH_RECORD_INIT;
}

int fastpath_record_from_json(const json_t *j, struct fastpath_record *ret)
{
	_cleanup_(fastpath_record_deinit) struct fastpath_record record = FASTPATH_RECORD_INIT;
	const char *phase, *command = NULL;
	int version, enabled, wanted, r = 0;
	json_int_t pid, start_ticks;
	json_t *ports;

	if (json_unpack((json_t *)j, "{s:i,s:s,s:b,s:b,s:I,s:I,s?s,s:o}", "version", &version,
			"phase", &phase, "enabled", &enabled, "wanted", &wanted, "pid", &pid,
			"start_ticks", &start_ticks, "command", &command, "ports", &ports) < 0 ||
	    version != VERSION || phase_parse(phase, &record.phase) < 0 || pid < 0 ||
	    pid > INT32_MAX || start_ticks < 0 || !json_is_array(ports) ||
	    json_array_size(ports) > PORTS_MAX)
		return -EBADMSG;
	record.enabled = enabled;
	record.wanted = wanted;
	record.pid = (pid_t)pid;
	record.start_ticks = (uint64_t)start_ticks;
	record.command = command ? strdup(command) : NULL;
	record.ports = calloc(json_array_size(ports) + 1, sizeof(*record.ports));
	if (!record.ports || (command && !record.command))
		return -ENOMEM;
	for (; r == 0 && record.n_ports < json_array_size(ports); record.n_ports++)
		r = port_from_json(json_array_get(ports, record.n_ports),
				   &record.ports[record.n_ports]);
	if (r < 0)
		return r;
	hand_over(&record, ret);
	return 0;
}

static int open_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int fastpath_record_save(const struct fastpath_record *r, const char *directory)
{
	_cleanup_(json_decref_p) json_t *j = fastpath_record_to_json(r);
	_cleanup_free_ char *text = j ? json_dumps(j, JSON_INDENT(1)) : NULL;
	_cleanup_close_ int directory_fd = open_directory(directory), fd = -1;
	int ret;

	if (!text)
		return -ENOMEM;
	if (directory_fd < 0)
		return directory_fd;
	fd = state_file_write(directory_fd, FILE_NAME, text, strlen(text));
	if (fd < 0)
		return fd;
	ret = fsync(fd) < 0 ? -errno : state_file_put(directory_fd, FILE_NAME);
	if (ret < 0)
		state_file_abandon(directory_fd, FILE_NAME);
	else if (fsync(directory_fd) < 0)
		ret = -errno;
	return ret;
}

int fastpath_record_load(const char *directory, struct fastpath_record *ret)
{
	_cleanup_close_ int directory_fd = open_directory(directory);
	_cleanup_(json_decref_p) json_t *j = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	if (directory_fd < 0)
		return directory_fd;
	r = state_file_read(directory_fd, FILE_NAME, &text, &len);
	if (r == 0) {
		j = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
		r = j ? fastpath_record_from_json(j, ret) : -EBADMSG;
	}
	if (r == -EBADMSG)
		(void)state_file_set_aside(directory_fd, FILE_NAME);
	return r;
}
