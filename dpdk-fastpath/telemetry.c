/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/telemetry.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <rte_telemetry.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/number.h"
#include "dpdk-fastpath/tables.h"

enum {
	WAIT_SEC = 1,
};

struct telemetry {
	const struct tables *tables; /* borrowed, as the two below */
	const struct answer_ops *ops;
	void *context;
	int fd; /* owned; an eventfd: a question waits */
	sd_event_source *source;
	struct private_counters counters; /* room */
};

/* The one question that waits. DPDK's callbacks have no argument of ours. */
static struct {
	pthread_mutex_t turn; /* of the threads that ask */
	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t answered;
	struct telemetry *telemetry; /* NULL: nobody answers */
	const char *command, *params;
	struct rte_tel_data *data; /* NULL: no question, or it has been answered */
	int result;
} question = {
	.turn = PTHREAD_MUTEX_INITIALIZER,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.answered = PTHREAD_COND_INITIALIZER,
};

/* Names of a dictionary have letters, digits and underscores alone. */
static int add_number(struct rte_tel_data *d, const char *name, uint64_t value)
{
	char plain[PRIVATE_NAME_MAX] = "";

	for (size_t i = 0; name[i] != '\0' && i + 1 < sizeof(plain); i++)
		plain[i] = isalnum((unsigned char)name[i]) ? name[i] : '_';
	return rte_tel_data_add_dict_u64(d, plain, value);
}

static int add_counters(struct rte_tel_data *d, const struct private_counters *c)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n; i++)
		r = add_number(d, c->at[i].name, c->at[i].value);
	return r;
}

/* All workers have the same counters in the same order. */
static int answer_stats(struct telemetry *t, struct rte_tel_data *d)
{
	_cleanup_free_ struct private_counters *sum = calloc(1, sizeof(*sum));
	struct private_worker w;

	if (!sum)
		return -ENOMEM;
	for (unsigned i = 0; t->ops->worker(t->context, i, &w, &t->counters) == 0; i++) {
		if (i == 0) {
			*sum = t->counters;
			continue;
		}
		for (size_t k = 0; k < sum->n; k++)
			sum->at[k].value += t->counters.at[k].value;
	}
	(void)rte_tel_data_start_dict(d);
	return add_counters(d, sum);
}

static int answer_workers(struct telemetry *t, const char *params, struct rte_tel_data *d)
{
	struct private_worker w;
	uint64_t index;
	int r = 0;

	if (!params || *params == '\0') {
		(void)rte_tel_data_start_array(d, RTE_TEL_INT_VAL);
		for (unsigned i = 0; r == 0 && t->ops->worker(t->context, i, &w, NULL) == 0; i++)
			r = rte_tel_data_add_array_int(d, (int)i);
		return r;
	}
	if (number_parse(params, PRIVATE_WORKERS_MAX - 1, &index) < 0)
		return -EINVAL;
	r = t->ops->worker(t->context, (unsigned)index, &w, &t->counters);
	if (r < 0)
		return r;
	(void)rte_tel_data_start_dict(d);
	r = add_number(d, "lcore", w.lcore);
	if (r == 0)
		r = add_number(d, "late_usec", w.late_usec);
	return r < 0 ? r : add_counters(d, &t->counters);
}

static int add_service(struct rte_tel_data *d, const struct ipvs_service *s)
{
	const struct {
		const char *name;
		uint64_t value;
	} members[] = {
		{ "conns", s->stats.conns },
		{ "in_packets", s->stats.in_packets },
		{ "out_packets", s->stats.out_packets },
		{ "in_bytes", s->stats.in_bytes },
		{ "out_bytes", s->stats.out_bytes },
		{ "cps", s->stats.cps },
		{ "in_pps", s->stats.in_pps },
		{ "out_pps", s->stats.out_pps },
		{ "in_bps", s->stats.in_bps },
		{ "out_bps", s->stats.out_bps },
	};
	int r = rte_tel_data_add_dict_string(d, "scheduler", s->scheduler);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(members); i++)
		r = add_number(d, members[i].name, members[i].value);
	return r;
}

