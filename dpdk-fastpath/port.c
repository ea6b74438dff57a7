/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/port.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_log.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/number.h"
#include "dpdk-fastpath/port-rss.h"

enum {
	/* Ethernet header, two tags, FCS: some drivers count the last as well. */
	FRAME_OVERHEAD = RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN + RTE_ETHER_CRC_LEN,
	BUFFER_ROUND = 1024,
	BUFFER_MIN = 2048,
	AF_XDP_RING_SIZE = 2048, /* drivers/net/af_xdp: ETH_AF_XDP_DFLT_NUM_DESCS */
};

/* The part of a vdev string before the first comma, and PCI addresses as they are. */
static void device_name(const char *spec, char ret[static OPTIONS_SPEC_MAX])
{
	(void)snprintf(ret, OPTIONS_SPEC_MAX, "%.*s", (int)strcspn(spec, ","), spec);
}

/* The value of "KEY=" in a vdev string; false when it has none. */
static bool device_argument(const char *spec, const char *key, char *ret, size_t size)
{
	size_t n = strlen(key);

	for (const char *at = strchr(spec, ','); at; at = strchr(at + 1, ','))
		if (!strncmp(at + 1, key, n) && at[1 + n] == '=') {
			const char *value = at + n + 2;

			(void)snprintf(ret, size, "%.*s", (int)strcspn(value, ","), value);
			return true;
		}
	return false;
}

/* The last part of where a link of the device's directory points to; false when there is none. */
static bool pci_link(const char *address, const char *link, char ret[static NAME_MAX + 1])
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *name;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", address, link);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	name = strrchr(target, '/');
	name = name ? name + 1 : target;
	if (strlen(name) > NAME_MAX)
		return false;
	memcpy(ret, name, strlen(name) + 1);
	return true;
}

/* Writes "/dev/vfio/GROUP" of the device; false when it is in no group. */
static bool vfio_node(const char *address, char *ret, size_t size)
{
	char group[NAME_MAX + 1];

	if (!pci_link(address, "iommu_group", group))
		return false;
	(void)snprintf(ret, size, "/dev/vfio/%s", group);
	if (access(ret, F_OK) < 0)
		(void)snprintf(ret, size, "/dev/vfio/noiommu-%s", group);
	return true;
}

static int check_vfio(const char *address)
{
	char node[PATH_MAX];

	if (!vfio_node(address, node, sizeof(node))) {
		log_err("port %s: in no IOMMU group; without an IOMMU: echo 1 > "
			"/sys/module/vfio/parameters/enable_unsafe_noiommu_mode, and bind it again",
			address);
		return -ENXIO;
	}
	if (access(node, R_OK | W_OK) < 0) {
		int error = errno;

		log_err("port %s: cannot open %s: %s; run as root, or give the user that file%s",
			address, node, strerror(error),
			strstr(node, "noiommu") ? " and CAP_SYS_RAWIO" : "");
		return -error;
	}
	return 0;
}

/* Is the PCI device there, is it bound to a driver that DPDK can use, may we open it? */
static int check_pci(const char *address)
{
	/* Those of the last line leave the device with its kernel driver. */
	static const char *const usable[] = { "vfio-pci", "igb_uio", "uio_pci_generic", "mlx4_core",
					      "mlx5_core" };
	char path[PATH_MAX], driver[NAME_MAX + 1];

	(void)snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", address);
	if (access(path, F_OK) < 0) {
		log_err("port %s: there is no such PCI device (see: lspci -D | grep -i ethernet)",
			address);
		return -ENODEV;
	}
	if (!pci_link(address, "driver", driver)) {
		log_err("port %s: bound to no driver; bind it: modprobe vfio-pci && "
			"dpdk-devbind.py -b vfio-pci %s",
			address, address);
		return -ENODEV;
	}
	for (size_t i = 0; i < ARRAY_SIZE(usable); i++)
		if (!strcmp(driver, usable[i]))
			return i == 0 ? check_vfio(address) : 0;
	log_err("port %s: bound to %s; bind it to vfio-pci: dpdk-devbind.py -b vfio-pci %s (the "
		"kernel loses the interface)",
		address, driver, address);
	return -EBUSY;
}

/* Not net_tap: its interface is of its own making. */
static bool sits_on_interface(const char *spec)
{
	return !strncmp(spec, "net_af_packet", 13) || !strncmp(spec, "net_af_xdp", 10);
}

