/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/ipv4-fragment.h"

#include <errno.h>
#include <rte_ip.h>
#include <rte_ip_frag.h>
#include <rte_mbuf.h>
#include <rte_memcpy.h>

/* In front of a fragment, with the checksum that rte_ip_frag leaves to the port. */
static int finish(struct rte_mbuf *fragment, const struct rte_mbuf *m, uint16_t l3_off)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(fragment, struct rte_ipv4_hdr *);
	char *ethernet;

	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	fragment->ol_flags = 0;
	ethernet = rte_pktmbuf_prepend(fragment, l3_off);
	if (!ethernet)
		return -ENOBUFS;
	rte_memcpy(ethernet, rte_pktmbuf_mtod_offset(m, void *, -(int)l3_off), l3_off);
	return 0;
}

int ipv4_fragment(struct rte_mbuf *m, uint16_t l3_off, uint16_t mtu, struct rte_mempool *pool,
		  struct rte_mbuf **ret, uint16_t max)
{
	const uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, l3_off);
	const uint16_t header_bytes = (uint16_t)((*ip & 0xf) * 4);
	int n, r = 0;

	if (mtu < header_bytes + 8 || !rte_pktmbuf_adj(m, l3_off))
		return -EINVAL;
	/* It demands a multiple of 8 bytes behind each header. */
	mtu = (uint16_t)(header_bytes + ((mtu - header_bytes) & ~7));
	n = rte_ipv4_fragment_copy_nonseg_packet(m, ret, max, mtu, pool);
	for (int i = 0; i < n; i++)
		if (r == 0)
			r = finish(ret[i], m, l3_off);
	if (n > 0 && r < 0) {
		rte_pktmbuf_free_bulk(ret, (unsigned)n);
		n = r;
	}
	(void)rte_pktmbuf_prepend(m, l3_off); /* as it was */
	return n;
}
