/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lab/gateway.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/addr.h"
#include "ipvs/channel.h"
#include "tests/lab/lab.h"

#define NOTIFY_SOCKET "/run/notify.sock"

enum {
	READY_TIMEOUT_SEC = 30,
	STOP_TIMEOUT_SEC = 20,
	ARGUMENTS_MAX = 16,
	NOTICE_MAX_BYTES = 1024,
	REQUEST_TIMEOUT_SEC = 30,
	SERVICE_PORT = 80,
};

struct gateway {
	struct lab *lab; /* borrowed */
	struct lab_process process;
	struct channel *channel; /* owned; opened at the first use */
	int notify_fd;		 /* owned */
	pthread_t notify_thread;
	bool listening;
	pthread_mutex_t lock;
	char *notices; /* owned; all messages, one after the other; under `lock` */
	size_t n_notices;
};

DEFINE_CLEANUP(struct gateway *, gateway_free)

/* Reads at once: the daemon would block on a full socket. */
static void *notify_main(void *userdata)
{
	struct gateway *g = userdata;
	char buf[NOTICE_MAX_BYTES];
	ssize_t n;

	while ((n = recv(g->notify_fd, buf, sizeof(buf), 0)) > 0) {
		char *grown;

		(void)pthread_mutex_lock(&g->lock);
		grown = realloc(g->notices, g->n_notices + (size_t)n + 2);
		if (grown) {
			memcpy(grown + g->n_notices, buf, (size_t)n);
			g->n_notices += (size_t)n;
			grown[g->n_notices++] = '\n';
			grown[g->n_notices] = '\0';
			g->notices = grown;
		}
		(void)pthread_mutex_unlock(&g->lock);
	}
	return NULL;
}

int gateway_new(struct lab *lab, struct gateway **ret)
{
	static const struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = NOTIFY_SOCKET };
	_cleanup_(gateway_free_p) struct gateway *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return lab_fail(ENOMEM, "gateway_new");
	g->lab = lab;
	g->process = LAB_PROCESS_INIT;
	(void)pthread_mutex_init(&g->lock, NULL);
	(void)unlink(NOTIFY_SOCKET);
	g->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (g->notify_fd < 0 || bind(g->notify_fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0)
		return lab_fail(errno, NOTIFY_SOCKET);
	r = pthread_create(&g->notify_thread, NULL, notify_main, g);
	if (r != 0)
		return lab_fail(r, "receiver of notices");
	g->listening = true;
	*ret = take_ptr(g);
	return 0;
}

void gateway_free(struct gateway *g)
{
	lab_process_deinit(&g->process);
	if (g->listening) {
		(void)shutdown(g->notify_fd, SHUT_RDWR); /* ends the recv() */
		(void)pthread_join(g->notify_thread, NULL);
	}
	cleanup_close(&g->notify_fd);
	channel_free(g->channel);
	(void)pthread_mutex_destroy(&g->lock);
	free(g->notices);
	free(g);
}

int gateway_configure(struct gateway *g, const char *format, ...)
{
	FILE *f = fopen(LAB_CONF_PATH ".new", "we");
	va_list ap;
	int r;

	(void)g; /* the path is in the lab's own /run */
	if (!f)
		return lab_fail(errno, LAB_CONF_PATH);
	va_start(ap, format);
	r = vfprintf(f, format, ap);
	va_end(ap);
	if (fclose(f) != 0 || r < 0 || rename(LAB_CONF_PATH ".new", LAB_CONF_PATH) < 0)
		return lab_fail(errno, LAB_CONF_PATH);
	return 0;
}

