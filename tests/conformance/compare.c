/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/conformance/compare.h"

#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>

#include "base/byte-order.h"
#include "base/cleanup.h"

enum {
	ETHER = 14,
	IPV6_HEADER = 40,
	FRAGMENT_HEADER = 8,
	REASSEMBLED_MAX = FRAME_BYTES_MAX,
};

static bool is_ipv4(const struct frame *f)
{
	return f->len_bytes >= ETHER + sizeof(struct iphdr) &&
	       get_be16(f->bytes + 12) == ETHERTYPE_IP;
}

static bool is_ipv6(const struct frame *f)
{
	return f->len_bytes >= ETHER + IPV6_HEADER && get_be16(f->bytes + 12) == ETHERTYPE_IPV6;
}

static uint8_t protocol_of(const struct frame *f)
{
	return is_ipv4(f) ? f->bytes[ETHER + 9] : is_ipv6(f) ? f->bytes[ETHER + 6] : 0;
}

static uint8_t *payload_of(struct frame *f)
{
	return f->bytes + ETHER + (is_ipv4(f) ? (f->bytes[ETHER] & 0x0f) * 4 : IPV6_HEADER);
}

/* What a header field was does not count: zero, with the header checksum made anew. */
static void clear_ipv4_field(struct frame *f, size_t offset)
{
	uint8_t *ip = f->bytes + ETHER;

	put_be16(ip + offset, 0);
	put_be16(ip + 10, 0);
	put_be16(ip + 10, frame_checksum(0, ip, (size_t)(ip[0] & 0x0f) * 4));
}

static bool is_tunnel(const struct frame *f)
{
	uint8_t protocol = protocol_of(f);
	struct frame copy = *f;

	return protocol == IPPROTO_IPIP || protocol == IPPROTO_IPV6 || protocol == IPPROTO_GRE ||
	       (protocol == IPPROTO_UDP && get_be16(payload_of(&copy) + 2) == 6080);
}

static void outer_identification(struct frame *f)
{
	if (is_ipv4(f) && is_tunnel(f))
		clear_ipv4_field(f, 4);
}

static void outer_flow_label(struct frame *f)
{
	if (!is_ipv6(f) || !is_tunnel(f))
		return;
	f->bytes[ETHER + 1] &= 0xf0;
	put_be16(f->bytes + ETHER + 2, 0);
}

/* The checksum of the outer UDP header covers the port. */
static void gue_source_port(struct frame *f)
{
	if (protocol_of(f) != IPPROTO_UDP || !is_tunnel(f))
		return;
	put_be16(payload_of(f), 0);
	put_be16(payload_of(f) + 6, 0);
}

static bool is_generated(const struct frame *f)
{
	struct frame copy = *f;
	const uint8_t *l4 = payload_of(&copy);

	switch (protocol_of(f)) {
	case IPPROTO_ICMP:
		return true;
	case IPPROTO_TCP:
		return (l4[13] & FRAME_TCP_RST) != 0;
	default:
		return false;
	}
}

static void generated_identification(struct frame *f)
{
	if (is_ipv4(f) && is_generated(f))
		clear_ipv4_field(f, 4);
}

static void generated_flow_label(struct frame *f)
{
	uint8_t protocol = protocol_of(f);

	if (!is_ipv6(f) || (protocol != IPPROTO_ICMPV6 && protocol != IPPROTO_TCP))
		return;
	f->bytes[ETHER + 1] &= 0xf0;
	put_be16(f->bytes + ETHER + 2, 0);
}

/* Where either side has none, neither counts. */
static void absent_checksum(struct frame *a, struct frame *b)
{
	uint8_t *p = payload_of(a), *q = payload_of(b);

	if (!is_ipv4(a) || !is_ipv4(b) || protocol_of(a) != IPPROTO_UDP ||
	    protocol_of(b) != IPPROTO_UDP || get_be16(q + 6) != 0)
		return;
	put_be16(p + 6, 0);
}

static bool is_error(const struct frame *f)
{
	struct frame copy = *f;
	uint8_t type = payload_of(&copy)[0];

	return protocol_of(f) == IPPROTO_ICMPV6 ? type < ICMP6_ECHO_REQUEST
	       : protocol_of(f) == IPPROTO_ICMP ? type != ICMP_ECHO && type != ICMP_ECHOREPLY
						: false;
}

/* Only its addresses and what it says are left. */
static void cut_error(struct frame *f)
{
	uint8_t *ip = f->bytes + ETHER, *icmp = payload_of(f);

	put_be16(icmp + 2, 0);
	f->len_bytes = (size_t)(icmp - f->bytes) + 8;
	if (is_ipv6(f)) {
		put_be16(ip + 4, 8);
		return;
	}
	put_be16(ip + 2, (uint16_t)(f->len_bytes - ETHER));
	clear_ipv4_field(f, 4);
}

