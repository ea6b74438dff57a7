/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipvsadm.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static const char *next_word(char **line)
{
	return strtok_r(NULL, " \n", line);
}

static int read_key_address(const char *word, uint8_t protocol, struct ipvs_service_key *k)
{
	k->protocol = protocol;
	if (!word || addr_port_parse(word, &k->addr, &k->port) < 0)
		return -EBADMSG;
	k->family = k->addr.family;
	return 0;
}

/* "-t A:P", "-u A:P", "--sctp-service A:P" or "-f MARK" (printed with a sign). "-6" may follow the mark later. */
static int read_key(char **line, struct ipvs_service_key *ret)
{
	const char *kind = next_word(line), *word = next_word(line);
	struct ipvs_service_key k = { .family = AF_INET };
	int r = -EBADMSG;

	if (!kind || !word)
		return r;
	if (strcmp(kind, "-t") == 0)
		r = read_key_address(word, IPPROTO_TCP, &k);
	else if (strcmp(kind, "-u") == 0)
		r = read_key_address(word, IPPROTO_UDP, &k);
	else if (strcmp(kind, "--sctp-service") == 0)
		r = read_key_address(word, IPPROTO_SCTP, &k);
	else if (strcmp(kind, "-f") == 0) {
		k.fwmark = (uint32_t)strtol(word, NULL, 10);
		r = k.fwmark ? 0 : -EBADMSG;
	}
	*ret = k;
	return r;
}

static uint32_t read_netmask(const char *word)
{
	struct addr mask;

	if (strchr(word, '.') && addr_parse(word, &mask) == 0)
		return mask.in.s_addr;
	return (uint32_t)strtoul(word, NULL, 10);
}

static uint32_t read_sched_flags(char *word)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} names[] = {
		{ "sh-fallback", 0x8 }, { "mh-fallback", 0x8 }, { "flag-1", 0x8 },
		{ "sh-port", 0x10 },	{ "mh-port", 0x10 },	{ "flag-2", 0x10 },
		{ "flag-3", 0x20 },
	};
	uint32_t flags = 0;
	char *rest;

	for (char *name = strtok_r(word, ",", &rest); name; name = strtok_r(NULL, ",", &rest))
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			if (strcmp(name, names[i].name) == 0)
				flags |= names[i].flag;
	return flags;
}

static int read_service(char **line, struct ipvs_ruleset *r)
{
	struct ipvs_service s = { 0 }, *added;
	const char *word;
	bool masked = false;

	if (read_key(line, &s.key) < 0)
		return -EBADMSG;
	while ((word = next_word(line))) {
		char *value = NULL;

		if (strcmp(word, "-6") == 0) {
			s.key.family = AF_INET6;
			continue;
		}
		if (strcmp(word, "-o") == 0) {
			s.flags |= 0x4;
			continue;
		}
		value = (char *)next_word(line);
		if (!value && strcmp(word, "-b") == 0)
			continue; /* flag-3 of mh and sh, which it has no name for */
		if (!value)
			return -EBADMSG;
		if (strcmp(word, "-s") == 0 && strlen(value) < sizeof(s.scheduler))
			strcpy(s.scheduler, value);
		else if (strcmp(word, "--pe") == 0 && strlen(value) < sizeof(s.pe))
			strcpy(s.pe, value);
		else if (strcmp(word, "-b") == 0)
			s.flags |= read_sched_flags(value);
		else if (strcmp(word, "-M") == 0) {
			s.netmask = read_netmask(value);
			masked = true;
		} else if (strcmp(word, "-p") == 0) {
			s.flags |= 0x1;
			s.timeout_sec = (uint32_t)strtoul(value, NULL, 10);
		} else
			return -EBADMSG;
	}
	if (!masked)
		s.netmask = s.key.family == AF_INET6 ? 128 : UINT32_MAX;
	added = ipvs_ruleset_append(r, &s.key);
	if (!added)
		return -ENOMEM;
	*added = s;
	return 0;
}

static int read_tunnel(const char *word, char **line, struct ipvs_dest *d)
{
	static const char *const types[] = { "ipip", "gue", "gre" };
	static const char *const flags[] = { "--tun-nocsum", "--tun-csum", "--tun-remcsum" };
	const char *value;

	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++)
		if (strcmp(word, flags[i]) == 0) {
			d->tunnel_flags = (uint16_t)i;
			return 0;
		}
	value = next_word(line);
	if (!value)
		return -EBADMSG;
	if (strcmp(word, "--tun-port") == 0) {
		d->tunnel_port = (uint16_t)strtoul(value, NULL, 10);
		return 0;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		if (strcmp(word, "--tun-type") == 0 && strcmp(value, types[i]) == 0) {
			d->tunnel = i;
			return 0;
		}
	return -EBADMSG;
}

/* A destination's line follows that of its service. */
static int read_dest(char **line, struct ipvs_ruleset *r)
{
	struct ipvs_service_key key;
	struct ipvs_dest d = { 0 };
	const char *word, *value;

	if (r->n == 0 || read_key(line, &key) < 0)
		return -EBADMSG;
	while ((word = next_word(line))) {
		if (strcmp(word, "-6") == 0)
			continue;
		if (strcmp(word, "-m") == 0)
			d.forward = IPVS_FORWARD_MASQ;
		else if (strcmp(word, "-g") == 0)
			d.forward = IPVS_FORWARD_ROUTE;
		else if (strcmp(word, "-i") == 0)
			d.forward = IPVS_FORWARD_TUNNEL;
		else if (strncmp(word, "--tun", 5) == 0) {
			if (read_tunnel(word, line, &d) < 0)
				return -EBADMSG;
		} else {
			value = next_word(line);
			if (!value)
				return -EBADMSG;
			if (strcmp(word, "-w") == 0)
				d.weight = (uint32_t)strtoul(value, NULL, 10);
			else if (strcmp(word, "-r") != 0 ||
				 addr_port_parse(value, &d.addr, &d.port) < 0)
				return -EBADMSG;
		}
	}
	return ipvs_service_append(&r->services[r->n - 1], &d) ? 0 : -ENOMEM;
}

static int close_command(FILE *f)
{
	return pclose(f) == 0 ? 0 : -EIO;
}

int ipvsadm_read(struct ipvs_ruleset *ret)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	FILE *f = popen("ipvsadm -Sn", "r");
	char line[512];
	int e = 0;

	if (!f)
		return -errno;
	while (e == 0 && fgets(line, sizeof(line), f)) {
		char *rest = NULL;
		const char *word = strtok_r(line, " \n", &rest);

		e = -EBADMSG;
		if (word && strcmp(word, "-A") == 0)
			e = read_service(&rest, &r);
		else if (word && strcmp(word, "-a") == 0)
			e = read_dest(&rest, &r);
	}
	if (close_command(f) < 0 && e == 0)
		e = -EIO;
	if (e < 0)
		return e;
	ipvs_ruleset_sort(&r);
	*ret = r;
	r = IPVS_RULESET_INIT;
	return 0;
}

int ipvsadm_restore(const char *lines)
{
	FILE *f = popen("ipvsadm -R", "w");

	if (!f)
		return -errno;
	if (fputs(lines, f) < 0) {
		(void)close_command(f);
		return -EIO;
	}
	return close_command(f);
}
