/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/number.h"

const char *const options_help =
	"usage: ipvsd-fastpath --port SPEC [--port SPEC ...] [OPTION ...]\n"
	"\n"
	"A user-space IPVS on DPDK. See ipvsd-fastpath(8).\n"
	"\n"
	"  --port SPEC                 PCI address, or DPDK vdev: net_af_packet0,iface=eth1\n"
	"  --workers CPUS              one worker on each, e.g. 1 or 2-5,7; a CPU may come twice\n"
	"  --control PATH              control socket (/run/ipvsd/fastpath.sock)\n"
	"  --exception-interface NAME  the kernel's side of the first port (ipvsd0), or none\n"
	"  --max-connections N         of all workers together (1000000)\n"
	"  --queue-size N              descriptors of each queue (1024)\n"
	"  --mtu BYTES                 of the ports (as they have it)\n"
	"  --memory MIB                for packets (as needed)\n"
	"  --no-hugepages              do without hugepages\n"
	"  --no-idle-sleep             poll without a pause\n"
	"  --hold-ports                take the ports when the control socket says so\n"
	"  --no-telemetry              no DPDK telemetry socket\n"
	"  --supervisor-fd FD          end when the other side of this pipe is closed\n"
	"  --version\n"
	"  --help\n";

enum option_id {
	OPTION_PORT = 256,
	OPTION_WORKERS,
	OPTION_CONTROL,
	OPTION_EXCEPTION,
	OPTION_CONNECTIONS,
	OPTION_QUEUE_SIZE,
	OPTION_MTU,
	OPTION_MEMORY,
	OPTION_NO_HUGEPAGES,
	OPTION_NO_IDLE_SLEEP,
	OPTION_NO_TELEMETRY,
	OPTION_HOLD_PORTS,
	OPTION_SUPERVISOR_FD,
	OPTION_VERSION,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{ "port", required_argument, NULL, OPTION_PORT },
	{ "workers", required_argument, NULL, OPTION_WORKERS },
	{ "control", required_argument, NULL, OPTION_CONTROL },
	{ "exception-interface", required_argument, NULL, OPTION_EXCEPTION },
	{ "max-connections", required_argument, NULL, OPTION_CONNECTIONS },
	{ "queue-size", required_argument, NULL, OPTION_QUEUE_SIZE },
	{ "mtu", required_argument, NULL, OPTION_MTU },
	{ "memory", required_argument, NULL, OPTION_MEMORY },
	{ "no-hugepages", no_argument, NULL, OPTION_NO_HUGEPAGES },
	{ "no-idle-sleep", no_argument, NULL, OPTION_NO_IDLE_SLEEP },
	{ "no-telemetry", no_argument, NULL, OPTION_NO_TELEMETRY },
	{ "hold-ports", no_argument, NULL, OPTION_HOLD_PORTS },
	{ "supervisor-fd", required_argument, NULL, OPTION_SUPERVISOR_FD },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ 0 },
};

/* The number options: where the value goes, and its range. */
static const struct number_option {
	int id;
	size_t offset;
	uint32_t min, max;
} number_options[] = {
	{ OPTION_CONNECTIONS, offsetof(struct options, max_connections), 1024,
	  OPTIONS_CONNECTIONS_MAX },
	{ OPTION_QUEUE_SIZE, offsetof(struct options, queue_size), 64, 32768 },
	{ OPTION_MTU, offsetof(struct options, mtu), 1280, 9216 },
	{ OPTION_MEMORY, offsetof(struct options, memory_mib), 16, 1 << 20 },
	{ OPTION_SUPERVISOR_FD, offsetof(struct options, supervisor_fd), 0, INT32_MAX },
};

