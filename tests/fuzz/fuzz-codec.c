/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The netlink decoder on one datagram of messages. What it accepts, the encoder must say in a way that is read back
 * as the same.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/ip_vs.h>
#include <netlink/msg.h>

#include "base/cleanup.h"
#include "ipvs/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct codec_header header = { .family = 0x1d, .seq = 1 };

static void check_service(const struct nlmsghdr *nlh)
{
	_Alignas(8) uint8_t buf[1024];
	struct ipvs_service s, back;
	uint8_t cmd;

	if (codec_parse_service(nlh, &s) < 0)
		return;
	assert(codec_command(nlh, &cmd) == 0);
	assert(!(s.flags & IPVS_SVC_HASHED) && !s.dests && s.n_dests == 0);
	if (cmd != IPVS_CMD_NEW_SERVICE && cmd != IPVS_CMD_SET_SERVICE)
		return;
	assert(codec_service_reply(buf, sizeof(buf), &header, &s) > 0);
	assert(codec_parse_service((const struct nlmsghdr *)buf, &back) == 0);
	assert(ipvs_service_key_cmp(&s.key, &back.key) == 0);
	assert(ipvs_service_conf_eq(&s, &back));
	assert(memcmp(&s.stats, &back.stats, sizeof(s.stats)) == 0);
}

static void check_dest(const struct nlmsghdr *nlh, uint16_t family)
{
	_Alignas(8) uint8_t buf[1024];
	struct ipvs_dest d, back;
	uint8_t cmd;

	if (codec_parse_dest(nlh, family, &d) < 0)
		return;
	assert(codec_command(nlh, &cmd) == 0);
	if (cmd != IPVS_CMD_NEW_DEST && cmd != IPVS_CMD_SET_DEST)
		return;
	assert(codec_dest_reply(buf, sizeof(buf), &header, &d) > 0);
	assert(codec_parse_dest((const struct nlmsghdr *)buf, family, &back) == 0);
	assert(ipvs_dest_key_cmp(&d, &back) == 0);
	assert(ipvs_dest_conf_eq(&d, &back));
	assert(memcmp(&d.stats, &back.stats, sizeof(d.stats)) == 0);
	assert(d.active_conns == back.active_conns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Its own allocation: aligned as a receive buffer is, and guarded at its end. */
	_cleanup_free_ struct nlmsghdr *copy = malloc(size ? size : 1);
	struct nlmsghdr *nlh = copy;
	int left = (int)size;

	assert(copy);
	if (size)
		memcpy(copy, data, size);
	for (; nlmsg_ok(nlh, left); nlh = nlmsg_next(nlh, &left)) {
		struct ipvs_timeouts timeouts;
		struct ipvs_info info;

		check_service(nlh);
		check_dest(nlh, AF_INET);
		check_dest(nlh, AF_INET6);
		(void)codec_parse_config(nlh, &timeouts);
		(void)codec_parse_info(nlh, &info);
	}
	return 0;
}
