/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/ipv6-fragment.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip6.h>
#include <string.h>
#include <rte_mbuf.h>

#include "base/cleanup.h"

static int make_one(const struct rte_mbuf *m, uint16_t l3_off, const struct ip6_frag *fragment,
		    uint16_t offset, uint16_t len, struct rte_mbuf *to)
{
	const uint16_t headers = (uint16_t)(l3_off + sizeof(struct ip6_hdr));
	char *frame = rte_pktmbuf_append(to, (uint16_t)(headers + sizeof(*fragment) + len));
	struct ip6_hdr ip;

	if (!frame)
		return -ENOBUFS;
	memcpy(frame, rte_pktmbuf_mtod(m, void *), headers);
	memcpy(&ip, frame + l3_off, sizeof(ip));
	ip.ip6_nxt = IPPROTO_FRAGMENT;
	ip.ip6_plen = htons((uint16_t)(sizeof(*fragment) + len));
	memcpy(frame + l3_off, &ip, sizeof(ip));
	memcpy(frame + headers, fragment, sizeof(*fragment));
	memcpy(frame + headers + sizeof(*fragment),
	       rte_pktmbuf_mtod_offset(m, const char *, headers + offset), len);
	return 0;
}

int ipv6_fragment(struct rte_mbuf *m, uint16_t l3_off, uint16_t mtu, uint32_t id,
		  struct rte_mempool *pool, struct rte_mbuf **ret, uint16_t max)
{
	const uint32_t headers = l3_off + (uint32_t)sizeof(struct ip6_hdr);
	const uint32_t overhead = sizeof(struct ip6_hdr) + sizeof(struct ip6_frag);
	uint32_t total, piece, n;
	struct ip6_hdr ip;
	int r = 0;

	if (m->data_len <= headers || mtu < overhead + 8)
		return -EINVAL;
	memcpy(&ip, rte_pktmbuf_mtod_offset(m, const char *, l3_off), sizeof(ip));
	total = MIN(ntohs(ip.ip6_plen), m->data_len - headers);
	piece = (mtu - overhead) & ~7U;
	n = (total + piece - 1) / piece;
	if (n > max)
		return -ENOBUFS;
	if (rte_pktmbuf_alloc_bulk(pool, ret, n) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		const uint32_t offset = i * piece;
		const struct ip6_frag fragment = {
			.ip6f_nxt = ip.ip6_nxt,
			.ip6f_offlg = htons((uint16_t)offset) | (i + 1 < n ? IP6F_MORE_FRAG : 0),
			.ip6f_ident = htonl(id),
		};

		r = make_one(m, l3_off, &fragment, (uint16_t)offset,
			     (uint16_t)MIN(piece, total - offset), ret[i]);
	}
	if (r < 0)
		rte_pktmbuf_free_bulk(ret, n);
	return r < 0 ? r : (int)n;
}
