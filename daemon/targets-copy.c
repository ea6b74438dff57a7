/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/targets-copy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/targets-file.h"
#include "daemon/state.h"

#define HEAD "# ipvsd-targets 1 "

enum {
	HEAD_LEN = sizeof(HEAD) - 1,
	SUM_LEN = 16,
	SUMMED_AT = HEAD_LEN + SUM_LEN, /* the space before READ */
	READ_MAX = 20,
};

static uint64_t sum_of(const char *text, size_t len_bytes)
{
	return state_hash_bytes(state_hash_add(STATE_VERSION, len_bytes), text, len_bytes);
}

static void print_target(FILE *f, const struct conf_target *t)
{
	char text[ADDR_PORT_STR_MAX];

	if (t->host)
		(void)fprintf(f, t->port ? "%s:%u" : "%s", t->host, t->port);
	else
		(void)fputs(t->port ? addr_port_format(&t->addr, t->port, text)
				    : addr_format(&t->addr, text),
			    f);
	(void)fprintf(f, " weight=%u", t->weight);
	if (*t->zone)
		(void)fprintf(f, " zone=%s", t->zone);
	(void)fputc('\n', f);
}

int targets_copy_format(const char *path, const struct conf_target *targets, size_t n,
			usec_t read_wall_usec, char **ret_text, size_t *ret_len_bytes)
{
	_cleanup_free_ char *text = NULL;
	char sum[SUM_LEN + 1];
	size_t len = 0;
	bool failed;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return -ENOMEM;
	(void)fprintf(f, HEAD "%0*d %" PRIu64 " %s\n", SUM_LEN, 0, (uint64_t)read_wall_usec, path);
	for (size_t i = 0; i < n; i++)
		print_target(f, &targets[i]);
	failed = ferror(f);
	if (fclose(f) != 0 || failed)
		return -ENOMEM;
	(void)snprintf(sum, sizeof(sum), "%016" PRIx64, sum_of(text + SUMMED_AT, len - SUMMED_AT));
	memcpy(text + HEAD_LEN, sum, SUM_LEN);
	*ret_text = take_ptr(text);
	*ret_len_bytes = len;
	return 0;
}

/* What the first line says, and what follows it. */
struct copy {
	usec_t read_wall_usec;
	const char *path, *lines; /* borrowed; path ends with the line */
	size_t path_len, lines_len;
};

static int split(const char *text, size_t len_bytes, struct copy *ret)
{
	const char *end = text + len_bytes, *newline, *read = text + SUMMED_AT + 1, *space;
	char sum[SUM_LEN + 1], number[READ_MAX + 1];
	uint64_t usec;

	if (len_bytes <= SUMMED_AT || memcmp(text, HEAD, HEAD_LEN) != 0 || text[SUMMED_AT] != ' ')
		return -EBADMSG;
	(void)snprintf(sum, sizeof(sum), "%016" PRIx64,
		       sum_of(text + SUMMED_AT, len_bytes - SUMMED_AT));
	newline = memchr(read, '\n', (size_t)(end - read));
	if (memcmp(text + HEAD_LEN, sum, SUM_LEN) != 0 || !newline)
		return -EBADMSG;
	space = memchr(read, ' ', (size_t)(newline - read));
	if (!space || space - read > READ_MAX)
		return -EBADMSG;
	memcpy(number, read, (size_t)(space - read));
	number[space - read] = '\0';
	if (number_parse(number, INT64_MAX, &usec) < 0)
		return -EBADMSG;
	*ret = (struct copy){ usec, space + 1, newline + 1, (size_t)(newline - space - 1),
			      (size_t)(end - newline - 1) };
	return 0;
}

static bool bytes_eq(const char *a, size_t len_a, const char *b, size_t len_b)
{
	return len_a == len_b && memcmp(a, b, len_a) == 0;
}

bool targets_copy_eq(const char *a, size_t len_a_bytes, const char *b, size_t len_b_bytes)
{
	struct copy x, y;

	return split(a, len_a_bytes, &x) == 0 && split(b, len_b_bytes, &y) == 0 &&
	       bytes_eq(x.path, x.path_len, y.path, y.path_len) &&
	       bytes_eq(x.lines, x.lines_len, y.lines, y.lines_len);
}

int targets_copy_parse(const struct conf *c, size_t group, const char *path, const char *text,
		       size_t len_bytes, struct conf_target **ret, size_t *ret_n,
		       usec_t *ret_read_wall_usec)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	struct copy copy;
	int r = split(text, len_bytes, &copy);

	if (r == 0 && !bytes_eq(copy.path, copy.path_len, path, strlen(path)))
		r = -ESTALE;
	if (r == 0)
		r = targets_file_parse(c, group, path, copy.lines, copy.lines_len, &diags, ret,
				       ret_n);
	if (r == 0)
		*ret_read_wall_usec = copy.read_wall_usec;
	return r;
}
