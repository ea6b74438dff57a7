/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The certificates of a health-check-ca-file: PEM (RFC 7468) in, DER out. Pure.
 *
 * No library for X.509: the daemon runs as root and only carries the certificates. Each has to be a whole DER element of
 * a certificate's outer form (RFC 5280, 4.1), so that a file that is cut off, or another kind of file, is noticed when it
 * is read; what is in it the worker judges (health/tls-store.h). Of other blocks of the file, such as a private key,
 * nothing is kept.
 */

#include <stdbool.h>
#include <stddef.h>

enum {
	AUTHORITIES_FILE_MAX = 1 << 20,	     /* bytes of PEM */
	AUTHORITIES_CERTIFICATE_MAX = 16384, /* bytes of DER */
};

/* Shared, and never changed: groups that name one file have the same object, and so has who hands it to workers. */
struct authorities {
	unsigned refs;
	size_t n;	     /* certificates, at least one */
	size_t size;	     /* bytes */
	unsigned char der[]; /* one behind the other */
};

struct authorities_fault {
	unsigned line; /* in the text; 0 = none in particular */
	const char *what;
};

/* 0 and a reference; -EINVAL and the first fault; -ENOMEM. */
int authorities_parse(const char *text, size_t len, struct authorities **ret,
		      struct authorities_fault *ret_fault);

struct authorities *authorities_ref(struct authorities *a);

/* NULL is fine. */
void authorities_unref(struct authorities *a);

/* The same certificates in the same order? */
bool authorities_eq(const struct authorities *a, const struct authorities *b);

/* The size of the certificate that begins at this offset, which is less than a->size. */
size_t authorities_size_at(const struct authorities *a, size_t offset);
