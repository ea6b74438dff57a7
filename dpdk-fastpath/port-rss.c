/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/port-rss.h"

#include <errno.h>
#include <rte_ethdev.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/port.h"

enum {
	RETA_GROUPS_MAX = RSS_RETA_MAX / RTE_ETH_RETA_GROUP_SIZE,
	KEY_BYTES_MAX = 128,
};

uint64_t port_rss_wanted(const struct rte_eth_dev_info *info)
{
	return info->flow_type_rss_offloads &
	       (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP);
}

int port_rss_spread(const struct port *p, const struct rte_eth_dev_info *info)
{
	struct rte_eth_rss_reta_entry64 table[RETA_GROUPS_MAX] = { 0 };

	if (p->config.n_queues < 2 || info->reta_size == 0 || info->reta_size > RSS_RETA_MAX)
		return 0;
	for (unsigned i = 0; i < info->reta_size; i++) {
		struct rte_eth_rss_reta_entry64 *group = &table[i / RTE_ETH_RETA_GROUP_SIZE];

		group->mask |= UINT64_C(1) << (i % RTE_ETH_RETA_GROUP_SIZE);
		group->reta[i % RTE_ETH_RETA_GROUP_SIZE] = (uint16_t)(i % p->config.n_queues);
	}
	return rte_eth_dev_rss_reta_update(p->id, table, info->reta_size);
}

static uint32_t fields_of(uint64_t hashes)
{
	static const struct {
		uint64_t hash;
		enum rss_field field;
	} fields[] = {
		{ RTE_ETH_RSS_NONFRAG_IPV4_TCP, RSS_TCP4 },
		{ RTE_ETH_RSS_NONFRAG_IPV4_UDP, RSS_UDP4 },
		{ RTE_ETH_RSS_NONFRAG_IPV4_SCTP, RSS_SCTP4 },
		{ RTE_ETH_RSS_NONFRAG_IPV6_TCP, RSS_TCP6 },
		{ RTE_ETH_RSS_NONFRAG_IPV6_UDP, RSS_UDP6 },
		{ RTE_ETH_RSS_NONFRAG_IPV6_SCTP, RSS_SCTP6 },
	};
	uint32_t found = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (hashes & fields[i].hash)
			found |= fields[i].field;
	return found;
}

static int read_table(const struct port *p, uint16_t n, uint16_t ret[static RSS_RETA_MAX])
{
	struct rte_eth_rss_reta_entry64 table[RETA_GROUPS_MAX] = { 0 };
	int r;

	for (unsigned i = 0; i < n; i++)
		table[i / RTE_ETH_RETA_GROUP_SIZE].mask |= UINT64_C(1)
							   << (i % RTE_ETH_RETA_GROUP_SIZE);
	r = rte_eth_dev_rss_reta_query(p->id, table, n);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < n; i++) {
		ret[i] = table[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
		if (ret[i] >= p->config.n_queues)
			return -ENOTSUP;
	}
	return 0;
}

int port_rss_read(struct port *p, const struct rte_eth_dev_info *info)
{
	uint8_t key[KEY_BYTES_MAX] = { 0 };
	const uint8_t key_bytes = info->hash_key_size ? info->hash_key_size : RSS_KEY_BYTES;
	struct rte_eth_rss_conf conf = { .rss_key = key, .rss_key_len = key_bytes };
	uint16_t reta[RSS_RETA_MAX];
	uint32_t fields;
	int r;

	if (info->reta_size == 0 || info->reta_size > RSS_RETA_MAX || key_bytes < RSS_KEY_BYTES ||
	    key_bytes > KEY_BYTES_MAX)
		return -ENOTSUP;
	r = rte_eth_dev_rss_hash_conf_get(p->id, &conf);
	fields = fields_of(conf.rss_hf);
	if (r == 0)
		r = fields ? read_table(p, info->reta_size, reta) : -ENOTSUP;
	return r < 0 ? r : rss_init(&p->rss, key, reta, info->reta_size, fields);
}
