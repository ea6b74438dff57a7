/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "flow-sender.h"

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"

struct flow_sender {
	int raw4, raw6;
	int receivers[2 * FLOW_SENDER_PORTS];
};

static const char routes[] = "ip link set lo up && ip route add local 10.9.0.0/16 dev lo && "
			     "ip route add local 10.1.0.0/16 dev lo && "
			     "ip -6 route add local fd09::/16 dev lo && "
			     "ip -6 route add local fd01::/16 dev lo";

static int open_receiver(int family, uint16_t port)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1, size = 4 << 20;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)), 0);
	if (family == AF_INET) {
		assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)), 0);
		assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
		return fd;
	}
	assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&in6, sizeof(in6)), 0);
	return fd;
}

void flow_sender_new(struct flow_sender **ret)
{
	struct flow_sender *s = calloc(1, sizeof(*s));

	cpu_set_t cpus;

	assert_non_null(s);
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	assert_int_equal(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
	assert_int_equal(system(routes), 0);
	s->raw4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	s->raw6 = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	assert_true(s->raw4 >= 0 && s->raw6 >= 0);
	for (unsigned i = 0; i < FLOW_SENDER_PORTS; i++) {
		uint16_t port = (uint16_t)(FLOW_SENDER_PORT + i);

		s->receivers[2 * i] = open_receiver(AF_INET, port);
		s->receivers[2 * i + 1] = open_receiver(AF_INET6, port);
	}
	*ret = s;
}

void flow_sender_free(struct flow_sender *s)
{
	if (!s)
		return;
	close(s->raw4);
	close(s->raw6);
	for (unsigned i = 0; i < 2 * FLOW_SENDER_PORTS; i++)
		close(s->receivers[i]);
	free(s);
}

/* IPVS drops what it cannot place, which the sender sees as an error or not: whoever asks looks at the arrivals. */
static void send4(struct flow_sender *s, const struct flow_key *key, const void *l4, size_t len)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = key->protocol };
	uint8_t packet[128];

	memcpy(&ip.saddr, key->src, sizeof(ip.saddr));
	memcpy(&ip.daddr, key->dst, sizeof(ip.daddr));
	to.sin_addr.s_addr = ip.daddr;
	memcpy(packet, &ip, sizeof(ip));
	memcpy(packet + sizeof(ip), l4, len);
	(void)sendto(s->raw4, packet, sizeof(ip) + len, 0, (struct sockaddr *)&to, sizeof(to));
}

static uint32_t sum_words(const void *bytes, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(((const uint8_t *)bytes)[i] << 8 |
				  ((const uint8_t *)bytes)[i + 1]);
	return sum;
}

static void send_udp6(struct flow_sender *s, const struct flow_key *key, struct udphdr *udp,
		      const uint32_t *payload)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6 };
	struct ip6_hdr ip = { .ip6_flow = htonl(6U << 28),
			      .ip6_plen = udp->len,
			      .ip6_nxt = IPPROTO_UDP,
			      .ip6_hlim = 64 };
	uint8_t packet[sizeof(ip) + sizeof(*udp) + sizeof(*payload)];
	uint32_t sum;

	memcpy(&ip.ip6_src, key->src, sizeof(ip.ip6_src));
	memcpy(&ip.ip6_dst, key->dst, sizeof(ip.ip6_dst));
	memcpy(&to.sin6_addr, key->dst, sizeof(to.sin6_addr));
	sum = sum_words(key->src, 16) + sum_words(key->dst, 16) + ntohs(udp->len) + IPPROTO_UDP +
	      sum_words(udp, sizeof(*udp)) + sum_words(payload, sizeof(*payload));
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	udp->check = sum == 0xffff ? 0xffff : htons((uint16_t)~sum);
	memcpy(packet, &ip, sizeof(ip));
	memcpy(packet + sizeof(ip), udp, sizeof(*udp));
	memcpy(packet + sizeof(ip) + sizeof(*udp), payload, sizeof(*payload));
	(void)sendto(s->raw6, packet, sizeof(packet), 0, (struct sockaddr *)&to, sizeof(to));
}