/* The MTU of the kernel interface that a vdev sits on; 0 when there is none. */
static uint16_t kernel_mtu(const char *spec)
{
	_cleanup_close_ int fd = -1;
	struct ifreq request = { 0 };

	if (!sits_on_interface(spec) ||
	    !device_argument(spec, "iface", request.ifr_name, sizeof(request.ifr_name)))
		return 0;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCGIFMTU, &request) < 0)
		return 0;
	return (uint16_t)MIN(request.ifr_mtu, UINT16_MAX);
}

static int set_mtu(struct port *p)
{
	uint16_t found = kernel_mtu(p->config.spec), wanted = (uint16_t)p->config.mtu;
	int r;

	if (found == 0)
		(void)rte_eth_dev_get_mtu(p->id, &found);
	p->mtu = found;
	if (wanted == 0 || wanted == found)
		return 0;
	r = rte_eth_dev_set_mtu(p->id, wanted);
	if (r == 0 || (r == -ENOTSUP && !p->config.is_pci)) {
		p->mtu = wanted;
		return 0;
	}
	/* Packet sockets follow their interface, whatever DPDK believes of them. */
	if (!p->config.is_pci && found > wanted) {
		p->mtu = wanted;
		return 0;
	}
	log_err("port %s: an MTU of %u is refused: %s; %s", p->config.spec, wanted, strerror(-r),
		p->config.is_pci ? "give a smaller --mtu" : "set that of the kernel's interface");
	return r;
}

/* Drivers say -1 to everything: what is usually wrong is looked for here. */
static int attach_vdev(const char *spec, const char *name)
{
	char interface[IFNAMSIZ];
	int r;

	if (sits_on_interface(spec) &&
	    (!device_argument(spec, "iface", interface, sizeof(interface)) ||
	     if_nametoindex(interface) == 0)) {
		log_err("port %s: iface= names no interface that is there (see: ip link)", spec);
		return -ENODEV;
	}
	r = rte_dev_probe(spec);
	if (r == 0)
		return 0;
	if ((r == -EPERM || r == -EACCES) && geteuid() != 0)
		log_err("port %s: no permission; run as root (CAP_NET_ADMIN, CAP_NET_RAW)", spec);
	else
		log_err("port %s: DPDK cannot make %s%s%s; is the driver's name right, its package "
			"there (librte-net-*), and what its arguments name? DPDK's own lines above "
			"say more",
			spec, name, r == -EPERM ? "" : ": ", r == -EPERM ? "" : strerror(-r));
	return r;
}

/* DPDK took it when it started, unless it was bound to vfio-pci only afterwards. */
static int attach_pci(const char *address)
{
	uint16_t id;
	int r;

	r = check_pci(address);
	if (r < 0 || rte_eth_dev_get_port_by_name(address, &id) == 0)
		return r;
	(void)rte_dev_probe(address); /* whether there is a port shows */
	return 0;
}

int port_attach(struct port *p, unsigned index, const struct port_config *c)
{
	char name[OPTIONS_SPEC_MAX];
	struct rte_ether_addr mac;
	int r;

	*p = (struct port){ .config = *c, .index = index };
	device_name(c->spec, name);
	r = c->is_pci ? attach_pci(c->spec) : attach_vdev(c->spec, name);
	if (r < 0)
		return r;
	if (rte_eth_dev_get_port_by_name(name, &p->id) < 0) {
		log_err("port %s: no driver of DPDK took it; is the package of its driver there "
			"(librte-net-ena23 for ENA), and may we open it? DPDK's own lines above "
			"say more",
			c->spec);
		return -ENODEV;
	}
	p->opened = true;
	r = rte_eth_macaddr_get(p->id, &mac);
	if (r < 0)
		return r;
	if (rte_is_zero_ether_addr(&mac)) /* a ring has none */
		rte_eth_random_addr(mac.addr_bytes);
	memcpy(p->mac, mac.addr_bytes, PACKET_MAC_LEN);
	return set_mtu(p);
}

uint16_t port_buffer_bytes(const struct port *p)
{
	uint32_t needed = MAX((uint32_t)p->mtu + FRAME_OVERHEAD, (uint32_t)BUFFER_MIN);
	uint64_t slot;
	char text[16];

	/* net_af_packet demands room for a whole slot of its ring, and loses longer frames silently. */
	if (device_argument(p->config.spec, "framesz", text, sizeof(text)) &&
	    number_parse(text, UINT16_MAX, &slot) == 0)
		needed = MAX(needed, (uint32_t)slot);
	needed = (needed + BUFFER_ROUND - 1) / BUFFER_ROUND * BUFFER_ROUND;
	return (uint16_t)MIN(needed, (uint32_t)UINT16_MAX - RTE_PKTMBUF_HEADROOM);
}

