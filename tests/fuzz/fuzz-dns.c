/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a DNS server answers, and what the configuration asks. The first byte chooses what is asked for; after it comes
 * a message, or a question, a NUL and an answer as the configuration has them.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "health/dns-message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_answer(const char *send, const char *expect, const uint8_t *data, size_t size)
{
	uint8_t query[DNS_QUERY_MAX];
	struct dns_reply answer;
	const char *problem;
	struct dns_check c;
	size_t n;

	assert(dns_check_parse(send, expect, &c, &problem) == 0);
	if (dns_reply_read(&c, 0x6964, data, size, &answer) == DNS_ANSWERED)
		assert(answer.code <= 15 && (c.addr.family != AF_UNSPEC || !answer.has_address));
	/* A question is no answer to itself. */
	n = dns_query_make(&c, 0x6964, query);
	assert(dns_reply_read(&c, 0x6964, query, n, &answer) == DNS_NOT_OURS);
}

/* What is accepted makes a query that says the same. */
static void parse_check(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 2);
	uint8_t query[DNS_QUERY_MAX];
	struct dns_reply answer;
	const char *problem = NULL;
	struct dns_check c;
	size_t n;

	if (!text)
		return;
	memcpy(text, data, size);
	text[size] = text[size + 1] = '\0';
	if (dns_check_parse(text, text + strlen(text) + 1, &c, &problem) == 0) {
		n = dns_query_make(&c, 1, query);
		assert(n > 12 && n <= DNS_QUERY_MAX);
		query[2] |= 0x80;
		assert(dns_reply_read(&c, 1, query, n, &answer) == DNS_ANSWERED);
		assert(answer.code == 0 && !answer.has_address);
	} else {
		assert(problem);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	switch (data[0] % 4) {
	case 0:
		read_answer("a.b A", "10.0.0.1", data + 1, size - 1);
		break;
	case 1:
		read_answer("a.b AAAA", "2001:db8::1", data + 1, size - 1);
		break;
	case 2:
		read_answer(NULL, "NXDOMAIN", data + 1, size - 1);
		break;
	default:
		parse_check(data + 1, size - 1);
		break;
	}
	return 0;
}