static int fail(char error[static OPTIONS_ERROR_MAX], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int fail(char error[static OPTIONS_ERROR_MAX], const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(error, OPTIONS_ERROR_MAX, format, ap);
	va_end(ap);
	return -EINVAL;
}

/* Decimal digits alone; *text is set behind them. */
static int parse_number(const char **text, uint32_t min, uint32_t max, uint32_t *ret)
{
	uint64_t value;
	int r = number_take(text, max, &value);

	if (r < 0 || value < min)
		return r < 0 ? r : -ERANGE;
	*ret = (uint32_t)value;
	return 0;
}

/* count hexadecimal digits at *text, and the separator behind them unless it is 0. */
static bool skip_hex(const char **text, unsigned count, char separator)
{
	for (unsigned i = 0; i < count; i++)
		if (!isxdigit((unsigned char)(*text)[i]))
			return false;
	*text += count;
	if (separator == '\0')
		return **text == '\0';
	return *(*text)++ == separator;
}

/* "0000:00:06.0", "00:06.0": domain, bus, device, function. */
static bool is_pci(const char *spec)
{
	const char *text = spec;

	if (!skip_hex(&text, 4, ':'))
		text = spec; /* without a domain */
	return skip_hex(&text, 2, ':') && skip_hex(&text, 2, '.') && skip_hex(&text, 1, '\0');
}

int options_exception_name(const char *base, size_t index, char ret[static IFNAMSIZ])
{
	size_t stem = strlen(base), first = 0;
	int n;

	if (stem >= IFNAMSIZ)
		return -ENAMETOOLONG;
	if (index == 0) {
		memcpy(ret, base, stem + 1);
		return 0;
	}
	while (stem > 0 && isdigit((unsigned char)base[stem - 1]))
		stem--;
	for (const char *digit = base + stem; *digit; digit++)
		first = first * 10 + (size_t)(*digit - '0');
	n = snprintf(ret, IFNAMSIZ, "%.*s%zu", (int)stem, base, first + index);
	return n < 0 || n >= IFNAMSIZ ? -ENAMETOOLONG : 0;
}

static int add_port(struct options *o, const char *spec, char error[static OPTIONS_ERROR_MAX])
{
	struct options_port *p = &o->ports[o->n_ports];

	if (o->n_ports == OPTIONS_PORTS_MAX)
		return fail(error, "--port: more than %d ports", OPTIONS_PORTS_MAX);
	if (strlen(spec) >= sizeof(p->spec))
		return fail(error, "--port: longer than %zu characters", sizeof(p->spec) - 1);
	p->is_pci = is_pci(spec);
	if (!p->is_pci && strncmp(spec, "net_", 4) != 0)
		return fail(error,
			    "--port %s: neither a PCI address (0000:00:06.0) nor a DPDK vdev "
			    "(net_af_packet0,iface=eth1)",
			    spec);
	if (p->is_pci && strlen(spec) == strlen("00:06.0"))
		(void)snprintf(p->spec, sizeof(p->spec), "0000:%s", spec);
	else
		(void)snprintf(p->spec, sizeof(p->spec), "%s", spec);
	/* DPDK knows devices by the part before the first comma. */
	for (size_t i = 0; i < o->n_ports; i++) {
		size_t n = strcspn(p->spec, ",");

		if (n == strcspn(o->ports[i].spec, ",") &&
		    !strncasecmp(p->spec, o->ports[i].spec, n))
			return fail(error, "--port %s: the device %.*s is given twice", spec,
				    (int)n, p->spec);
	}
	o->n_ports++;
	return 0;
}

/* "1", "0-3,6": each CPU once more for each time it is named. */
static int parse_workers(struct options *o, const char *list, char error[static OPTIONS_ERROR_MAX])
{
	const char *text = list;

	o->n_workers = 0;
	for (;;) {
		uint32_t first, last;

		if (parse_number(&text, 0, UINT16_MAX, &first) < 0)
			return fail(error, "--workers %s: not a list of CPUs (1 or 0-3,6)", list);
		last = first;
		if (*text == '-') {
			text++;
			if (parse_number(&text, first, UINT16_MAX, &last) < 0)
				return fail(error, "--workers %s: not a range of CPUs (0-3)", list);
		}
		if (last - first >= OPTIONS_WORKERS_MAX - o->n_workers)
			return fail(error, "--workers %s: more than %d workers", list,
				    OPTIONS_WORKERS_MAX);
		for (uint32_t cpu = first; cpu <= last; cpu++)
			o->workers[o->n_workers++] = (uint16_t)cpu;
		if (*text == '\0')
			return 0;
		if (*text++ != ',')
			return fail(error, "--workers %s: not a list of CPUs (1 or 0-3,6)", list);
	}
}

static int set_exception(struct options *o, const char *name, char error[static OPTIONS_ERROR_MAX])
{
	if (!strcmp(name, "none")) {
		o->exception_interface[0] = '\0';
		return 0;
	}
	if (name[0] == '\0' || strlen(name) >= IFNAMSIZ || strpbrk(name, "/ \t\n%:"))
		return fail(error, "--exception-interface %s: not a name of an interface", name);
	memcpy(o->exception_interface, name, strlen(name) + 1);
	return 0;
}

static int set_control(struct options *o, const char *path, char error[static OPTIONS_ERROR_MAX])
{
	if (path[0] == '\0' || strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return fail(error, "--control: a path of 1 to %zu characters",
			    sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
	o->control = path;
	return 0;
}

static int set_number(struct options *o, int id, const char *name, const char *text,
		      char error[static OPTIONS_ERROR_MAX])
{
	for (size_t i = 0; i < ARRAY_SIZE(number_options); i++) {
		const struct number_option *n = &number_options[i];
		const char *end = text;
		uint32_t value;

		if (n->id != id)
			continue;
		if (parse_number(&end, n->min, n->max, &value) < 0 || *end != '\0')
			return fail(error, "--%s %s: not a number from %u to %u", name, text,
				    n->min, n->max);
		memcpy((char *)o + n->offset, &value, sizeof(value));
		return 0;
	}
	return fail(error, "--%s: not known", name);
}

static int set_option(struct options *o, int id, const char *name, const char *value,
		      enum options_action *action, char error[static OPTIONS_ERROR_MAX])
{
	switch (id) {
	case OPTION_PORT:
		return add_port(o, value, error);
	case OPTION_WORKERS:
		return parse_workers(o, value, error);
	case OPTION_CONTROL:
		return set_control(o, value, error);
	case OPTION_EXCEPTION:
		return set_exception(o, value, error);
	case OPTION_NO_HUGEPAGES:
		o->hugepages = false;
		return 0;
	case OPTION_NO_IDLE_SLEEP:
		o->idle_sleep = false;
		return 0;
	case OPTION_NO_TELEMETRY:
		o->telemetry = false;
		return 0;
	case OPTION_HOLD_PORTS:
		o->hold_ports = true;
		return 0;
	case OPTION_HELP:
		*action = OPTIONS_HELP;
		return 0;
	case OPTION_VERSION:
		*action = OPTIONS_VERSION;
		return 0;
	default:
		return set_number(o, id, name, value, error);
	}
}

int options_parse(int argc, char **argv, struct options *ret, enum options_action *ret_action,
		  char error[static OPTIONS_ERROR_MAX])
{
	struct options o = {
		.control = "/run/ipvsd/fastpath.sock",
		.max_connections = 1000000,
		.queue_size = 1024,
		.exception_interface = "ipvsd0",
		.supervisor_fd = -1,
		.hugepages = true,
		.idle_sleep = true,
		.telemetry = true,
	};
	enum options_action action = OPTIONS_RUN;
	int id, index, r;

	opterr = 0;
	optind = 0; /* begin anew: getopt(3), Notes */
	while ((id = getopt_long(argc, argv, ":", long_options, &index)) != -1) {
		if (id == ':')
			return fail(error, "%s: needs a value", argv[optind - 1]);
		if (id == '?')
			return fail(error, "%s: not an option (see --help)", argv[optind - 1]);
		r = set_option(&o, id, long_options[index].name, optarg, &action, error);
		if (r < 0)
			return r;
	}
	if (action == OPTIONS_RUN && optind < argc)
		return fail(error, "%s: not an option (see --help)", argv[optind]);
	if (action == OPTIONS_RUN && o.n_ports == 0)
		return fail(error, "no --port: which device is to be used?");
	*ret_action = action;
	*ret = o;
	return 0;
}
