/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Diagnostics of a configuration run: every finding, in the order of file and line. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
	DIAGS_MAX =
		10000, /* what is more is a file of another kind, and would only fill the memory */
};

enum diag_severity {
	DIAG_ERROR,   /* nothing is applied */
	DIAG_WARNING, /* applied; the operator should look */
	DIAG_NOTE,    /* e.g. a key that has no effect yet */
	_DIAG_SEVERITY_MAX,
};

struct diag {
	char *path;    /* owned */
	unsigned line; /* 1-based; 0 = the file as a whole */
	enum diag_severity severity;
	char *message; /* owned, one line of at most 1003 bytes of UTF-8, no final dot */
};

struct diag_list {
	struct diag *items; /* owned */
	size_t n;
	size_t n_errors;
	size_t n_dropped;   /* beyond DIAGS_MAX: counted, not kept */
	bool out_of_memory; /* a finding was lost: counts as an error */
};

void diag_list_deinit(struct diag_list *l);

/* Never fails to be noticed: on lack of memory sets out_of_memory. */
void diag_add(struct diag_list *l, enum diag_severity severity, const char *path, unsigned line,
	      const char *format, ...) __attribute__((format(printf, 5, 6)));

bool diag_has_errors(const struct diag_list *l);

/* Stable by path and line. */
void diag_sort(struct diag_list *l);

/* "file:line: error: message", a line each, of this severity or worse. */
void diag_print(const struct diag_list *l, enum diag_severity least, FILE *f);

const char *diag_severity_to_string(enum diag_severity s);
