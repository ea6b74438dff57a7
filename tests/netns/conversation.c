/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/netns/conversation.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/lab/httpget.h"

enum {
	PATIENCE_MSEC = 20000, /* a segment that is lost twice comes after 3 s */
	DATAGRAM_MAX = 65536,
	CHUNK_BYTES = 65536,
};

static void wait_for(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n = poll(&p, 1, PATIENCE_MSEC);

	if (n != 1)
		fail_msg("nothing came within %d ms", PATIENCE_MSEC);
}

static int make_socket(const struct lab_host *h, int type, const char *address)
{
	const int domain = address && strchr(address, ':') ? AF_INET6 : AF_INET;
	const int on = 1;
	int fd = lab_socket(h, domain, type | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	return fd;
}

int conversation_server(const struct lab_host *h, int type, const char *address, uint16_t port)
{
	struct sockaddr_storage sa;
	socklen_t n = lab_sockaddr(address, port, &sa);
	int fd = make_socket(h, type, address);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 16), 0);
	return fd;
}

int conversation_client(const struct lab_host *h, int type, const char *address, uint16_t port)
{
	struct sockaddr_storage sa;
	socklen_t n = lab_sockaddr(address, port, &sa);
	int fd = make_socket(h, type, address);

	if (connect(fd, (struct sockaddr *)&sa, n) < 0)
		assert_int_equal(errno, EINPROGRESS);
	return fd;
}

int conversation_accept(int server)
{
	int fd;

	wait_for(server, POLLIN);
	fd = accept4(server, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fd >= 0);
	return fd;
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 31 + (i >> 8));
}

int conversation_udp_try(int client, int server, size_t bytes)
{
	static uint8_t out[DATAGRAM_MAX], in[DATAGRAM_MAX];
	struct pollfd fds[] = { { .fd = server, .events = POLLIN }, { .fd = client } };
	struct sockaddr_storage from;
	socklen_t n_from = sizeof(from);

	for (size_t i = 0; i < bytes; i++)
		out[i] = pattern(i);
	if (send(client, out, bytes, 0) < 0)
		return -errno;
	if (poll(fds, 2, PATIENCE_MSEC) == 0)
		return -ETIMEDOUT;
	if (!(fds[0].revents & POLLIN))
		return -EIO; /* an error is queued at the client */
	assert_int_equal(recvfrom(server, in, sizeof(in), 0, (struct sockaddr *)&from, &n_from),
			 bytes);
	assert_memory_equal(in, out, bytes);
	assert_int_equal(sendto(server, in, bytes, 0, (struct sockaddr *)&from, n_from), bytes);
	wait_for(client, POLLIN);
	memset(in, 0, bytes);
	assert_int_equal(recv(client, in, sizeof(in), 0), bytes);
	assert_memory_equal(in, out, bytes);
	return 0;
}

void conversation_udp_echo(int client, int server, size_t bytes)
{
	int r = conversation_udp_try(client, server, bytes);

	if (r < 0)
		fail_msg("%zu bytes by UDP: %s", bytes, strerror(-r));
}

struct stream {
	int fd;
	size_t sent, received;
};

static void send_some(struct stream *s, size_t bytes)
{
	uint8_t chunk[CHUNK_BYTES];
	size_t n = MIN(sizeof(chunk), bytes - s->sent);
	ssize_t sent;

	for (size_t i = 0; i < n; i++)
		chunk[i] = pattern(s->sent + i);
	sent = send(s->fd, chunk, n, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN)
		fail_msg("send after %zu bytes: %s", s->sent, strerror(errno));
	s->sent += sent > 0 ? (size_t)sent : 0;
}

static void receive_some(struct stream *s)
{
	uint8_t chunk[CHUNK_BYTES];
	ssize_t n = recv(s->fd, chunk, sizeof(chunk), 0);

	if (n <= 0)
		fail_msg("recv after %zu bytes: %s", s->received, n == 0 ? "end" : strerror(errno));
	for (size_t i = 0; i < (size_t)n; i++)
		if (chunk[i] != pattern(s->received + i))
			fail_msg("byte %zu is wrong", s->received + i);
	s->received += (size_t)n;
}

void conversation_tcp_exchange(int client, int server, size_t bytes)
{
	struct stream streams[] = { { .fd = client }, { .fd = server } };

	while (streams[0].received < bytes || streams[1].received < bytes) {
		struct pollfd fds[2];

		for (size_t i = 0; i < 2; i++)
			fds[i] = (struct pollfd){
				.fd = streams[i].fd,
				.events = (short)(POLLIN | (streams[i].sent < bytes ? POLLOUT : 0))
			};
		if (poll(fds, 2, PATIENCE_MSEC) <= 0)
			fail_msg("stalled: sent %zu and %zu, received %zu and %zu of %zu",
				 streams[0].sent, streams[1].sent, streams[0].received,
				 streams[1].received, bytes);
		for (size_t i = 0; i < 2; i++) {
			if (fds[i].revents & POLLOUT)
				send_some(&streams[i], bytes);
			if (fds[i].revents & (POLLIN | POLLERR | POLLHUP))
				receive_some(&streams[i]);
		}
	}
}

void conversation_expect_icmp(int client, int family, unsigned type, unsigned code,
			      uint32_t *ret_info)
{
	char control[512], data[2048];
	struct iovec iov = { .iov_base = data, .iov_len = sizeof(data) };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	const int level = family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
	const int kind = family == AF_INET6 ? IPV6_RECVERR : IP_RECVERR;

	wait_for(client, POLLERR);
	assert_true(recvmsg(client, &message, MSG_ERRQUEUE) >= 0);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		struct sock_extended_err error;

		if (c->cmsg_level != level || c->cmsg_type != kind)
			continue;
		memcpy(&error, CMSG_DATA(c), sizeof(error));
		assert_int_equal(error.ee_origin,
				 family == AF_INET6 ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP);
		assert_int_equal(error.ee_type, type);
		assert_int_equal(error.ee_code, code);
		*ret_info = error.ee_info;
		return;
	}
	fail_msg("no error is queued");
}
