/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conf/items.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/value.h"

enum {
	FORWARD_WEIGHT_DEFAULT = 1,
};

#define complain(at, ...)                                                                          \
	(diag_add((at)->diags, DIAG_ERROR, (at)->path, (at)->line, __VA_ARGS__), -EINVAL)

/* Appends to the array member of the key. The member is a pointer to some struct: copied, not aliased. */
static void *append_member(const struct assign_place *at, void *object, size_t item_size)
{
	char *member = (char *)object + at->key->offset;
	size_t *n = (size_t *)(void *)((char *)object + at->key->count_offset);
	void *items, *item;

	memcpy(&items, member, sizeof(items));
	item = assign_append(&items, n, item_size);
	memcpy(member, &items, sizeof(items));
	return item;
}

static int parse_target_option(const struct assign_place *at, struct conf_target *target,
			       const char *word)
{
	uint64_t weight;

	if (strncmp(word, "weight=", 7) == 0) {
		if (number_parse(word + 7, CONF_TARGET_WEIGHT_MAX, &weight) < 0)
			return complain(at, "%s: \"%s\": a weight is 0 to %d", at->key->name, word,
					CONF_TARGET_WEIGHT_MAX);
		target->weight = (unsigned)weight;
		return 0;
	}
	if (strncmp(word, "zone=", 5) == 0) {
		if (!value_is_name(word + 5) || strlen(word + 5) >= sizeof(target->zone))
			return complain(at,
					"%s: \"%s\": a zone is 1 to 31 of the characters A-Z a-z "
					"0-9 -",
					at->key->name, word);
		strcpy(target->zone, word + 5);
		return 0;
	}
	return complain(at, "%s: unknown option \"%s\"; options are weight=N and zone=ZONE",
			at->key->name, word);
}

/* NAME or NAME:PORT; a top-level domain is not a number (RFC 3696, 2), so a slip in an address is none. */
static int parse_target_name(const char *word, struct conf_target *t)
{
	size_t len = strcspn(word, ":");
	char host[CONF_HOST_MAX + 1];
	const char *last;
	uint64_t port = 0;

	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, word, len);
	host[len] = '\0';
	last = memrchr(host, '.', len && host[len - 1] == '.' ? len - 1 : len);
	last = last ? last + 1 : host;
	if (!value_is_host(host) || !last[strspn(last, "0123456789.")])
		return -EINVAL;
	if (word[len] && (number_parse(word + len + 1, UINT16_MAX, &port) < 0 || !port))
		return -EINVAL;
	t->host = strdup(host);
	t->port = (uint16_t)port;
	return t->host ? 0 : -ENOMEM;
}

static int parse_target_address(const struct assign_place *at, const char *word,
				struct conf_target *ret)
{
	struct conf_target t = { .origin = { at->path, at->line },
				 .weight = CONF_TARGET_WEIGHT_DEFAULT };
	int r;

	if (addr_port_parse(word, &t.addr, &t.port) == 0) {
		if (!addr_is_host(&t.addr))
			return complain(at, "%s: \"%s\" is not the address of a host",
					at->key->name, word);
		if (t.addr.family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&t.addr.in6))
			return complain(
				at,
				"%s: \"%s\" is a link-local address, which IPVS takes for no "
				"destination; give a routed one",
				at->key->name, word);
		*ret = t;
		return 0;
	}
	r = parse_target_name(word, &t);
	if (r == -EINVAL)
		return complain(at, "%s: \"%s\" is not ADDRESS, ADDRESS:PORT, NAME or NAME:PORT%s",
				at->key->name, word,
				word[0] != '[' && strchr(word, ':') != strrchr(word, ':')
					? "; an IPv6 address with a port is written [ADDRESS]:PORT"
					: "");
	if (r == 0)
		*ret = t;
	return r;
}

static int parse_targets_line(const struct assign_place *at, void *object, char *value)
{
	struct conf_target *target = NULL;
	bool skip = false; /* the options of an address that was reported */
	int result = 0;
	char *word;

	while ((word = value_next_word(&value))) {
		struct conf_target parsed;
		int r = 0;

		if (strchr(word, '=')) {
			if (target)
				r = parse_target_option(at, target, word);
			else if (!skip)
				r = complain(at, "%s: \"%s\" stands before any address",
					     at->key->name, word);
		} else {
			r = parse_target_address(at, word, &parsed);
			skip = r < 0;
			target = NULL;
			if (r == -ENOMEM)
				return r;
			if (r == 0) {
				target = append_member(at, object, sizeof(*target));
				if (!target) {
					free(parsed.host);
					return -ENOMEM;
				}
				*target = parsed;
			}
		}
		result = r < 0 ? r : result;
	}
	return result;
}

static int parse_forwards_line(const struct assign_place *at, void *object, char *value)
{
	int result = 0;
	char *word;

	while ((word = value_next_word(&value))) {
		struct conf_forward *f;
		char *colon = strchr(word, ':');
		uint64_t weight = FORWARD_WEIGHT_DEFAULT;

		if (colon && number_parse(colon + 1, CONF_GROUP_WEIGHT_MAX, &weight) < 0) {
			result = complain(at, "%s: \"%s\": the weight of a target group is 0 to %d",
					  at->key->name, word, CONF_GROUP_WEIGHT_MAX);
			continue;
		}
		if (colon)
			*colon = '\0';
		if (!value_is_name(word)) {
			result = complain(at, "%s: \"%s\" is not the name of a target group",
					  at->key->name, word);
			continue;
		}
		f = append_member(at, object, sizeof(*f));
		if (!f)
			return -ENOMEM;
		strcpy(f->name, word);
		f->weight = (unsigned)weight;
	}
	return result;
}

