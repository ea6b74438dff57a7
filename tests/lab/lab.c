/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lab/lab.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <netlink/netlink.h>

#include "tests/lab/topology.h"

DEFINE_CLEANUP(struct nl_sock *, nl_socket_free)
DEFINE_CLEANUP(struct lab *, lab_free)

static const char *const zone_bridges[LAB_ZONES] = { "zone-a", "zone-b" };

int lab_fail(int error, const char *format, ...)
{
	va_list ap;

	if (error == 0)
		return 0;
	va_start(ap, format);
	(void)fputs("lab: ", stderr);
	(void)vfprintf(stderr, format, ap);
	(void)fprintf(stderr, ": %s\n", strerror(error));
	va_end(ap);
	return -error;
}

void lab_sleep(usec_t usec)
{
	struct timespec ts = { .tv_sec = (time_t)(usec / USEC_PER_SEC),
			       .tv_nsec = (long)(usec % USEC_PER_SEC * 1000) };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

int lab_wait_until(bool (*check)(void *), void *userdata, usec_t timeout_usec)
{
	usec_t end = clock_monotonic_usec() + timeout_usec;

	while (!check(userdata)) {
		if (clock_monotonic_usec() >= end)
			return -ETIMEDOUT;
		lab_sleep(5 * USEC_PER_MSEC);
	}
	return 0;
}

int lab_enter(const struct lab_host *h, int *ret_back)
{
	_cleanup_close_ int back = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (back < 0)
		return lab_fail(errno, "open the present network namespace");
	if (setns(h->ns, CLONE_NEWNET) < 0)
		return lab_fail(errno, "enter %s", h->name);
	*ret_back = take_fd(&back);
	return 0;
}

void lab_leave(int *back)
{
	if (*back < 0)
		return;
	if (setns(*back, CLONE_NEWNET) < 0)
		abort(); /* everything after this would happen on the wrong host */
	(void)close(take_fd(back));
}

int lab_socket(const struct lab_host *h, int domain, int type, int protocol)
{
	_lab_leave_ int back = -1;
	int fd, r;

	r = lab_enter(h, &back);
	if (r < 0)
		return r;
	fd = socket(domain, type | SOCK_CLOEXEC, protocol);
	return fd < 0 ? -errno : fd;
}

static int write_file(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

int lab_sysctl_set(const struct lab_host *h, const char *path, const char *value)
{
	_lab_leave_ int back = -1;
	char file[256];
	int r;

	r = lab_enter(h, &back);
	if (r < 0)
		return r;
	(void)snprintf(file, sizeof(file), "/proc/sys/%s", path);
	return lab_fail(-write_file(file, value), "%s: %s = %s", h->name, path, value);
}

static int with_address(const struct lab_host *h, const char *interface, const char *address,
			int (*act)(struct nl_sock *, const char *, const char *))
{
	_cleanup_(nl_socket_free_p) struct nl_sock *s = NULL;
	_lab_leave_ int back = -1;
	int r;

	r = lab_enter(h, &back);
	if (r < 0)
		return r;
	r = topology_open(&s);
	return r < 0 ? r : act(s, interface, address);
}

static int do_add(struct nl_sock *s, const char *interface, const char *address)
{
	return topology_address(s, interface, address, true);
}

static int do_remove(struct nl_sock *s, const char *interface, const char *address)
{
	return topology_address(s, interface, address, false);
}

int lab_address_add(const struct lab_host *h, const char *interface, const char *address)
{
	return with_address(h, interface, address, do_add);
}

int lab_address_remove(const struct lab_host *h, const char *interface, const char *address)
{
	return with_address(h, interface, address, do_remove);
}

int lab_address_exists(const struct lab_host *h, const char *interface, const char *address)
{
	return with_address(h, interface, address, topology_address_exists);
}

struct lab_host *lab_host(struct lab *lab, const char *name)
{
	struct lab_host *fixed[] = { &lab->internet, &lab->router, &lab->gateway };

	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		if (strcmp(fixed[i]->name, name) == 0)
			return fixed[i];
	for (size_t i = 0; i < lab->n_targets; i++)
		if (strcmp(lab->targets[i].name, name) == 0)
			return &lab->targets[i];
	return NULL;
}

/* A namespace with `lo` up. The thread comes back to lab->home_net. */
static int make_host(struct lab *lab, struct lab_host *h, const char *name, bool forwards)
{
	static const char *const zeros[] = {
		"ipv4/conf/all/rp_filter",	    "ipv4/conf/default/rp_filter",
		"ipv6/conf/all/accept_dad",	    "ipv6/conf/default/accept_dad",
		"ipv6/conf/default/accept_ra",	    "ipv4/conf/all/send_redirects",
		"ipv4/conf/default/send_redirects",
	};
	static const char *const ones[] = { "ipv4/ip_forward", "ipv6/conf/all/forwarding" };
	_cleanup_(nl_socket_free_p) struct nl_sock *s = NULL;
	char path[128];
	int r = 0;

	(void)snprintf(h->name, sizeof(h->name), "%s", name);
	if (unshare(CLONE_NEWNET) < 0)
		return lab_fail(errno, "make a network namespace");
	h->ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (h->ns < 0)
		r = -errno;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(zeros); i++) {
		(void)snprintf(path, sizeof(path), "/proc/sys/net/%s", zeros[i]);
		r = write_file(path, "0");
	}
	for (size_t i = 0; forwards && r == 0 && i < ARRAY_SIZE(ones); i++) {
		(void)snprintf(path, sizeof(path), "/proc/sys/net/%s", ones[i]);
		r = write_file(path, "1");
	}
	if (r == 0)
		r = topology_open(&s);
	if (r == 0)
		r = topology_link_up(s, "lo");
	if (setns(lab->home_net, CLONE_NEWNET) < 0)
		abort();
	return lab_fail(-r, "set up %s", name);
}

static int make_hosts(struct lab *lab, const struct lab_spec *spec)
{
	char name[LAB_NAME_MAX];
	int r;

	r = make_host(lab, &lab->internet, "internet", false);
	if (r == 0)
		r = make_host(lab, &lab->router, "router", true);
	if (r == 0)
		r = make_host(lab, &lab->gateway, "gateway", true);
	for (unsigned z = 0; z < LAB_ZONES; z++)
		for (unsigned i = 0; r == 0 && i < spec->targets[z]; i++) {
			struct lab_host *h = &lab->targets[lab->n_targets];

			(void)snprintf(name, sizeof(name), "%c%u", (int)('a' + z), i + 1);
			h->zone = z;
			(void)snprintf(h->address, sizeof(h->address), "10.0.%u.%u", z + 1, i + 10);
			(void)snprintf(h->address6, sizeof(h->address6), "2001:db8:0:%u::%u", z + 1,
				       i + 10);
			r = make_host(lab, h, name, false);
			lab->n_targets++;
		}
	return r;
}

/* All links are made from the router's side; the other ends are born in the hosts' namespaces. */
static int make_links(struct lab *lab, struct nl_sock *s)
{
	int r;

	r = topology_veth(s, "internet", NULL, lab->internet.ns, "eth0");
	if (r == 0)
		r = topology_bridge(s, "public");
	if (r == 0)
		r = topology_veth(s, "gw-public", "public", lab->gateway.ns, "public");
	for (unsigned z = 0; r == 0 && z < LAB_ZONES; z++) {
		char port[LAB_NAME_MAX];

		(void)snprintf(port, sizeof(port), "gw-%s", zone_bridges[z]);
		r = topology_bridge(s, zone_bridges[z]);
		if (r == 0)
			r = topology_veth(s, port, zone_bridges[z], lab->gateway.ns,
					  zone_bridges[z]);
	}
	for (size_t i = 0; r == 0 && i < lab->n_targets; i++)
		r = topology_veth(s, lab->targets[i].name, zone_bridges[lab->targets[i].zone],
				  lab->targets[i].ns, "eth0");
	return r;
}

struct leg {
	const char *interface, *address, *address6;
};

struct hop {
	const char *prefix, *via;
};

static int give(struct nl_sock *s, const struct leg *legs, size_t n_legs, const struct hop *hops,
		size_t n_hops)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n_legs; i++) {
		r = topology_link_up(s, legs[i].interface);
		if (r == 0)
			r = topology_address(s, legs[i].interface, legs[i].address, true);
		if (r == 0)
			r = topology_address(s, legs[i].interface, legs[i].address6, true);
	}
	for (size_t i = 0; r == 0 && i < n_hops; i++)
		r = topology_route(s, hops[i].prefix, hops[i].via);
	return r;
}