int gateway_launch(struct gateway *g, const char *const *prefix)
{
	static const char *const environment[] = { "NOTIFY_SOCKET=" NOTIFY_SOCKET, NULL };
	const struct lab_spawn_options options = { .environment = environment };
	char program[LAB_PATH_MAX];
	const char *argv[ARGUMENTS_MAX + 5];
	size_t n = 0;

	for (; prefix && prefix[n]; n++) {
		if (n == ARGUMENTS_MAX)
			return lab_fail(E2BIG, "gateway_launch");
		argv[n] = prefix[n];
	}
	argv[n++] = lab_program("../daemon/ipvsd", program);
	argv[n++] = "run";
	argv[n++] = "--config";
	argv[n++] = LAB_CONF_PATH;
	argv[n] = NULL;
	lab_process_deinit(&g->process);
	(void)pthread_mutex_lock(&g->lock);
	free(g->notices);
	g->notices = NULL;
	g->n_notices = 0;
	(void)pthread_mutex_unlock(&g->lock);
	return lab_spawn(&g->lab->gateway, argv, &options, &g->process);
}

unsigned gateway_notified(struct gateway *g, const char *line)
{
	size_t len = strlen(line);
	unsigned count = 0;

	(void)pthread_mutex_lock(&g->lock);
	for (const char *p = g->notices; p && *p; p = strchr(p, '\n') + 1)
		count += strncmp(p, line, len) == 0 && p[len] == '\n';
	(void)pthread_mutex_unlock(&g->lock);
	return count;
}

static bool ready_or_ended(void *userdata)
{
	struct gateway *g = userdata;

	return gateway_notified(g, "READY=1") > 0 || !gateway_running(g);
}

int gateway_wait_ready(struct gateway *g, usec_t timeout_usec)
{
	int r = lab_wait_until(ready_or_ended, g, timeout_usec);

	if (r < 0)
		return r;
	return gateway_notified(g, "READY=1") > 0 ? 0 : -ECHILD;
}

int gateway_start_as(struct gateway *g, const char *const *prefix)
{
	int r = gateway_launch(g, prefix);

	return r < 0 ? r : gateway_wait_ready(g, READY_TIMEOUT_SEC * USEC_PER_SEC);
}

int gateway_start(struct gateway *g)
{
	int r = gateway_start_as(g, NULL);

	if (r < 0)
		gateway_print_log(g);
	return r;
}

int gateway_stop(struct gateway *g, int signal)
{
	int r = lab_process_signal(&g->process, signal);

	if (r == 0)
		r = lab_process_wait(&g->process, STOP_TIMEOUT_SEC * USEC_PER_SEC);
	return r < 0 ? r : g->process.status;
}

bool gateway_running(struct gateway *g)
{
	return lab_process_running(&g->process);
}

pid_t gateway_pid(const struct gateway *g)
{
	return g->process.pid;
}

char *gateway_log(struct gateway *g)
{
	return lab_output_read(g->process.err);
}

bool gateway_log_has(struct gateway *g, const char *text)
{
	_cleanup_free_ char *log = gateway_log(g);

	return log && strstr(log, text);
}

void gateway_print_log(struct gateway *g)
{
	_cleanup_free_ char *log = gateway_log(g);

	(void)fprintf(stderr, "--- log of the daemon:\n%s---\n", log ? log : "(none)\n");
}

uint64_t gateway_rss_kib(struct gateway *g)
{
	_cleanup_fclose_ FILE *f = NULL;
	unsigned long long kib = 0;
	char text[256];

	(void)snprintf(text, sizeof(text), "/proc/%d/status", (int)g->process.pid);
	f = fopen(text, "re");
	while (f && fgets(text, sizeof(text), f))
		if (sscanf(text, "VmRSS: %llu", &kib) == 1)
			break;
	return kib;
}

int gateway_command(struct gateway *g, struct lab_result *ret, ...)
{
	char program[LAB_PATH_MAX];
	const char *argv[ARGUMENTS_MAX] = { lab_program("../daemon/ipvsd", program) };
	va_list ap;

	va_start(ap, ret);
	for (size_t n = 1; n < ARRAY_SIZE(argv) - 1; n++) {
		argv[n] = va_arg(ap, const char *);
		if (!argv[n])
			break;
	}
	va_end(ap);
	return lab_run(&g->lab->gateway, argv, ret);
}

