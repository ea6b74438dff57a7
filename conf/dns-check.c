/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conf/dns-check.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "conf/value.h"

struct code {
	const char *name;
	uint16_t value;
};

/* https://www.iana.org/assignments/dns-parameters */
static const struct code types[] = {
	{ "A", DNS_TYPE_A }, { "NS", 2 },    { "CNAME", 5 },   { "SOA", DNS_TYPE_SOA },
	{ "PTR", 12 },	     { "MX", 15 },   { "TXT", 16 },    { "AAAA", DNS_TYPE_AAAA },
	{ "SRV", 33 },	     { "DS", 43 },   { "DNSKEY", 48 }, { "SVCB", 64 },
	{ "HTTPS", 65 },     { "ANY", 255 }, { "CAA", 257 },
};
static const struct code codes[] = {
	{ "NOERROR", 0 }, { "FORMERR", 1 }, { "SERVFAIL", 2 }, { "NXDOMAIN", 3 },
	{ "NOTIMP", 4 },  { "REFUSED", 5 }, { "YXDOMAIN", 6 }, { "YXRRSET", 7 },
	{ "NXRRSET", 8 }, { "NOTAUTH", 9 }, { "NOTZONE", 10 },
};

static bool find_code(const struct code *table, size_t n, uint64_t max, const char *word,
		      uint16_t *ret)
{
	uint64_t number;

	for (size_t i = 0; i < n; i++) {
		if (!strcasecmp(table[i].name, word)) {
			*ret = table[i].value;
			return true;
		}
	}
	if (number_parse(word, max, &number) < 0)
		return false;
	*ret = (uint16_t)number;
	return true;
}

/* Labels of 1 to 63 visible bytes, as they are; a final dot is left out. */
static bool take_name(const char *word, char name[static DNS_CHECK_NAME_MAX + 1])
{
	size_t len = strlen(word), label = 0;

	if (!strcmp(word, "."))
		len = 0;
	else if (len && word[len - 1] == '.')
		len--;
	if (len > DNS_CHECK_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (word[i] <= ' ' || word[i] > '~')
			return false;
		label = word[i] == '.' ? 0 : label + 1;
		if (label > DNS_CHECK_LABEL_MAX ||
		    (word[i] == '.' && (i == 0 || word[i - 1] == '.')))
			return false;
	}
	if (len && label == 0)
		return false;
	memcpy(name, word, len);
	name[len] = '\0';
	return true;
}

static const char *take_question(char *text, struct dns_check *c)
{
	char *cursor = text, *word = value_next_word(&cursor);

	if (!word) {
		c->type = DNS_TYPE_SOA;
		return NULL;
	}
	if (!take_name(word, c->name))
		return "the first word is no domain name";
	word = value_next_word(&cursor);
	if (word && (!find_code(types, ARRAY_SIZE(types), UINT16_MAX, word, &c->type) || !c->type))
		return "the second word is no record type such as A, AAAA or 16";
	return value_next_word(&cursor) ? "there is more than a name and a type" : NULL;
}

static const char *take_answer(char *text, struct dns_check *c)
{
	char *cursor = text, *word;
	bool has_code = false;
	uint16_t code;

	while ((word = value_next_word(&cursor))) {
		if (c->addr.family == AF_UNSPEC && addr_parse(word, &c->addr) == 0)
			continue;
		if (has_code || !find_code(codes, ARRAY_SIZE(codes), 15, word, &code))
			return "a word is neither a response code such as NXDOMAIN nor an address";
		c->code = (uint8_t)code;
		has_code = true;
	}
	return NULL;
}

static const char *agree(struct dns_check *c)
{
	uint16_t fits = c->addr.family == AF_INET6 ? DNS_TYPE_AAAA : DNS_TYPE_A;

	if (!c->type)
		c->type = fits;
	if (c->addr.family == AF_UNSPEC)
		return NULL;
	if (c->code)
		return "an answer with an error has no address";
	return c->type == fits ? NULL : "the type that is asked for has no such address";
}

int dns_check_parse(const char *send, const char *expect, struct dns_check *ret,
		    const char **ret_problem)
{
	_cleanup_free_ char *question = strdup(send ? send : "");
	_cleanup_free_ char *answer = strdup(expect ? expect : "");
	struct dns_check c = { 0 };
	const char *problem;

	if (!question || !answer)
		return -ENOMEM;
	problem = take_question(question, &c);
	if (!problem)
		problem = take_answer(answer, &c);
	if (!problem)
		problem = agree(&c);
	if (problem) {
		*ret_problem = problem;
		return -EINVAL;
	}
	*ret = c;
	return 0;
}