static int set_up_router(struct lab *lab, const struct lab_spec *spec)
{
	static const struct leg legs[] = {
		{ "internet", "198.51.100.1/24", "2001:db8:100::1/64" },
		{ "public", "10.0.0.1/24", "2001:db8::1/64" },
		{ "zone-a", "10.0.1.1/24", "2001:db8:0:1::1/64" },
		{ "zone-b", "10.0.2.1/24", "2001:db8:0:2::1/64" },
	};
	static const struct hop hops[] = {
		{ "203.0.113.0/24", "10.0.0.10" },	{ "2001:db8:203::/64", "2001:db8::a" },
		{ "10.0.1.0/24", "10.0.0.10" },		{ "10.0.2.0/24", "10.0.0.10" },
		{ "2001:db8:0:1::/64", "2001:db8::a" }, { "2001:db8:0:2::/64", "2001:db8::a" },
	};
	_cleanup_(nl_socket_free_p) struct nl_sock *s = NULL;
	_lab_leave_ int back = -1;
	int r;

	r = lab_enter(&lab->router, &back);
	if (r == 0)
		r = topology_open(&s);
	if (r == 0)
		r = make_links(lab, s);
	/* Without legs in the zones, all ways to the targets lead through the gateway. */
	if (r == 0 && spec->direct_return)
		r = give(s, legs, 4, hops, 2);
	else if (r == 0)
		r = give(s, legs, 2, hops, 6);
	return lab_fail(-r, "links of the router");
}

