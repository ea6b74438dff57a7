/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conf/value.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/number.h"

int value_parse_bool(const char *text, bool *ret)
{
	static const char *const words[][2] = {
		{ "no", "yes" },
		{ "false", "true" },
		{ "off", "on" },
		{ "0", "1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		for (size_t j = 0; j < 2; j++) {
			if (strcasecmp(text, words[i][j]) == 0) {
				*ret = j == 1;
				return 0;
			}
		}
	}
	return -EINVAL;
}

static const struct {
	const char *name;
	usec_t usec;
} units[] = {
	/* longest first: value_format_duration() takes the first that divides */
	{ "d", 24 * 3600 * USEC_PER_SEC }, { "h", 3600 * USEC_PER_SEC },
	{ "m", 60 * USEC_PER_SEC },	   { "s", USEC_PER_SEC },
	{ "ms", USEC_PER_MSEC },	   { "us", 1 },
};

static int take_unit(const char **cursor, usec_t *ret)
{
	size_t len = strspn(*cursor, "abcdefghijklmnopqrstuvwxyz");

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strlen(units[i].name) == len && strncmp(*cursor, units[i].name, len) == 0) {
			*cursor += len;
			*ret = units[i].usec;
			return 0;
		}
	}
	return -EINVAL;
}

int value_parse_duration(const char *text, usec_t *ret)
{
	usec_t total = 0, previous = UINT64_MAX;
	const char *s = text;
	bool over = false;

	do {
		uint64_t n;
		usec_t unit = USEC_PER_SEC;
		int r = number_take(&s, UINT64_MAX, &n);

		if (r == -EINVAL)
			return r;
		over = over || r < 0;
		/* a plain number is seconds, but "1m30" is more likely a slip than a sum */
		if ((*s || total || previous != UINT64_MAX) && take_unit(&s, &unit) < 0)
			return -EINVAL;
		if (unit >= previous)
			return -EINVAL;
		previous = unit;
		if (over || n > (UINT64_MAX - 1 - total) / unit)
			over = true;
		else
			total += n * unit;
	} while (*s);
	if (over)
		return -ERANGE;
	*ret = total;
	return 0;
}

const char *value_format_duration(usec_t usec, char buf[static VALUE_DURATION_STR_MAX])
{
	size_t i = 0;

	if (usec == 0)
		i = 3; /* "0s" */
	while (i + 1 < ARRAY_SIZE(units) && usec % units[i].usec)
		i++;
	(void)snprintf(buf, VALUE_DURATION_STR_MAX, "%llu%s",
		       (unsigned long long)(usec / units[i].usec), units[i].name);
	return buf;
}

static int take_range(const char **cursor, uint16_t min, uint16_t max, struct conf_range *ret)
{
	uint64_t low, high;
	int r = number_take(cursor, max, &low), r_high = 0;

	if (r == -EINVAL)
		return r;
	high = low;
	if (**cursor == '-') {
		(*cursor)++;
		r_high = number_take(cursor, max, &high);
		if (r_high == -EINVAL)
			return r_high;
	}
	if (r < 0 || r_high < 0 || low < min)
		return -ERANGE;
	if (low > high)
		return -EINVAL;
	*ret = (struct conf_range){ (uint16_t)low, (uint16_t)high };
	return 0;
}

int value_parse_range(const char *text, uint16_t min, uint16_t max, struct conf_range *ret)
{
	struct conf_range range;
	int r = take_range(&text, min, max, &range);

	if (r == -EINVAL || *text)
		return -EINVAL;
	if (r == 0)
		*ret = range;
	return r;
}

int value_parse_matcher(const char *text, struct conf_matcher *ret)
{
	struct conf_matcher m = { 0 };
	int result = 0;

	for (;;) {
		struct conf_range range = { 0 };
		int r;

		text += strspn(text, " \t");
		r = take_range(&text, 0, 599, &range);
		if (r == -EINVAL)
			return r;
		if (r < 0)
			result = r;
		text += strspn(text, " \t");
		if (m.n == CONF_MATCHER_RANGES)
			return -E2BIG;
		m.ranges[m.n++] = range;
		if (!*text)
			break;
		if (*text++ != ',')
			return -EINVAL;
	}
	if (result == 0)
		*ret = m;
	return result;
}