static int answer_services(struct telemetry *t, const char *params, struct rte_tel_data *d)
{
	bool list = !params || *params == '\0';
	char name[IPVS_KEY_STR_MAX];
	struct ipvs_service s;
	size_t cursor = 0;

	if (list)
		(void)rte_tel_data_start_array(d, RTE_TEL_STRING_VAL);
	while (tables_next_service(t->tables, &cursor, &s)) {
		(void)ipvs_service_key_format(&s.key, name);
		/* Full: the rest can be asked for by name. */
		if (list && rte_tel_data_add_array_string(d, name) < 0)
			break;
		if (list || strcmp(name, params) != 0)
			continue;
		(void)rte_tel_data_start_dict(d);
		return add_service(d, &s);
	}
	return list ? 0 : -ENOENT;
}

static int answer_question(struct telemetry *t)
{
	if (strcmp(question.command, "/ipvsd/stats") == 0)
		return answer_stats(t, question.data);
	if (strcmp(question.command, "/ipvsd/workers") == 0)
		return answer_workers(t, question.params, question.data);
	return answer_services(t, question.params, question.data);
}

static int on_question(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct telemetry *t = userdata;
	uint64_t n;

	(void)source;
	(void)revents;
	if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		log_warning("telemetry: %s", strerror(errno));
	(void)pthread_mutex_lock(&question.lock);
	if (question.data) {
		question.result = answer_question(t);
		question.data = NULL;
		(void)pthread_cond_signal(&question.answered);
	}
	(void)pthread_mutex_unlock(&question.lock);
	return 0;
}

/* On a thread of DPDK's. */
static int ask(const char *command, const char *params, struct rte_tel_data *data)
{
	const uint64_t one = 1;
	struct timespec deadline;
	int r = -ESHUTDOWN;

	(void)clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += WAIT_SEC;
	(void)pthread_mutex_lock(&question.turn);
	(void)pthread_mutex_lock(&question.lock);
	question.command = command;
	question.params = params;
	question.data = data;
	if (question.telemetry && write(question.telemetry->fd, &one, sizeof(one)) == sizeof(one)) {
		r = 0;
		while (r == 0 && question.data)
			r = -pthread_cond_timedwait(&question.answered, &question.lock, &deadline);
		r = question.data ? r : question.result;
	}
	question.data = NULL;
	(void)pthread_mutex_unlock(&question.lock);
	(void)pthread_mutex_unlock(&question.turn);
	return r;
}

static int register_commands(void)
{
	static const struct {
		const char *name, *help;
	} commands[] = {
		{ "/ipvsd/stats", "What all workers have counted. No parameter" },
		{ "/ipvsd/workers", "The workers; with an index, what it has counted" },
		{ "/ipvsd/services", "The services; with a name, its statistics" },
	};
	static bool registered;

	for (size_t i = 0; !registered && i < ARRAY_SIZE(commands); i++) {
		int r = rte_telemetry_register_cmd(commands[i].name, ask, commands[i].help);

		if (r < 0)
			return r;
	}
	registered = true;
	return 0;
}

static void set_telemetry(struct telemetry *t)
{
	(void)pthread_mutex_lock(&question.lock);
	question.telemetry = t;
	(void)pthread_mutex_unlock(&question.lock);
}

DEFINE_CLEANUP(struct telemetry *, telemetry_free)

int telemetry_new(sd_event *event, const struct tables *tables, const struct answer_ops *ops,
		  void *context, struct telemetry **ret)
{
	_cleanup_(telemetry_free_p) struct telemetry *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->tables = tables;
	t->ops = ops;
	t->context = context;
	t->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->fd < 0)
		return -errno;
	r = sd_event_add_io(event, &t->source, t->fd, EPOLLIN, on_question, t);
	if (r >= 0)
		r = register_commands();
	if (r < 0)
		return r;
	set_telemetry(t);
	*ret = take_ptr(t);
	return 0;
}

/* A question that waits runs out: its thread has not touched what is freed here since it wrote to fd. */
void telemetry_free(struct telemetry *t)
{
	if (!t)
		return;
	set_telemetry(NULL);
	(void)sd_event_source_disable_unref(t->source);
	cleanup_close(&t->fd);
	free(t);
}