static int set_up_host(struct lab_host *h, const struct leg *legs, size_t n_legs,
		       const char *router, const char *router6)
{
	struct hop hops[] = { { NULL, router }, { NULL, router6 } };
	_cleanup_(nl_socket_free_p) struct nl_sock *s = NULL;
	_lab_leave_ int back = -1;
	int r;

	r = lab_enter(h, &back);
	if (r == 0)
		r = topology_open(&s);
	if (r == 0)
		r = give(s, legs, n_legs, hops, 2);
	return lab_fail(-r, "addresses of %s", h->name);
}

static int set_up_target(struct lab_host *h, bool direct_return)
{
	char address[LAB_ADDRESS_MAX + 4], address6[LAB_ADDRESS_MAX + 4];
	char router[LAB_ADDRESS_MAX], router6[LAB_ADDRESS_MAX];
	const struct leg leg = { "eth0", address, address6 };
	unsigned host = direct_return ? 1 : 5;

	(void)snprintf(address, sizeof(address), "%s/24", h->address);
	(void)snprintf(address6, sizeof(address6), "%s/64", h->address6);
	(void)snprintf(router, sizeof(router), "10.0.%u.%u", h->zone + 1, host);
	(void)snprintf(router6, sizeof(router6), "2001:db8:0:%u::%u", h->zone + 1, host);
	return set_up_host(h, &leg, 1, router, router6);
}

static int set_up_network(struct lab *lab, const struct lab_spec *spec)
{
	static const struct leg gateway_legs[] = {
		{ "public", "10.0.0.10/24", "2001:db8::a/64" },
		{ "zone-a", "10.0.1.5/24", "2001:db8:0:1::5/64" },
		{ "zone-b", "10.0.2.5/24", "2001:db8:0:2::5/64" },
	};
	static const struct leg internet_leg = { "eth0", "198.51.100.2/24", "2001:db8:100::2/64" };
	int r;

	r = set_up_router(lab, spec);
	if (r == 0)
		r = set_up_host(&lab->internet, &internet_leg, 1, "198.51.100.1",
				"2001:db8:100::1");
	if (r == 0)
		r = set_up_host(&lab->gateway, gateway_legs, 3, "10.0.0.1", "2001:db8::1");
	for (size_t i = 0; r == 0 && i < lab->n_targets; i++)
		r = set_up_target(&lab->targets[i], spec->direct_return);
	return r;
}

/* A /run of our own, which dies with the process. */
static int make_run(struct lab *lab)
{
	lab->home_mount = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	lab->home_dir = open(".", O_PATH | O_CLOEXEC);
	if (lab->home_mount < 0 || lab->home_dir < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("lab", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") < 0 ||
	    mkdir("/run/lock", 0755) < 0)
		return lab_fail(errno, "make a private /run");
	return 0;
}

/* A load holds one descriptor for each request under way. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

int lab_new(const struct lab_spec *spec, struct lab **ret)
{
	_cleanup_(lab_free_p) struct lab *lab = calloc(1, sizeof(*lab));
	int r;

	if (!lab)
		return lab_fail(ENOMEM, "lab_new");
	lab->home_net = lab->home_mount = lab->home_dir = -1;
	lab->internet.ns = lab->router.ns = lab->gateway.ns = -1;
	for (size_t i = 0; i < ARRAY_SIZE(lab->targets); i++)
		lab->targets[i].ns = -1;
	for (unsigned z = 0; z < LAB_ZONES; z++)
		if (spec->targets[z] > LAB_ZONE_TARGETS_MAX)
			return lab_fail(EINVAL, "%u targets in a zone", spec->targets[z]);
	lab->home_net = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (lab->home_net < 0)
		return lab_fail(errno, "open the present network namespace");
	raise_descriptor_limit();
	r = make_run(lab);
	if (r == 0)
		r = make_hosts(lab, spec);
	if (r == 0)
		r = set_up_network(lab, spec);
	if (r < 0)
		return r;
	*ret = take_ptr(lab);
	return 0;
}

/*
 * A thread that has been joined still shares the file system context for a moment (the kernel clears its id before it
 * leaves that context), and setns() is refused with EINVAL until it does not.
 */
static int return_home(const struct lab *lab)
{
	usec_t deadline = clock_monotonic_usec() + USEC_PER_SEC;

	while (setns(lab->home_mount, CLONE_NEWNS) < 0) {
		if (errno != EINVAL || clock_monotonic_usec() >= deadline)
			return -errno;
		(void)sched_yield();
	}
	/* setns() moves the working directory to the root. */
	return fchdir(lab->home_dir) < 0 ? -errno : 0;
}

void lab_free(struct lab *lab)
{
	struct lab_host *fixed[] = { &lab->internet, &lab->router, &lab->gateway };

	int r = lab->home_dir >= 0 ? return_home(lab) : 0;

	if (r < 0)
		(void)lab_fail(-r, "go back to the first mount namespace");
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		cleanup_close(&fixed[i]->ns);
	for (size_t i = 0; i < ARRAY_SIZE(lab->targets); i++)
		cleanup_close(&lab->targets[i].ns);
	cleanup_close(&lab->home_mount);
	cleanup_close(&lab->home_dir);
	cleanup_close(&lab->home_net);
	free(lab);
}