static const struct {
	const char *name;
	bool any;
	bool has_ports;
	uint8_t protocol;
} rule_protocols[] = {
	{ "all", true, false, 0 },
	{ "tcp", false, true, IPPROTO_TCP },
	{ "udp", false, true, IPPROTO_UDP },
	{ "sctp", false, true, IPPROTO_SCTP },
	{ "icmp", false, false, IPPROTO_ICMP },
	{ "icmpv6", false, false, IPPROTO_ICMPV6 },
};

static int parse_rule_peer(const struct assign_place *at, const char *word, struct conf_rule *rule)
{
	int r = prefix_parse(word, &rule->peer);

	if (r == -ERANGE)
		return complain(at,
				"%s: \"%s\" has host bits set; write the network's address, or /%d "
				"for one host",
				at->key->name, word, strchr(word, ':') ? 128 : 32);
	if (r < 0)
		return complain(at, "%s: \"%s\" is not a prefix such as 10.0.0.0/8 or ::/0",
				at->key->name, word);
	return 0;
}

/* PROTOCOL [PORTS] from|to PREFIX */
static int parse_rule(const struct assign_place *at, char *value, struct conf_rule *ret)
{
	const char *direction = strcmp(at->key->name, "ingress") == 0 ? "from" : "to";
	struct conf_rule rule = { .ports = { 0, UINT16_MAX } };
	char *word = value_next_word(&value);
	size_t i = 0;

	while (i < ARRAY_SIZE(rule_protocols) && strcmp(word, rule_protocols[i].name) != 0)
		i++;
	if (i == ARRAY_SIZE(rule_protocols))
		return complain(at,
				"%s: \"%s\" is not a protocol; accepted: all, tcp, udp, sctp, icmp "
				"or icmpv6",
				at->key->name, word);
	rule.any_protocol = rule_protocols[i].any;
	rule.protocol = rule_protocols[i].protocol;
	word = value_next_word(&value);
	if (word && strcmp(word, direction) != 0) {
		if (!rule_protocols[i].has_ports)
			return complain(at, "%s: \"%s\": %s has no ports; expected %s PREFIX",
					at->key->name, word, rule_protocols[i].name, direction);
		if (strcmp(word, "all") != 0 &&
		    value_parse_range(word, 0, UINT16_MAX, &rule.ports) < 0)
			return complain(at,
					"%s: \"%s\" is not a port, a range such as 8000-8010, or "
					"all",
					at->key->name, word);
		word = value_next_word(&value);
	}
	if (!word || strcmp(word, direction) != 0)
		return complain(at, "%s: expected %s PREFIX%s%s%s", at->key->name, direction,
				word ? ", but this is \"" : " at the end of the line",
				word ? word : "", word ? "\"" : "");
	word = value_next_word(&value);
	if (!word)
		return complain(at, "%s: a prefix is missing after %s", at->key->name, direction);
	if (parse_rule_peer(at, word, &rule) < 0)
		return -EINVAL;
	word = value_next_word(&value);
	if (word)
		return complain(at,
				"%s: \"%s\" after the end of the rule; rules stand on a line each",
				at->key->name, word);
	*ret = rule;
	return 0;
}

static int parse_rules_line(const struct assign_place *at, void *object, char *value)
{
	struct conf_rule rule, *item;
	int r = parse_rule(at, value, &rule);

	if (r < 0)
		return r;
	item = append_member(at, object, sizeof(*item));
	if (!item)
		return -ENOMEM;
	*item = rule;
	return 0;
}

static int parse_prefixes_line(const struct assign_place *at, void *object, char *value)
{
	int result = 0;
	char *word;

	while ((word = value_next_word(&value))) {
		struct conf_rule parsed = { 0 };
		struct prefix *item;

		if (parse_rule_peer(at, word, &parsed) < 0) {
			result = -EINVAL;
			continue;
		}
		item = append_member(at, object, sizeof(*item));
		if (!item)
			return -ENOMEM;
		*item = parsed.peer;
	}
	return result;
}

static int parse_words_line(const struct assign_place *at, void *object, char *value)
{
	int result = 0;
	char *word;

	while ((word = value_next_word(&value))) {
		char **item;

		if (at->key->type == KEY_NAMES && !value_is_name(word)) {
			result = complain(at, "%s: \"%s\" is not the name of a security group",
					  at->key->name, word);
			continue;
		}
		item = append_member(at, object, sizeof(*item));
		if (!item)
			return -ENOMEM;
		*item = strdup(word);
		if (!*item)
			return -ENOMEM;
	}
	return result;
}

int items_parse(const struct assign_place *at, void *object, char *value)
{
	if (!*value)
		return 0;
	switch (at->key->type) {
	case KEY_TARGETS:
		return parse_targets_line(at, object, value);
	case KEY_FORWARDS:
		return parse_forwards_line(at, object, value);
	case KEY_RULES:
		return parse_rules_line(at, object, value);
	case KEY_PREFIXES:
		return parse_prefixes_line(at, object, value);
	default:
		assert(at->key->type == KEY_TEXTS || at->key->type == KEY_NAMES);
		return parse_words_line(at, object, value);
	}
}