unsigned port_queue_buffers(const struct port *p)
{
	unsigned n_rx = p->config.queue_size;

	/* Its fill ring has one size, whatever was asked for: with less nothing would be left to receive into. */
	if (!strncmp(p->config.spec, "net_af_xdp", 10))
		n_rx = MAX(n_rx, (unsigned)AF_XDP_RING_SIZE);
	return n_rx + p->config.queue_size;
}

int port_kernel_interface(const struct port *p)
{
	char interface[IFNAMSIZ];

	if (!sits_on_interface(p->config.spec) ||
	    !device_argument(p->config.spec, "iface", interface, sizeof(interface)))
		return 0;
	return (int)if_nametoindex(interface);
}

static int check_queues(const struct port *p, const struct rte_eth_dev_info *info)
{
	unsigned have = MIN(info->max_rx_queues, info->max_tx_queues);
	char text[16];

	/* Its queues are there whether they are read or not: the kernel spreads frames over all of them. */
	if (device_argument(p->config.spec, "qpairs", text, sizeof(text)) &&
	    p->config.n_queues < have) {
		log_err("port %s: has %u queues, and what comes by those without a worker would be "
			"lost: give it ,qpairs=%u",
			p->config.spec, have, p->config.n_queues);
		return -EINVAL;
	}
	if (p->config.n_queues <= have)
		return 0;
	log_err("port %s: has %u queues, and each of %u workers needs one: give it more "
		"(net_af_packet: "
		",qpairs=%u), or --workers fewer CPUs",
		p->config.spec, have, p->config.n_queues, p->config.n_queues);
	return -ENOSPC;
}

static int configure(struct port *p, const struct rte_eth_dev_info *info, bool interrupts)
{
	const uint64_t rss = port_rss_wanted(info);
	struct rte_eth_conf conf = { 0 };
	int r;

	/* RSS_HASH: without it ENA does not let its redirection table be set. */
	conf.rxmode.offloads = info->rx_offload_capa &
			       (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_RSS_HASH);
	/* All buffers are of one pool, in one piece, and have one owner. */
	conf.txmode.offloads = info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	if (info->max_mtu == 0 || p->mtu <= info->max_mtu)
		conf.rxmode.mtu = p->mtu;
	if (p->config.n_queues > 1 && rss != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = rss;
	}
	conf.intr_conf.rxq = interrupts;
	r = rte_eth_dev_configure(p->id, (uint16_t)p->config.n_queues, (uint16_t)p->config.n_queues,
				  &conf);
	if (r == -EINVAL && !p->config.is_pci) {
		/* Packet sockets say that they take 1,514 bytes, whatever their interface takes. */
		conf.rxmode.mtu = 0;
		r = rte_eth_dev_configure(p->id, (uint16_t)p->config.n_queues,
					  (uint16_t)p->config.n_queues, &conf);
	}
	p->checksum_verified = conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
	return r;
}

static int set_up_queues(struct port *p)
{
	uint16_t n_rx = p->config.queue_size, n_tx = p->config.queue_size;
	int socket = rte_eth_dev_socket_id(p->id);
	int r;

	r = rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &n_rx, &n_tx);
	for (uint16_t q = 0; r == 0 && q < p->config.n_queues; q++) {
		r = rte_eth_rx_queue_setup(p->id, q, n_rx, (unsigned)socket, NULL, p->pool);
		if (r == 0)
			r = rte_eth_tx_queue_setup(p->id, q, n_tx, (unsigned)socket, NULL);
	}
	return r;
}

/* What a port may lack (ENA has neither) costs a line at most, never the start. */
static void set_filters(struct port *p, const struct rte_eth_dev_info *info)
{
	/* Neighbour discovery of IPv6 comes by multicast. */
	int r = rte_eth_allmulticast_enable(p->id);

	if (r < 0 && r != -ENOTSUP)
		log_warning("port %s: cannot receive all multicast: %s", p->config.spec,
			    strerror(-r));
	r = port_rss_spread(p, info);
	if (r < 0)
		log_warning("port %s: RSS stays as the device has it (%s): workers hand over what "
			    "reaches the wrong one",
			    p->config.spec, strerror(-r));
	if (p->config.n_queues < 2 || !p->config.rss_slot)
		return;
	r = port_rss_read(p, info);
	if (r == 0)
		atomic_store_explicit(&p->config.rss_slot->rss, &p->rss, memory_order_release);
	else
		log_info("port %s: does not tell how it spreads packets (%s): full NAT chooses its "
			 "source ports without regard to it",
			 p->config.spec, strerror(-r));
}

