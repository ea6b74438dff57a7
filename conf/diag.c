/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conf/diag.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/value.h"

enum {
	MESSAGE_MAX = 1000,
};

void diag_list_deinit(struct diag_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->items[i].path);
		free(l->items[i].message);
	}
	free(l->items);
	*l = (struct diag_list){ 0 };
}

/* Room for one more; doubled at powers of two, so that no capacity need be kept. */
static bool diag_reserve(struct diag_list *l)
{
	struct diag *items;

	if (l->n & (l->n - 1))
		return true;
	items = reallocarray(l->items, l->n ? l->n * 2 : 1, sizeof(*items));
	if (!items)
		return false;
	l->items = items;
	return true;
}

/*
 * One line of bounded length, whatever bytes a value held: control characters would corrupt a terminal or forge a line
 * of the log, and what is not UTF-8 cannot go into JSON.
 */
static void diag_clean(char *s)
{
	bool utf8;

	if (strlen(s) >= MESSAGE_MAX + sizeof("..."))
		strcpy(s + MESSAGE_MAX, "...");
	utf8 = value_is_utf8(s);
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f || (!utf8 && (unsigned char)*s >= 0x80))
			*s = '?';
}

void diag_add(struct diag_list *l, enum diag_severity severity, const char *path, unsigned line,
	      const char *format, ...)
{
	_cleanup_free_ char *message = NULL, *path_copy = NULL;
	va_list ap;
	int r;

	assert(severity < _DIAG_SEVERITY_MAX);
	if (severity == DIAG_ERROR)
		l->n_errors++;
	if (l->n >= DIAGS_MAX) {
		l->n_dropped++;
		return;
	}
	path_copy = strdup(path);
	va_start(ap, format);
	r = vasprintf(&message, format, ap);
	va_end(ap);
	if (r < 0)
		message = NULL;
	if (!message || !path_copy || !diag_reserve(l)) {
		l->out_of_memory = true;
		return;
	}
	diag_clean(message);
	l->items[l->n++] = (struct diag){ .path = take_ptr(path_copy),
					  .line = line,
					  .severity = severity,
					  .message = take_ptr(message) };
}

bool diag_has_errors(const struct diag_list *l)
{
	return l->n_errors > 0 || l->out_of_memory;
}

static int diag_cmp(const struct diag *a, const struct diag *b)
{
	int c = strcmp(a->path, b->path);

	if (c)
		return c;
	return (a->line > b->line) - (a->line < b->line);
}

static void diag_merge(struct diag *to, const struct diag *from, size_t left, size_t mid,
		       size_t right)
{
	size_t i = left, j = mid;

	for (size_t k = left; k < right; k++) {
		if (i < mid && (j >= right || diag_cmp(&from[i], &from[j]) <= 0))
			to[k] = from[i++];
		else
			to[k] = from[j++];
	}
}

/* A merge sort, because qsort(3) promises no stability. */
void diag_sort(struct diag_list *l)
{
	_cleanup_free_ struct diag *spare = calloc(l->n ? l->n : 1, sizeof(*spare));

	if (!spare) {
		l->out_of_memory = true;
		return;
	}
	for (size_t width = 1; width < l->n; width *= 2) {
		for (size_t i = 0; i < l->n; i += 2 * width)
			diag_merge(spare, l->items, i, MIN(i + width, l->n),
				   MIN(i + 2 * width, l->n));
		memcpy(l->items, spare, l->n * sizeof(*spare));
	}
}

void diag_print(const struct diag_list *l, enum diag_severity least, FILE *f)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct diag *d = &l->items[i];

		if (d->severity > least)
			continue;
		if (d->line)
			(void)fprintf(f, "%s:%u: %s: %s\n", d->path, d->line,
				      diag_severity_to_string(d->severity), d->message);
		else
			(void)fprintf(f, "%s: %s: %s\n", d->path,
				      diag_severity_to_string(d->severity), d->message);
	}
	if (l->n_dropped)
		(void)fprintf(f, "%zu more findings are not shown\n", l->n_dropped);
	if (l->out_of_memory)
		(void)fprintf(f, "error: out of memory; findings are missing\n");
}

const char *diag_severity_to_string(enum diag_severity s)
{
	static const char *const names[_DIAG_SEVERITY_MAX] = {
		[DIAG_ERROR] = "error",
		[DIAG_WARNING] = "warning",
		[DIAG_NOTE] = "note",
	};

	assert(s < _DIAG_SEVERITY_MAX);
	return names[s];
}
