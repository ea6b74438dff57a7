/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A name server's message on its way into a set of targets, and a record of the resolver process, which has perhaps
 * been taken over by such a message. The first byte chooses the type that was asked for.
 */

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/discovery.h"
#include "daemon/dns-answer.h"
#include "daemon/libcares.h"
#include "daemon/resolver-protocol.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return libcares_load();
}

static void check_set(const struct discovery_answer *a, uint16_t family)
{
	const struct discovery_settings s = {
		.min_ttl_usec = USEC_PER_SEC,
		.max_ttl_usec = 60 * USEC_PER_SEC,
		.absent_answers = 1,
		.max_targets = 16,
	};
	struct discovery d = { .family = family };
	bool changed;

	for (unsigned i = 0; i < 2; i++) {
		if (discovery_take(&d, &s, a, 1, 1, 0, &changed) < 0)
			break;
		assert(i == 0 || !changed);
		assert(d.n <= s.max_targets && d.due_usec >= USEC_PER_SEC);
		assert(d.n == 0 || d.status == DISCOVERY_OK);
		for (size_t k = 0; k < d.n; k++)
			assert(addr_is_host(&d.items[k].addr) && d.items[k].addr.family == family);
	}
	discovery_deinit(&d);
}

static void check_message(const uint8_t *data, size_t size, uint16_t type)
{
	_cleanup_(dns_answer_deinit) struct dns_answer a = DNS_ANSWER_INIT;
	_cleanup_free_ struct discovery_item *items = NULL;
	struct discovery_answer answer = { .status = DISCOVERY_OK };

	if (dns_answer_parse(data, size, type, &a) < 0)
		return;
	assert(a.n_addresses <= DNS_ADDRESSES_MAX && a.n_services <= DNS_SERVICES_MAX);
	assert(type == DNS_TYPE_SRV ? !a.n_addresses : !a.n_services);
	for (size_t i = 0; i < a.n_services; i++)
		assert(a.services[i].target[0] && a.services[i].priority == a.services[0].priority);
	items = calloc(a.n_addresses + 1, sizeof(*items));
	if (!items)
		return;
	for (size_t i = 0; i < a.n_addresses; i++)
		items[i].addr = a.addresses[i];
	answer.items = items;
	answer.n = a.n_addresses;
	answer.ttl_sec = a.ttl_sec;
	check_set(&answer, type == DNS_TYPE_A ? AF_INET : AF_INET6);
}

static void check_record(const uint8_t *data, size_t size)
{
	struct discovery_answer answer;
	struct resolver_question q;
	uint32_t id;

	if (resolver_question_parse(data, size, &q) == 0)
		assert(strlen(q.name) > 0 && strlen(q.name) < DISCOVERY_NAME_MAX);
	if (resolver_answer_parse(data, size, &id, &answer) < 0)
		return;
	check_set(&answer, AF_INET);
	check_set(&answer, AF_INET6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = { DNS_TYPE_A, DNS_TYPE_AAAA, DNS_TYPE_SRV };
	_cleanup_free_ uint8_t *copy =
		malloc(size ? size : 1); /* aligned as the daemon's buffer is */

	if (!copy || !size)
		return 0;
	memcpy(copy, data + 1, size - 1);
	if (data[0] < ARRAY_SIZE(types))
		check_message(copy, size - 1, types[data[0]]);
	else
		check_record(copy, size - 1);
	return 0;
}