/* Most virtual devices take the request for interrupts and have none: not worth an error line of ethdev's. */
static bool has_interrupts(const struct port *p)
{
	const uint32_t type = (uint32_t)rte_log_register("lib.ethdev"); /* as it is known already */
	const int level = rte_log_get_level(type);
	int fd;

	(void)rte_log_set_level(type, RTE_LOG_CRIT);
	fd = rte_eth_dev_rx_intr_ctl_q_get_fd(p->id, 0);
	(void)rte_log_set_level(type, (uint32_t)MAX(level, 0));
	return fd >= 0;
}

static int try_start(struct port *p, const struct rte_eth_dev_info *info, bool interrupts)
{
	int r = configure(p, info, interrupts);

	if (r == 0)
		r = set_up_queues(p);
	if (r == 0)
		r = rte_eth_dev_start(p->id);
	p->interrupts = r == 0 && interrupts && has_interrupts(p);
	return r;
}

int port_start(struct port *p, struct rte_mempool *pool)
{
	struct rte_eth_dev_info info;
	int r;

	p->pool = pool;
	r = rte_eth_dev_info_get(p->id, &info);
	if (r < 0)
		return r;
	r = check_queues(p, &info);
	if (r < 0)
		return r;
	r = try_start(p, &info, p->config.interrupts);
	/* Some drivers refuse to start where a bus without enough vectors cannot give interrupts. */
	if (r < 0 && p->config.interrupts)
		r = try_start(p, &info, false);
	if (r < 0) {
		log_err("port %s: cannot start it: %s (rte_eth_dev_start); DPDK's own lines above "
			"say more",
			p->config.spec, strerror(-r));
		return r;
	}
	set_filters(p, &info);
	atomic_fetch_add(&p->epoch, 1);
	return 0;
}

void port_disable(struct port *p)
{
	atomic_store(&p->enabled, false);
	if (p->config.rss_slot)
		atomic_store(&p->config.rss_slot->rss, NULL);
}

int port_reset(struct port *p)
{
	int r;

	(void)rte_eth_dev_stop(p->id); /* a device that has failed may answer with an error */
	r = rte_eth_dev_reset(p->id);
	if (r < 0) {
		log_err("port %s: cannot reset it: %s", p->config.spec, strerror(-r));
		return r;
	}
	if (p->config.mtu != 0)
		(void)rte_eth_dev_set_mtu(p->id, p->mtu);
	return port_start(p, p->pool);
}

void port_close(struct port *p)
{
	struct rte_eth_dev_info info = { 0 };

	if (!p->opened)
		return;
	(void)rte_eth_dev_info_get(p->id, &info);
	(void)rte_eth_dev_stop(p->id);
	(void)rte_eth_dev_close(p->id);
	/* Else it could not be attached again. */
	if (info.device)
		(void)rte_dev_remove(info.device);
	p->opened = false;
}

int port_counters(const struct port *p, struct port_counter **ret, size_t *ret_n)
{
	int n = rte_eth_xstats_get_names(p->id, NULL, 0);
	_cleanup_free_ struct rte_eth_xstat_name *names = NULL;
	_cleanup_free_ struct rte_eth_xstat *values = NULL;
	_cleanup_free_ struct port_counter *counters = NULL;

	if (n < 0)
		return n;
	names = calloc((size_t)n + 1, sizeof(*names));
	values = calloc((size_t)n + 1, sizeof(*values));
	counters = calloc((size_t)n + 1, sizeof(*counters));
	if (!names || !values || !counters)
		return -ENOMEM;
	if (rte_eth_xstats_get_names(p->id, names, (unsigned)n) != n ||
	    rte_eth_xstats_get(p->id, values, (unsigned)n) != n)
		return -EIO;
	for (int i = 0; i < n; i++) {
		(void)snprintf(counters[i].name, sizeof(counters[i].name), "%s",
			       names[values[i].id].name);
		counters[i].value = values[i].value;
	}
	*ret = take_ptr(counters);
	*ret_n = (size_t)n;
	return 0;
}