struct body {
	char *text;
	size_t n;
};

static size_t on_body(char *data, size_t size, size_t n, void *userdata)
{
	struct body *b = userdata;
	char *grown = realloc(b->text, b->n + size * n + 1);

	if (!grown)
		return 0;
	b->text = grown;
	memcpy(b->text + b->n, data, size * n);
	b->n += size * n;
	b->text[b->n] = '\0';
	return size * n;
}

int gateway_request(struct gateway *g, const char *method, const char *path, const char *body,
		    json_t **ret_json)
{
	struct body answer = { 0 };
	CURL *curl = curl_easy_init();
	char url[512];
	long status = 0;
	CURLcode code;

	(void)g; /* unix sockets in the file system belong to no network namespace */
	if (!curl)
		return -ENOMEM;
	(void)snprintf(url, sizeof(url), "http://ipvsd%s", path);
	(void)curl_easy_setopt(curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, LAB_CONTROL_SOCKET);
	(void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)REQUEST_TIMEOUT_SEC);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
	if (body || strcmp(method, "POST") == 0)
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body ? body : "");
	code = curl_easy_perform(curl);
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	if (ret_json)
		*ret_json = answer.text ? json_loads(answer.text, 0, NULL) : NULL;
	free(answer.text);
	return code == CURLE_OK ? (int)status : -ECONNREFUSED;
}

int gateway_table(struct gateway *g, struct ipvs_ruleset *ret)
{
	_lab_leave_ int back = -1;
	int r = 0;

	if (!g->channel) {
		r = lab_enter(&g->lab->gateway, &back);
		if (r == 0)
			r = channel_open_kernel(&g->channel);
	}
	return r < 0 ? r : channel_dump(g->channel, ret);
}

int64_t gateway_weight(struct gateway *g, const char *vip, uint16_t port, const char *target)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset table = IPVS_RULESET_INIT;
	struct ipvs_service_key key = { .protocol = IPPROTO_TCP, .port = port };
	const struct ipvs_service *service;
	const struct ipvs_dest *dest;
	struct addr addr;
	int r;

	if (addr_parse(vip, &key.addr) < 0 || addr_parse(target, &addr) < 0)
		return -EINVAL;
	key.family = key.addr.family;
	r = gateway_table(g, &table);
	if (r < 0)
		return r;
	service = ipvs_ruleset_find(&table, &key);
	for (size_t i = 0; service && i < service->n_dests; i++) {
		dest = &service->dests[i];
		if (addr_eq(&dest->addr, &addr))
			return dest->weight;
	}
	return -ENOENT;
}

usec_t gateway_wait_weight(struct gateway *g, const char *vip, const char *target, int64_t weight,
			   usec_t timeout_usec)
{
	usec_t end = clock_monotonic_usec() + timeout_usec;

	for (;;) {
		usec_t now = clock_monotonic_usec();

		if (gateway_weight(g, vip, SERVICE_PORT, target) == weight)
			return now;
		if (now >= end)
			return USEC_NEVER;
		lab_sleep(5 * USEC_PER_MSEC);
	}
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *gateway_ipvsadm(struct gateway *g)
{
	static const char *const argv[] = { "ipvsadm", "-Sn", NULL };
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;
	char *lines[1024], *rest = NULL, *sorted, *end;
	size_t n = 0;

	if (lab_run(&g->lab->gateway, argv, &result) < 0 || result.status != 0)
		return NULL;
	sorted = end = calloc(1, strlen(result.out) + 2);
	if (!sorted)
		return NULL;
	for (char *line = strtok_r(result.out, "\n", &rest); line && n < ARRAY_SIZE(lines);
	     line = strtok_r(NULL, "\n", &rest))
		lines[n++] = line;
	qsort(lines, n, sizeof(*lines), compare_lines);
	for (size_t i = 0; i < n; i++)
		end += sprintf(end, "%s\n", lines[i]);
	return sorted;
}
