/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/probe-rig.h"

#define PATIENCE_USEC (10 * USEC_PER_SEC)

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, text, strlen(text));
	(void)close(fd);
}

static bool lo_up(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &lo) == 0;

	if (fd >= 0)
		(void)close(fd);
	return up;
}

static bool may_ping(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);

	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}

/* A network of its own, whose sysctls are this process's, with root's rights or as root of a user namespace. */
static int setup(void **state)
{
	char map[32];
	gid_t gid = getegid();

	(void)state;
	(void)snprintf(map, sizeof(map), "%u %u 1", (unsigned)gid, (unsigned)gid);
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) {
		write_file("/proc/self/setgroups", "deny");
		write_file("/proc/self/gid_map", map);
	}
	(void)lo_up();
	(void)snprintf(map, sizeof(map), "%u %u", (unsigned)gid, (unsigned)gid);
	write_file("/proc/sys/net/ipv4/ping_group_range", map);
	return 0;
}

/* A route that is not there is known at once; where no socket is allowed, nothing is said about the target. */
static void test_failures(void **state)
{
	struct probe_rig rig;

	(void)state;
	if (!may_ping())
		skip();
	probe_rig_init(&rig);
	probe_rig_spec(&rig, PROTOCOL_CHECK_ICMP, "192.0.2.1", 0);
	probe_rig_run(&rig, PATIENCE_USEC, NULL, NULL);
	assert_int_equal(rig.outcome, PROBE_UNREACHABLE);
	assert_int_equal(rig.detail, ENETUNREACH);
	/* To an address of this host through a target that there is no way to. */
	probe_rig_spec(&rig, PROTOCOL_CHECK_UDP, "127.0.0.1", 9);
	probe_rig_text(&rig, PROTOCOL_TEXT_THROUGH, "192.0.2.1", 9);
	probe_rig_run(&rig, PATIENCE_USEC, NULL, NULL);
	assert_int_equal(rig.outcome, PROBE_UNREACHABLE);
	assert_int_equal(rig.detail, ENETUNREACH);
	write_file("/proc/sys/net/ipv4/ping_group_range", "1 0");
	if (!may_ping()) { /* what a mapped user may write is less */
		probe_rig_spec(&rig, PROTOCOL_CHECK_ICMP, "127.0.0.1", 0);
		probe_rig_run(&rig, PATIENCE_USEC, NULL, NULL);
		assert_int_equal(rig.outcome, PROBE_INTERNAL_ERROR);
		assert_int_equal(rig.detail, EACCES);
	}
	probe_rig_deinit(&rig);
}

static void test_loopback(void **state)
{
	static const char *const addresses[] = { "127.0.0.1", "::1", "127.9.8.7" };
	struct probe_rig rig;

	(void)state;
	if (!may_ping())
		skip();
	probe_rig_init(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		probe_rig_spec(&rig, PROTOCOL_CHECK_ICMP, addresses[i], 0);
		probe_rig_run(&rig, PATIENCE_USEC, NULL, NULL);
		assert_int_equal(rig.outcome, PROBE_OK);
		assert_int_equal(rig.detail, 0);
	}
	probe_rig_deinit(&rig);
}

/* A cancelled attempt leaves nothing; the next one is not answered by the first one's reply. */
static void test_cancel(void **state)
{
	struct probe_rig rig;

	(void)state;
	if (!may_ping())
		skip();
	probe_rig_init(&rig);
	probe_rig_spec(&rig, PROTOCOL_CHECK_ICMP, "127.0.0.1", 0);
	probe_rig_run(&rig, 0, NULL, NULL);
	assert_int_equal(rig.outcome, PROBE_TIMEOUT);
	probe_rig_run(&rig, PATIENCE_USEC, NULL, NULL);
	assert_int_equal(rig.outcome, PROBE_OK);
	probe_rig_deinit(&rig);
}

/* The network between the probe and its target, where the kernel does not answer echo requests itself. */
struct network {
	int fd;		    /* raw: sees each request, and says what it is told to */
	uint8_t type, code; /* of the first answer to each request, an error */
	bool answers;	    /* with an echo reply afterwards */
};

static uint16_t checksum(const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void say(const struct network *n, uint8_t type, uint8_t code, const void *bytes, size_t size)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct icmphdr head = { .type = type, .code = code };
	uint8_t message[sizeof(head) + 256] = { 0 };

	assert_true(size <= sizeof(message) - sizeof(head));
	memcpy(message, &head, sizeof(head));
	memcpy(message + sizeof(head), bytes, size);
	head.checksum = checksum(message, sizeof(head) + size);
	memcpy(message, &head, sizeof(head));
	assert_return_code(sendto(n->fd, message, sizeof(head) + size, 0, (struct sockaddr *)&to,
				  sizeof(to)),
			   errno);
}

static void carry(void *userdata)
{
	struct network *n = userdata;
	uint8_t packet[256];
	ssize_t size;

	while ((size = recv(n->fd, packet, sizeof(packet), MSG_DONTWAIT)) > 0) {
		size_t head = (size_t)(packet[0] & 0x0f) * 4;
		struct icmphdr *request = (struct icmphdr *)(packet + head);

		assert_true((size_t)size >= head + sizeof(*request));
		if (request->type != ICMP_ECHO)
			continue;
		say(n, n->type, n->code, packet, (size_t)size);
		if (!n->answers)
			continue;
		request->type = ICMP_ECHOREPLY;
		request->checksum = 0;
		request->checksum = checksum(request, (size_t)size - head);
		assert_return_code(sendto(n->fd, request, (size_t)size - head, 0,
					  (struct sockaddr *)&(struct sockaddr_in){
						  .sin_family = AF_INET,
						  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
					  sizeof(struct sockaddr_in)),
				   errno);
	}
}

/* A router's word that another way is shorter comes as an error, and is none; "I do not understand this" is one. */
static void test_words_of_routers(void **state)
{
	static const struct {
		uint8_t type, code;
		bool answers;
		enum probe_outcome outcome;
		int32_t detail;
	} cases[] = {
		{ ICMP_REDIRECT, ICMP_REDIR_HOST, true, PROBE_OK, 0 },
		{ ICMP_REDIRECT, ICMP_REDIR_HOST, false, PROBE_TIMEOUT, 0 },
		{ ICMP_SOURCE_QUENCH, 0, true, PROBE_OK, 0 },
		{ ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, false, PROBE_UNREACHABLE, EHOSTUNREACH },
		{ ICMP_PARAMETERPROB, 0, false, PROBE_UNREACHABLE, EPROTO },
	};
	struct network n = { .fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP) };
	struct probe_rig rig;

	(void)state;
	if (!may_ping() || n.fd < 0)
		skip();
	write_file("/proc/sys/net/ipv4/icmp_echo_ignore_all", "1");
	probe_rig_init(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		n.type = cases[i].type;
		n.code = cases[i].code;
		n.answers = cases[i].answers;
		probe_rig_spec(&rig, PROTOCOL_CHECK_ICMP, "127.0.0.1", 0);
		probe_rig_run(&rig,
			      cases[i].outcome == PROBE_TIMEOUT ? 100 * USEC_PER_MSEC
								: PATIENCE_USEC,
			      carry, &n);
		assert_int_equal(rig.outcome, cases[i].outcome);
		assert_int_equal(rig.detail, cases[i].detail);
	}
	probe_rig_deinit(&rig);
	(void)close(n.fd);
	write_file("/proc/sys/net/ipv4/icmp_echo_ignore_all", "0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_words_of_routers),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
