/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/exception.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <net/if_arp.h> /* behind net/if.h of DPDK's headers */

#include "base/cleanup.h"
#include "base/log.h"
#include "dpdk-fastpath/options.h"
#include "dpdk-fastpath/port.h"

enum {
	BURST = 64,
	RING_SIZE = 4096,
};

struct tap {
	int fd; /* owned */
	int ifindex;
	uint16_t port_id; /* DPDK's */
	uint16_t port_mtu;
};

struct exception {
	struct exception_config config;
	struct tap taps[OPTIONS_PORTS_MAX];
	struct rte_ring *ring; /* owned; to the kernel */
	int wake_fd;	       /* owned */
	pthread_t thread;
	bool started;
	_Atomic bool stop;
	_Atomic bool asleep; /* the thread waits, or is about to: wake it */
	_Atomic uint64_t to_kernel, from_kernel, refused_by_kernel, refused_by_worker;
};

static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static struct tap *tap_of(struct exception *e, uint16_t port_id)
{
	for (size_t i = 0; i < e->config.n_ports; i++)
		if (e->taps[i].port_id == port_id)
			return &e->taps[i];
	return NULL;
}

static void write_frame(struct exception *e, struct rte_mbuf *m)
{
	struct tap *tap = tap_of(e, m->port);
	ssize_t n = -1;

	/* The workers receive in one piece only. */
	if (tap && m->nb_segs == 1)
		n = write(tap->fd, rte_pktmbuf_mtod(m, void *), m->data_len);
	/* EIO: the interface is down, as its administrator wants it. */
	count(n < 0 ? &e->refused_by_kernel : &e->to_kernel, 1);
	rte_pktmbuf_free(m);
}

/* One burst to the kernel; returns how many frames. */
static unsigned drain_ring(struct exception *e)
{
	struct rte_mbuf *mbufs[BURST];
	unsigned n = rte_ring_sc_dequeue_burst(e->ring, (void **)mbufs, BURST, NULL);

	for (unsigned i = 0; i < n; i++)
		write_frame(e, mbufs[i]);
	return n;
}

/* Up to one burst from the kernel. False: the interface has no more. */
static bool drain_tap(struct exception *e, struct tap *tap)
{
	struct rte_mbuf *mbufs[BURST];
	unsigned n = 0, taken;
	bool more = true;

	while (more && n < BURST) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(e->config.pool);
		ssize_t bytes;

		if (!m)
			break;
		bytes = read(tap->fd, rte_pktmbuf_mtod(m, void *), rte_pktmbuf_tailroom(m));
		if (bytes <= 0) {
			rte_pktmbuf_free(m);
			more = bytes < 0 && errno == EINTR;
			continue;
		}
		m->data_len = (uint16_t)bytes;
		m->pkt_len = (uint32_t)bytes;
		m->port = tap->port_id;
		mbufs[n++] = m;
	}
	taken = rte_ring_sp_enqueue_burst(e->config.inject, (void **)mbufs, n, NULL);
	count(&e->from_kernel, taken);
	count(&e->refused_by_worker, n - taken);
	rte_pktmbuf_free_bulk(mbufs + taken, n - taken);
	return more && n > 0;
}

/* Sleeps until the kernel or a worker has something. */
static void wait_for_frames(struct exception *e, struct pollfd *fds, nfds_t n)
{
	eventfd_t value;

	atomic_store(&e->asleep, true);
	/* What came before the flag was seen. */
	if (rte_ring_empty(e->ring) && !atomic_load(&e->stop))
		(void)poll(fds, n, -1);
	atomic_store(&e->asleep, false);
	(void)eventfd_read(e->wake_fd, &value);
}

static void *run(void *userdata)
{
	struct exception *e = userdata;
	struct pollfd fds[OPTIONS_PORTS_MAX + 1];

	for (size_t i = 0; i < e->config.n_ports; i++)
		fds[i] = (struct pollfd){ .fd = e->taps[i].fd, .events = POLLIN };
	fds[e->config.n_ports] = (struct pollfd){ .fd = e->wake_fd, .events = POLLIN };
	while (!atomic_load(&e->stop)) {
		bool more = drain_ring(e) == BURST;

		for (size_t i = 0; i < e->config.n_ports; i++)
			more = drain_tap(e, &e->taps[i]) || more;
		if (!more)
			wait_for_frames(e, fds, e->config.n_ports + 1);
	}
	return NULL;
}