static void send_udp(struct flow_sender *s, const struct flow_key *key, uint32_t index)
{
	struct udphdr udp = { .source = key->src_port_be,
			      .dest = key->dst_port_be,
			      .len = htons(sizeof(udp) + sizeof(index)) };
	uint8_t l4[sizeof(udp) + sizeof(index)];

	if (key->family == AF_INET6) {
		send_udp6(s, key, &udp, &index);
		return;
	}
	memcpy(l4, &udp, sizeof(udp));
	memcpy(l4 + sizeof(udp), &index, sizeof(index));
	send4(s, key, l4, sizeof(l4));
}

static const uint32_t sentinel = UINT32_MAX;

/* Of one packet; the sentinel has arrived: true. */
static bool note_arrival(struct msghdr *m, uint32_t index, uint16_t port, struct flow_arrival *rets,
			 size_t n)
{
	struct flow_arrival *a = &rets[index];

	if (index == sentinel)
		return true;
	assert_true(index < n);
	assert_false(a->arrived);
	a->arrived = true;
	a->port_be = htons(port);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
			memcpy(a->addr, &((struct in_pktinfo *)CMSG_DATA(c))->ipi_addr, 4);
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
			memcpy(a->addr, &((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_addr, 16);
	}
	return false;
}

static bool receive(const struct flow_sender *s, unsigned receiver, struct flow_arrival *rets,
		    size_t n)
{
	bool found = false;

	for (;;) {
		uint32_t index;
		_Alignas(struct cmsghdr) uint8_t control[256];
		struct iovec iov = { .iov_base = &index, .iov_len = sizeof(index) };
		struct msghdr m = { .msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = control,
				    .msg_controllen = sizeof(control) };

		if (recvmsg(s->receivers[receiver], &m, 0) != (ssize_t)sizeof(index))
			return found;
		found |= note_arrival(&m, index, (uint16_t)(FLOW_SENDER_PORT + receiver / 2), rets,
				      n);
	}
}

/* One packet that no service is asked about comes last: this thread stays on one CPU, whose backlog is a queue. */
static void receive_all(struct flow_sender *s, struct flow_arrival *rets, size_t n)
{
	const struct flow_key last = { .src = { 10, 1, 0, 1 },
				       .dst = { 10, 1, 255, 254 },
				       .dst_port_be = htons(FLOW_SENDER_PORT),
				       .protocol = IPPROTO_UDP,
				       .family = AF_INET };
	struct pollfd p = { .fd = s->receivers[0], .events = POLLIN };
	bool found = false;

	send_udp(s, &last, sentinel);
	while (!found) {
		assert_int_equal(poll(&p, 1, 5000), 1);
		found = receive(s, 0, rets, n);
	}
	for (unsigned i = 1; i < 2 * FLOW_SENDER_PORTS; i++)
		(void)receive(s, i, rets, n);
}

void flow_sender_udp(struct flow_sender *s, const struct flow_key *keys, size_t n,
		     struct flow_arrival *rets)
{
	assert_true(n <= FLOW_SENDER_BATCH_MAX);
	memset(rets, 0, n * sizeof(*rets));
	for (size_t i = 0; i < n; i++)
		send_udp(s, &keys[i], (uint32_t)i);
	receive_all(s, rets, n);
}

void flow_sender_tcp(struct flow_sender *s, const struct flow_key *key, uint8_t flags)
{
	struct tcphdr tcp = { .source = key->src_port_be,
			      .dest = key->dst_port_be,
			      .doff = sizeof(tcp) / 4,
			      .fin = (flags & PACKET_TCP_FIN) != 0,
			      .syn = (flags & PACKET_TCP_SYN) != 0,
			      .rst = (flags & PACKET_TCP_RST) != 0,
			      .ack = (flags & PACKET_TCP_ACK) != 0 };

	send4(s, key, &tcp, sizeof(tcp));
}