/* Is what the error embeds a fragment? */
static bool embeds_fragment(const struct frame *f)
{
	struct frame copy = *f;
	const uint8_t *embedded = payload_of(&copy) + 8;

	return is_ipv6(f) ? embedded[6] == IPPROTO_FRAGMENT
			  : (get_be16(embedded + 6) & (IP_MF | IP_OFFMASK)) != 0;
}

static void error_about_fragment(struct frame *a, struct frame *b)
{
	if (!is_error(a) || !is_error(b) || !embeds_fragment(b) || embeds_fragment(a))
		return;
	cut_error(a);
	cut_error(b);
}

static const struct {
	const char *name;
	void (*apply)(struct frame *f);
	void (*apply_pair)(struct frame *oracle, struct frame *other);
} rules[] = {
	{ "outer-identification", outer_identification, NULL },
	{ "outer-flow-label", outer_flow_label, NULL },
	{ "gue-source-port", gue_source_port, NULL },
	{ "generated-identification", generated_identification, NULL },
	{ "generated-flow-label", generated_flow_label, NULL },
	{ "absent-udp-checksum", NULL, absent_checksum },
	{ "error-about-fragment", NULL, error_about_fragment },
	{ "sctp-nat-fragments", NULL, NULL },  /* scenarios do without */
	{ "tunnelled-fragments", NULL, NULL }, /* canonical() */
};

enum {
	RULE_TUNNELLED_FRAGMENTS = ARRAY_SIZE(rules) - 1,
};

struct compare {
	bool wanted[ARRAY_SIZE(rules)];
	uint64_t used[ARRAY_SIZE(rules)];
};

static int read_rule(struct compare *c, const char *path, const char *line)
{
	size_t len = strcspn(line, "\t\n");

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (strlen(rules[i].name) == len && strncmp(rules[i].name, line, len) == 0) {
			c->wanted[i] = true;
			return 0;
		}
	(void)fprintf(stderr, "%s: no rule is called '%.*s'\n", path, (int)len, line);
	return -EINVAL;
}

int compare_new(const char *table_path, struct compare **ret)
{
	_cleanup_fclose_ FILE *f = fopen(table_path, "re");
	_cleanup_free_ char *line = NULL;
	_cleanup_free_ struct compare *c = calloc(1, sizeof(*c));
	size_t size = 0;
	int r = 0;

	if (!c)
		return -ENOMEM;
	if (!f) {
		(void)fprintf(stderr, "%s: %s\n", table_path, strerror(errno));
		return -ENOENT;
	}
	while (r == 0 && getline(&line, &size, f) > 0)
		if (line[0] != '#' && line[0] != '\n')
			r = read_rule(c, table_path, line);
	if (r == 0)
		*ret = take_ptr(c);
	return r;
}

void compare_free(struct compare *c)
{
	free(c);
}

bool compare_wants(const struct compare *c, const char *rule)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (strcmp(rules[i].name, rule) == 0)
			return c->wanted[i];
	abort();
}

void compare_report(const struct compare *c, FILE *to)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (c->wanted[i])
			(void)fprintf(to, "# difference %s: %llu frames\n", rules[i].name,
				      (unsigned long long)c->used[i]);
}

struct fragment {
	size_t offset, len_bytes, header_bytes; /* header: all before the fragmentable part */
	bool is_fragment, more;
	uint32_t id;
};

static void read_fragment(const struct frame *f, struct fragment *ret)
{
	const uint8_t *ip = f->bytes + ETHER;

	*ret = (struct fragment){ 0 };
	if (is_ipv4(f)) {
		ret->header_bytes = ETHER + (size_t)(ip[0] & 0x0f) * 4;
		ret->offset = (size_t)(get_be16(ip + 6) & IP_OFFMASK) * 8;
		ret->more = (get_be16(ip + 6) & IP_MF) != 0;
		ret->id = get_be16(ip + 4);
		ret->is_fragment = ret->more || ret->offset;
		ret->len_bytes = ETHER + get_be16(ip + 2) - ret->header_bytes;
	} else if (is_ipv6(f) && ip[6] == IPPROTO_FRAGMENT) {
		const uint8_t *h = ip + IPV6_HEADER;

		ret->header_bytes = ETHER + IPV6_HEADER + FRAGMENT_HEADER;
		ret->offset = get_be16(h + 2) & 0xfff8;
		ret->more = h[3] & 1;
		ret->id = (uint32_t)get_be16(h + 4) << 16 | get_be16(h + 6);
		ret->is_fragment = true;
		ret->len_bytes = f->len_bytes - ret->header_bytes;
	}
}