/* IP_VS_SVC_F_SCHED1 and _SCHED2 of include/uapi/linux/ip_vs.h; sh and mh read them as fallback and port. */
enum {
	FLAG_FALLBACK = 0x8,
	FLAG_PORT = 0x10,
};

static const struct {
	const char *name, *scheduler;
	uint32_t flags;
} aliases[] = {
	{ "round-robin", "wrr", 0 },
	{ "least-connections", "wlc", 0 },
	{ "least-outstanding-requests", "wlc", 0 },
	{ "flow-hash", "mh", FLAG_PORT },
	{ "source-ip-hash", "mh", 0 },
};

/* Those of Linux 6.12 net/netfilter/ipvs/Kconfig, and the words above; one list, so that a slip finds both. */
static const char *const algorithm_names[] = {
	"round-robin",
	"least-connections",
	"least-outstanding-requests",
	"flow-hash",
	"source-ip-hash",
	"rr",
	"wrr",
	"lc",
	"wlc",
	"lblc",
	"lblcr",
	"sh",
	"mh",
	"dh",
	"sed",
	"nq",
	"fo",
	"ovf",
	"twos",
	NULL,
};

const char *const *value_algorithm_names(void)
{
	return algorithm_names;
}

static int algorithm_by_name(const char *name, struct conf_algorithm *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++) {
		if (strcmp(name, aliases[i].name) == 0) {
			strcpy(ret->scheduler, aliases[i].scheduler);
			ret->flags = aliases[i].flags;
			return 0;
		}
	}
	for (size_t i = 0; algorithm_names[i]; i++) {
		if (strcmp(name, algorithm_names[i]) == 0) {
			strcpy(ret->scheduler, name);
			return 0;
		}
	}
	return -EINVAL;
}

int value_parse_algorithm(const char *text, struct conf_algorithm *ret)
{
	struct conf_algorithm a = { 0 };
	char copy[80], *cursor = copy, *word;
	bool hashes;
	int r;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	word = value_next_word(&cursor);
	if (!word)
		return -EINVAL;
	r = algorithm_by_name(word, &a);
	if (r < 0)
		return r;
	hashes = strcmp(a.scheduler, "mh") == 0 || strcmp(a.scheduler, "sh") == 0;
	while ((word = value_next_word(&cursor))) {
		if (!hashes)
			return -ENOTSUP;
		if (strcmp(word, "port") == 0)
			a.flags |= FLAG_PORT;
		else if (strcmp(word, "fallback") != 0)
			return -ENOTSUP;
	}
	if (hashes)
		a.flags |= FLAG_FALLBACK;
	*ret = a;
	return 0;
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool value_is_name(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > CONF_NAME_MAX || text[0] == '-' || text[len - 1] == '-')
		return false;
	for (; *text; text++)
		if (!is_alnum(*text) && *text != '-')
			return false;
	return true;
}

bool value_is_interface(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len >= CONF_IFNAME_MAX || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return false;
	return text[strcspn(text, "/: \t\n\v\f\r")] == '\0';
}

bool value_is_host(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > CONF_HOST_MAX || !is_alnum(text[0]))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!is_alnum(text[i]) && text[i] != '-' && text[i] != '.' && text[i] != '_')
			return false;
		if (text[i] == '.' && text[i + 1] == '.')
			return false;
	}
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The character after a backslash at *cursor; 0 when there is none. */
static char take_escape(const char **cursor)
{
	static const char from[] = "\"\\nrt", to[] = "\"\\\n\r\t";
	const char *s = *cursor, *known;
	int high, low;

	if (*s == 'x') {
		high = hex_digit(s[1]);
		low = high < 0 ? -1 : hex_digit(s[2]);
		*cursor += low < 0 ? 0 : 3;
		return low < 0 ? '\0' : (char)(high * 16 + low);
	}
	known = *s ? strchr(from, *s) : NULL;
	if (!known)
		return '\0';
	(*cursor)++;
	return to[known - from];
}