/* MAC, MTU, and up. */
static int set_up_interface(const struct port *p, struct ifreq *request)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	request->ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(request->ifr_hwaddr.sa_data, p->mac, PACKET_MAC_LEN);
	if (ioctl(fd, SIOCSIFHWADDR, request) < 0)
		return -errno;
	request->ifr_mtu = p->mtu;
	if (ioctl(fd, SIOCSIFMTU, request) < 0 || ioctl(fd, SIOCGIFFLAGS, request) < 0)
		return -errno;
	request->ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, request) < 0 ? -errno : 0;
}

static int open_tap(const struct port *p, const char *base, struct tap *ret)
{
	_cleanup_close_ int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	struct ifreq request = { 0 };
	int r;

	if (fd < 0) {
		r = -errno;
		log_err("cannot open /dev/net/tun: %s; modprobe tun, run as root, or give "
			"--exception-interface none",
			strerror(-r));
		return r;
	}
	r = options_exception_name(base, p->index, request.ifr_name);
	request.ifr_flags = IFF_TAP | IFF_NO_PI;
	if (r == 0 && ioctl(fd, TUNSETIFF, &request) < 0)
		r = -errno;
	if (r == 0)
		r = set_up_interface(p, &request);
	if (r < 0) {
		log_err("cannot make the exception interface %s: %s%s", request.ifr_name,
			strerror(-r),
			r == -EBUSY    ? "; another ipvsd-fastpath has it: give another "
					 "--exception-interface"
			: r == -EPERM  ? "; CAP_NET_ADMIN is needed"
			: r == -EINVAL ? "; is it an interface of another kind?"
				       : "");
		return r;
	}
	ret->ifindex = (int)if_nametoindex(request.ifr_name);
	ret->port_id = p->id;
	ret->fd = take_fd(&fd);
	return 0;
}

void exception_free(struct exception *e)
{
	if (!e)
		return;
	if (e->started) {
		atomic_store(&e->stop, true);
		(void)eventfd_write(e->wake_fd, 1);
		(void)pthread_join(e->thread, NULL);
	}
	for (size_t i = 0; i < OPTIONS_PORTS_MAX; i++)
		cleanup_close(&e->taps[i].fd);
	cleanup_close(&e->wake_fd);
	rte_ring_free(e->ring);
	free(e);
}

DEFINE_CLEANUP(struct exception *, exception_free)

int exception_new(const struct exception_config *c, struct exception **ret)
{
	_cleanup_(exception_free_p) struct exception *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->config = *c;
	e->wake_fd = -1;
	for (size_t i = 0; i < OPTIONS_PORTS_MAX; i++)
		e->taps[i].fd = -1;
	e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (e->wake_fd < 0)
		return -errno;
	e->ring = rte_ring_create("exception", RING_SIZE, (int)rte_socket_id(), RING_F_SC_DEQ);
	if (!e->ring)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_ports; i++) {
		r = open_tap(&c->ports[i], c->name, &e->taps[i]);
		if (r < 0)
			return r;
	}
	r = rte_ctrl_thread_create(&e->thread, "exception", NULL, run, e);
	if (r != 0)
		return r < 0 ? r : -r;
	e->started = true;
	*ret = take_ptr(e);
	return 0;
}

unsigned exception_put(struct exception *e, struct rte_mbuf **mbufs, unsigned n)
{
	unsigned taken;

	if (!e)
		return 0;
	taken = rte_ring_mp_enqueue_burst(e->ring, (void **)mbufs, n, NULL);
	/* The thread sets the flag, then looks at the ring; here it is the other way round. */
	atomic_thread_fence(memory_order_seq_cst);
	if (taken > 0 && atomic_load(&e->asleep) && atomic_exchange(&e->asleep, false))
		(void)eventfd_write(e->wake_fd, 1);
	return taken;
}

int exception_interface(const struct exception *e, unsigned port_index)
{
	return e && port_index < e->config.n_ports ? e->taps[port_index].ifindex : 0;
}

void exception_counters(const struct exception *e, struct exception_counters *ret)
{
	*ret = (struct exception_counters){ 0 };
	if (!e)
		return;
	ret->to_kernel = atomic_load(&e->to_kernel);
	ret->from_kernel = atomic_load(&e->from_kernel);
	ret->refused_by_kernel = atomic_load(&e->refused_by_kernel);
	ret->refused_by_worker = atomic_load(&e->refused_by_worker);
}