/* Turns the frame that holds a first fragment into the whole packet. */
static void make_whole(struct frame *f, const struct fragment *first, size_t payload)
{
	uint8_t *ip = f->bytes + ETHER;

	if (is_ipv4(f)) {
		put_be16(ip + 2, (uint16_t)(first->header_bytes - ETHER + payload));
		put_be16(ip + 6, 0);
		clear_ipv4_field(f, 6);
	} else {
		ip[6] = ip[IPV6_HEADER];
		put_be16(ip + 4, (uint16_t)payload);
		memmove(ip + IPV6_HEADER, ip + IPV6_HEADER + FRAGMENT_HEADER, payload);
	}
	f->len_bytes = first->header_bytes - (is_ipv4(f) ? 0 : FRAGMENT_HEADER) + payload;
}

/* Adds the fragments with the same id to the one at `at`, whichever comes first; those become empty frames. */
static void reassemble(struct frame *frames, size_t n, size_t at)
{
	struct fragment first, other;
	struct frame whole = frames[at];
	size_t total = 0, have = 0;

	read_fragment(&frames[at], &first);
	for (size_t i = at; i < n; i++) {
		read_fragment(&frames[i], &other);
		if (!other.is_fragment || other.id != first.id ||
		    first.header_bytes + other.offset + other.len_bytes > REASSEMBLED_MAX)
			continue;
		memcpy(whole.bytes + first.header_bytes + other.offset,
		       frames[i].bytes + other.header_bytes, other.len_bytes);
		have += other.len_bytes;
		if (!other.more)
			total = other.offset + other.len_bytes;
		if (other.offset == 0) /* its header is the packet's */
			memcpy(whole.bytes, frames[i].bytes, first.header_bytes);
	}
	if (total == 0 || have != total)
		return; /* not all of it is here: compared as it is */
	for (size_t i = at + 1; i < n; i++) {
		read_fragment(&frames[i], &other);
		if (other.is_fragment && other.id == first.id)
			frames[i].len_bytes = 0;
	}
	make_whole(&whole, &first, total);
	frames[at] = whole;
}

/* Where the inner IP header of a tunnel's packet is; 0 = none. */
static size_t inner_offset(const struct frame *f)
{
	struct frame copy = *f;
	const uint8_t *l4 = payload_of(&copy);
	size_t at = (size_t)(l4 - copy.bytes);

	if (!is_tunnel(f))
		return 0;
	switch (protocol_of(f)) {
	case IPPROTO_GRE:
		return at + 4 + (l4[0] & 0x80 ? 4 : 0);
	case IPPROTO_UDP:
		return at + 8 + 4 + (size_t)(l4[8] & 0x1f) * 4;
	default:
		return at;
	}
}

/* Takes the outer headers away. */
static void strip_tunnel(struct frame *f)
{
	size_t inner = inner_offset(f);

	if (inner == 0 || inner >= f->len_bytes)
		return;
	put_be16(f->bytes + 12, f->bytes[inner] >> 4 == 6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
	f->len_bytes -= inner - ETHER;
	memmove(f->bytes + ETHER, f->bytes + inner, f->len_bytes - ETHER);
}

static bool has_tunnelled_fragment(const struct rig_output *o)
{
	struct fragment fragment;

	for (size_t i = 0; i < o->n; i++) {
		struct frame f = o->frames[i];

		if (!is_tunnel(&f))
			continue;
		strip_tunnel(&f);
		read_fragment(&f, &fragment);
		if (fragment.is_fragment)
			return true;
	}
	return false;
}

/* What was sent, with fragments put together. */
static size_t put_together(struct frame *frames, size_t n)
{
	struct fragment fragment;
	size_t n_whole = 0;

	for (size_t i = 0; i < n; i++) {
		if (frames[i].len_bytes == 0)
			continue;
		read_fragment(&frames[i], &fragment);
		if (fragment.is_fragment)
			reassemble(frames, n, i);
	}
	for (size_t i = 0; i < n; i++)
		if (frames[i].len_bytes > 0)
			frames[n_whole++] = frames[i];
	return n_whole;
}

static size_t canonical(const struct rig_output *from, bool strip, struct frame *frames)
{
	size_t n;

	memcpy(frames, from->frames, from->n * sizeof(*frames));
	n = put_together(frames, from->n);
	if (!strip)
		return n;
	for (size_t i = 0; i < n; i++)
		strip_tunnel(&frames[i]);
	return put_together(frames, n);
}

static bool same_frame(const struct frame *a, const struct frame *b)
{
	return a->len_bytes == b->len_bytes && memcmp(a->bytes, b->bytes, a->len_bytes) == 0;
}

static bool same_under_rules(struct compare *c, struct frame *a, struct frame *b)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules) && !same_frame(a, b); i++) {
		struct frame before_a = *a, before_b = *b;

		if (!c->wanted[i] || (!rules[i].apply && !rules[i].apply_pair))
			continue;
		if (rules[i].apply_pair) {
			rules[i].apply_pair(a, b);
		} else {
			rules[i].apply(a);
			rules[i].apply(b);
		}
		if (!same_frame(&before_a, a) || !same_frame(&before_b, b))
			c->used[i]++;
	}
	return same_frame(a, b);
}