/* Writes nothing when out is NULL. */
static int unquote(const char *in, char *out)
{
	while (*in && *in != '"') {
		char c = *in++;

		if (c == '\\') {
			c = take_escape(&in);
			if (!c)
				return -EINVAL;
		}
		if (out)
			*out++ = c;
	}
	if (in[0] != '"' || in[1])
		return -EINVAL;
	if (out)
		*out = '\0';
	return 0;
}

int value_unquote(char *text)
{
	int r = text[0] == '"' ? unquote(text + 1, NULL) : 0;

	/* the result is never longer than what has been read, so it can be written over it */
	if (r == 0 && text[0] == '"')
		r = unquote(text + 1, text);
	return r;
}

/* By the lead byte: what the second byte may be, and how many bytes follow. RFC 3629 section 4. */
static const struct {
	uint8_t first, last;
	uint8_t second_min, second_max;
	uint8_t n_more;
} utf8_forms[] = {
	{ 0xc2, 0xdf, 0x80, 0xbf, 1 }, { 0xe0, 0xe0, 0xa0, 0xbf, 2 }, { 0xe1, 0xec, 0x80, 0xbf, 2 },
	{ 0xed, 0xed, 0x80, 0x9f, 2 }, { 0xee, 0xef, 0x80, 0xbf, 2 }, { 0xf0, 0xf0, 0x90, 0xbf, 3 },
	{ 0xf1, 0xf3, 0x80, 0xbf, 3 }, { 0xf4, 0xf4, 0x80, 0x8f, 3 },
};

/* Length of the multi-byte character at s, or 0. Stops at the final NUL, which is in no range. */
static size_t utf8_len(const uint8_t *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(utf8_forms); i++) {
		if (s[0] < utf8_forms[i].first || s[0] > utf8_forms[i].last)
			continue;
		if (s[1] < utf8_forms[i].second_min || s[1] > utf8_forms[i].second_max)
			return 0;
		for (size_t j = 2; j <= utf8_forms[i].n_more; j++)
			if ((s[j] & 0xc0) != 0x80)
				return 0;
		return 1U + utf8_forms[i].n_more;
	}
	return 0;
}

bool value_is_utf8(const char *text)
{
	const uint8_t *s = (const uint8_t *)text;

	while (*s) {
		size_t len = *s < 0x80 ? 1 : utf8_len(s);

		if (len == 0)
			return false;
		s += len;
	}
	return true;
}

static bool ends_word(char c)
{
	return (unsigned char)c <= ' ' && (c == '\0' || c == ' ' || c == '\t');
}

char *value_next_word(char **cursor)
{
	char *word = *cursor, *end;

	while (*word == ' ' || *word == '\t')
		word++;
	if (!*word)
		return NULL;
	for (end = word; !ends_word(*end); end++)
		;
	*cursor = *end ? end + 1 : end;
	*end = '\0';
	return word;
}

enum {
	DISTANCE_MAX = 63,
};

unsigned value_edit_distance(const char *a, const char *b)
{
	unsigned rows[3][DISTANCE_MAX + 1];
	size_t n_a = strnlen(a, DISTANCE_MAX), n_b = strnlen(b, DISTANCE_MAX);
	unsigned *before = rows[0], *last = rows[1], *row = rows[2];

	for (size_t j = 0; j <= n_b; j++)
		before[j] = last[j] = (unsigned)j;
	for (size_t i = 1; i <= n_a; i++) {
		unsigned *spare = before;

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= n_b; j++) {
			unsigned d = last[j - 1] + (a[i - 1] != b[j - 1]);

			d = MIN(d, last[j] + 1);
			d = MIN(d, row[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = MIN(d, before[j - 2] + 1);
			row[j] = d;
		}
		before = last;
		last = row;
		row = spare;
	}
	return last[n_b];
}

void value_suggest(struct value_suggestion *best, const char *text, const char *candidate)
{
	size_t len = strlen(text);
	unsigned distance;

	if (len > DISTANCE_MAX)
		return;
	distance = value_edit_distance(text, candidate);
	/* a third of the letters wrong is another word, not a slip */
	if (distance > MAX(len, strlen(candidate)) / 3)
		return;
	if (!best->name || distance < best->distance)
		*best = (struct value_suggestion){ candidate, distance };
}
