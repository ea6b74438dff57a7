/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/interface-link.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "daemon/interface.h"
#include "daemon/netlink-exchange.h"

enum {
	SETTING_MAX = 32,
};

typedef struct nl_msg *nl_message;

DEFINE_CLEANUP(struct nl_sock *, nl_socket_free)
DEFINE_CLEANUP(nl_message, nlmsg_free)

/* In this order: IPv6 is switched on before its other settings matter. */
static const char *const settings[] = {
	"ipv6/disable_ipv6",	  "ipv4/accept_local",	   "ipv4/accept_redirects",
	"ipv4/arp_accept",	  "ipv4/arp_announce",	   "ipv4/arp_filter",
	"ipv4/arp_ignore",	  "ipv4/forwarding",	   "ipv4/log_martians",
	"ipv4/proxy_arp",	  "ipv4/route_localnet",   "ipv4/rp_filter",
	"ipv4/send_redirects",	  "ipv4/secure_redirects", "ipv4/src_valid_mark",
	"ipv6/accept_dad",	  "ipv6/accept_ra",	   "ipv6/accept_redirects",
	"ipv6/addr_gen_mode",	  "ipv6/autoconf",	   "ipv6/forwarding",
	"ipv6/keep_addr_on_down", "ipv6/proxy_ndp",	   "ipv6/use_tempaddr",
};

static int open_setting(const char *interface, const char *setting, int flags)
{
	char path[PATH_MAX];
	const char *slash = strchr(setting, '/');
	int n = snprintf(path, sizeof(path), "/proc/sys/net/%.*s/conf/%s%s",
			 slash ? (int)(slash - setting) : 0, setting, interface,
			 slash ? slash : "");

	if (!slash || n < 0 || (size_t)n >= sizeof(path))
		return -EINVAL;
	n = open(path, flags | O_CLOEXEC);
	return n < 0 ? -errno : n;
}

static int read_setting(const char *interface, const char *setting, char value[static SETTING_MAX])
{
	_cleanup_close_ int fd = open_setting(interface, setting, O_RDONLY);
	size_t len;
	int r;

	if (fd < 0)
		return fd;
	r = fd_read_all(fd, value, SETTING_MAX - 1, &len);
	if (r < 0)
		return r;
	value[len] = '\0';
	value[strcspn(value, "\n")] = '\0';
	return 0;
}

int interface_settings_read(const char *name, json_t **ret)
{
	json_t *all = json_object();

	for (size_t i = 0; all && i < ARRAY_SIZE(settings); i++) {
		char value[SETTING_MAX];

		if (read_setting(name, settings[i], value) == 0)
			(void)json_object_set_new(all, settings[i], json_string(value));
	}
	if (!all)
		return -ENOMEM;
	*ret = all;
	return 0;
}

void interface_settings_write(const char *name, const json_t *saved)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		const char *wanted = json_string_value(json_object_get(saved, settings[i]));
		char value[SETTING_MAX];
		_cleanup_close_ int fd = -1;

		if (!wanted || read_setting(name, settings[i], value) < 0 || !strcmp(value, wanted))
			continue;
		fd = open_setting(name, settings[i], O_WRONLY);
		if (fd >= 0)
			(void)fd_write_all(fd, wanted, strlen(wanted));
	}
}

static int request(const char *name, unsigned long what, struct ifreq *r)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	(void)snprintf(r->ifr_name, sizeof(r->ifr_name), "%s", name);
	return ioctl(fd, what, r) < 0 ? -errno : 0;
}

int interface_link_get(const char *name, unsigned *ret_mtu, bool *ret_up)
{
	struct ifreq mtu = { 0 }, flags = { 0 };
	int r = request(name, SIOCGIFMTU, &mtu);

	if (r == 0)
		r = request(name, SIOCGIFFLAGS, &flags);
	if (r < 0)
		return r;
	*ret_mtu = (unsigned)mtu.ifr_mtu;
	*ret_up = flags.ifr_flags & IFF_UP;
	return 0;
}

int interface_set_up(const char *name, bool up)
{
	struct ifreq flags = { 0 };
	int r = request(name, SIOCGIFFLAGS, &flags);

	if (r < 0 || !!(flags.ifr_flags & IFF_UP) == up)
		return r;
	flags.ifr_flags = (short)(up ? flags.ifr_flags | IFF_UP : flags.ifr_flags & ~IFF_UP);
	return request(name, SIOCSIFFLAGS, &flags);
}

int interface_link_set(const char *name, unsigned mtu, bool up)
{
	struct ifreq wanted = { .ifr_mtu = (int)mtu };
	unsigned now;
	bool is_up;
	int r = interface_link_get(name, &now, &is_up);

	if (r == 0 && now != mtu)
		r = request(name, SIOCSIFMTU, &wanted);
	return r < 0 ? r : interface_set_up(name, up);
}

unsigned interface_queues(const char *name)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq r = { .ifr_data = (void *)&channels };

	if (request(name, SIOCETHTOOL, &r) < 0)
		return 1;
	return MAX(channels.rx_count + channels.combined_count, 1U);
}

static void detach_xdp(struct nl_sock *s, unsigned index, uint32_t mode)
{
	_cleanup_(nlmsg_free_p) nl_message m = nlmsg_alloc_simple(RTM_SETLINK, NLM_F_REQUEST);
	const struct ifinfomsg link = { .ifi_family = AF_UNSPEC, .ifi_index = (int)index };
	struct nlattr *xdp;

	if (!m || nlmsg_append(m, (void *)&link, sizeof(link), NLMSG_ALIGNTO) < 0)
		return;
	xdp = nla_nest_start(m, IFLA_XDP | NLA_F_NESTED);
	if (!xdp || nla_put_s32(m, IFLA_XDP_FD, -1) < 0 || nla_put_u32(m, IFLA_XDP_FLAGS, mode) < 0)
		return;
	(void)nla_nest_end(m, xdp);
	/* Nothing is attached in most cases. */
	(void)netlink_exchange_request(s, m);
}

void interface_detach_xdp(const char *name)
{
	_cleanup_(nl_socket_free_p) struct nl_sock *s = NULL;
	unsigned index = if_nametoindex(name);

	if (!index || netlink_exchange_open(NETLINK_ROUTE, &s) < 0)
		return;
	detach_xdp(s, index, XDP_FLAGS_DRV_MODE);
	detach_xdp(s, index, XDP_FLAGS_SKB_MODE);
}

int interface_rename(const char *from, const char *to)
{
	struct ifreq wanted = { 0 };

	(void)snprintf(wanted.ifr_newname, sizeof(wanted.ifr_newname), "%s", to);
	return request(from, SIOCSIFNAME, &wanted);
}