static void describe_difference(size_t number, const struct frame *a, const struct frame *b,
				char *why, size_t why_size)
{
	size_t at = 0, end = MIN(a->len_bytes, b->len_bytes);
	const uint8_t *p = a->bytes, *q = b->bytes;

	while (at < end && p[at] == q[at])
		at++;
	(void)snprintf(why, why_size,
		       "packet %zu differs at byte %zu: %02x%02x%02x%02x is %02x%02x%02x%02x",
		       number, at, p[at], p[at + 1], p[at + 2], p[at + 3], q[at], q[at + 1],
		       q[at + 2], q[at + 3]);
}

bool compare_outputs(struct compare *c, const struct rig_output *oracle,
		     const struct rig_output *other, char *why, size_t why_size)
{
	static struct frame a[RIG_OUTPUTS_MAX + 1], b[RIG_OUTPUTS_MAX + 1];
	bool strip = c->wanted[RULE_TUNNELLED_FRAGMENTS] && has_tunnelled_fragment(other);
	size_t n_a = canonical(oracle, strip, a), n_b = canonical(other, strip, b);

	c->used[RULE_TUNNELLED_FRAGMENTS] += strip;
	if (oracle->lost || other->lost || n_a != n_b) {
		(void)snprintf(why, why_size, "%zu packets instead of %zu", n_b, n_a);
		return false;
	}
	for (size_t i = 0; i < n_a; i++) {
		if (frame_checksums_are_right(&a[i]) && !frame_checksums_are_right(&b[i])) {
			(void)snprintf(why, why_size, "packet %zu: wrong checksum", i + 1);
			return false;
		}
		if (!same_under_rules(c, &a[i], &b[i])) {
			describe_difference(i + 1, &a[i], &b[i], why, why_size);
			return false;
		}
	}
	return true;
}

static void describe_l4(const struct frame *f, uint8_t protocol, const uint8_t *l4, FILE *to)
{
	static const char letters[] = "FSRPA";

	if (l4 + 8 > f->bytes + f->len_bytes)
		return;
	switch (protocol) {
	case IPPROTO_TCP:
		(void)fprintf(to, " tcp %u>%u ", get_be16(l4), get_be16(l4 + 2));
		for (int i = 0; i < 5; i++)
			if (l4[13] & 1 << i)
				(void)fputc(letters[i], to);
		break;
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		(void)fprintf(to, " %s %u>%u", protocol == IPPROTO_UDP ? "udp" : "sctp",
			      get_be16(l4), get_be16(l4 + 2));
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		(void)fprintf(to, " icmp type %u code %u rest %u", l4[0], l4[1], get_be16(l4 + 6));
		break;
	default:
		(void)fprintf(to, " protocol %u", protocol);
	}
}

void compare_describe(const struct frame *f, FILE *to)
{
	char src_text[ADDR_STR_MAX], dst_text[ADDR_STR_MAX];
	struct addr src = { .family = is_ipv6(f) ? AF_INET6 : AF_INET }, dst = src;
	struct fragment fragment;
	struct frame copy = *f;

	if (!is_ipv4(f) && !is_ipv6(f)) {
		(void)fprintf(to, "not IP, %zu bytes\n", f->len_bytes);
		return;
	}
	memcpy(src.bytes, f->bytes + ETHER + (is_ipv6(f) ? 8 : 12), addr_len_bytes(&src));
	memcpy(dst.bytes, f->bytes + ETHER + (is_ipv6(f) ? 24 : 16), addr_len_bytes(&dst));
	(void)fprintf(to, "to mac ..:%02x %s > %s", f->bytes[5], addr_format(&src, src_text),
		      addr_format(&dst, dst_text));
	read_fragment(f, &fragment);
	if (fragment.is_fragment)
		(void)fprintf(to, " fragment %zu+%zu", fragment.offset, fragment.len_bytes);
	describe_l4(f, protocol_of(f), payload_of(&copy), to);
	(void)fprintf(to, ", %zu bytes%s\n", f->len_bytes,
		      frame_checksums_are_right(f) ? "" : ", WRONG CHECKSUM");
}
