/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conf/authorities.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum {
	DER_SEQUENCE = 0x30,
	DER_BIT_STRING = 0x03,
	DER_LONG = 0x80, /* the length is in as many bytes as the other bits say */
	DER_LENGTH_BYTES_MAX = 3,
};

#define BEGIN "-----BEGIN "
#define END "-----END "
#define DASHES "-----"

/* An element of DER, whose length has one form only. */
struct element {
	size_t head, size; /* size: the head's and the content's */
};

static bool der_element(const unsigned char *p, size_t left, unsigned tag, struct element *ret)
{
	size_t length, n;

	if (left < 2 || p[0] != tag)
		return false;
	if (p[1] < DER_LONG) {
		*ret = (struct element){ 2, 2 + (size_t)p[1] };
		return ret->size <= left;
	}
	n = p[1] - DER_LONG;
	if (n == 0 || n > DER_LENGTH_BYTES_MAX || left < 2 + n || p[2] == 0)
		return false;
	length = 0;
	for (size_t i = 0; i < n; i++)
		length = length << 8 | p[2 + i];
	*ret = (struct element){ 2 + n, 2 + n + length };
	return length >= DER_LONG && ret->size <= left;
}

/* What is to be signed, the algorithm, and the signature, and nothing else. */
static bool is_certificate(const unsigned char *p, size_t size)
{
	static const unsigned tags[] = { DER_SEQUENCE, DER_SEQUENCE, DER_BIT_STRING };
	struct element e;
	size_t at;

	if (!der_element(p, size, DER_SEQUENCE, &e) || e.size != size)
		return false;
	at = e.head;
	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		if (!der_element(p + at, size - at, tags[i], &e))
			return false;
		at += e.size;
	}
	return at == size;
}

struct pem {
	struct authorities *out; /* owned; has room for all that the text can hold */
	struct authorities_fault *fault;
	unsigned begin_line; /* of the certificate that is being read; 0 = none is */
	size_t begin;	     /* its offset in out->der */
	uint32_t bits;	     /* of a quantum of base64 */
	unsigned n_digits, n_padding;
};

static bool fail(struct pem *p, unsigned line, const char *what)
{
	*p->fault = (struct authorities_fault){ line, what };
	return false;
}

static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* Padding stands at the very end, in the place of one or two digits of the last quantum. */
static bool take_digit(struct pem *p, char c)
{
	int value = c == '=' ? 0 : digit_value(c);
	unsigned place = p->n_digits % 4;

	if (value < 0 || (p->n_padding && (c != '=' || place == 0)) || (c == '=' && place < 2))
		return false;
	p->n_padding += c == '=';
	p->bits = p->bits << 6 | (uint32_t)value;
	p->n_digits++;
	if (place < 3)
		return true;
	for (unsigned i = 0; i < 3 - p->n_padding; i++)
		p->out->der[p->out->size++] = (unsigned char)(p->bits >> (16 - 8 * i));
	return true;
}

static bool take_base64(struct pem *p, unsigned line, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] != ' ' && text[i] != '\t' && !take_digit(p, text[i]))
			return fail(p, line, "this is not base64");
	return true;
}

static bool end_certificate(struct pem *p)
{
	size_t size = p->out->size - p->begin;
	unsigned line = p->begin_line;

	p->begin_line = 0;
	if (p->n_digits % 4)
		return fail(p, line, "the certificate that begins here lacks a part");
	if (size > AUTHORITIES_CERTIFICATE_MAX)
		return fail(p, line, "the certificate that begins here is larger than 16 KiB");
	if (!is_certificate(p->out->der + p->begin, size))
		return fail(p, line, "what begins here is no certificate, or lacks a part");
	p->out->n++;
	return true;
}

static bool begins(const char *text, size_t len, const char *with)
{
	return len >= strlen(with) && memcmp(text, with, strlen(with)) == 0;
}

/* "-----BEGIN CERTIFICATE-----", or the older label that is still met. */
static bool is_boundary(const char *text, size_t len, const char *which)
{
	static const char *const labels[] = { "CERTIFICATE" DASHES, "X509 CERTIFICATE" DASHES };

	if (!begins(text, len, which))
		return false;
	text += strlen(which);
	len -= strlen(which);
	for (size_t i = 0; i < ARRAY_SIZE(labels); i++)
		if (len == strlen(labels[i]) && memcmp(text, labels[i], len) == 0)
			return true;
	return false;
}

static bool take_line(struct pem *p, unsigned line, const char *text, size_t len)
{
	if (!p->begin_line) {
		if (is_boundary(text, len, BEGIN)) {
			p->begin_line = line;
			p->begin = p->out->size;
			p->n_digits = p->n_padding = 0;
		}
		return true;
	}
	if (is_boundary(text, len, END))
		return end_certificate(p);
	if (begins(text, len, DASHES))
		return fail(p, p->begin_line, "the certificate that begins here has no end");
	return take_base64(p, line, text, len);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool take_text(struct pem *p, const char *text, size_t len)
{
	unsigned line = 0;

	while (len > 0) {
		const char *newline = memchr(text, '\n', len);
		size_t whole = newline ? (size_t)(newline - text) + 1 : len, n = whole;

		while (n > 0 && is_blank(text[n - 1]))
			n--;
		if (!take_line(p, ++line, text, n))
			return false;
		text += whole;
		len -= whole;
	}
	if (p->begin_line)
		return fail(p, p->begin_line, "the certificate that begins here has no end");
	return true;
}

/* Without any certificate it is perhaps the other form. */
static const char *describe_lack(const char *text, size_t len)
{
	if (len > 1 && (unsigned char)text[0] == DER_SEQUENCE && (unsigned char)text[1] >= DER_LONG)
		return "no certificate in it: it looks like DER, PEM is expected; convert it by "
		       "openssl x509 -inform der";
	return "no certificate in it: PEM is expected, " BEGIN "CERTIFICATE" DASHES;
}

int authorities_parse(const char *text, size_t len, struct authorities **ret,
		      struct authorities_fault *ret_fault)
{
	/* four digits make three bytes */
	struct authorities *a = malloc(sizeof(*a) + len), *shrunk;
	struct pem p = { .out = a, .fault = ret_fault };

	if (!a)
		return -ENOMEM;
	*a = (struct authorities){ .refs = 1 };
	if (!take_text(&p, text, len) || (a->n == 0 && !fail(&p, 0, describe_lack(text, len)))) {
		free(a);
		return -EINVAL;
	}
	shrunk = realloc(a, sizeof(*a) + a->size);
	*ret = shrunk ? shrunk : a;
	return 0;
}

struct authorities *authorities_ref(struct authorities *a)
{
	a->refs++;
	return a;
}

void authorities_unref(struct authorities *a)
{
	if (a && --a->refs == 0)
		free(a);
}

bool authorities_eq(const struct authorities *a, const struct authorities *b)
{
	return a == b || (a->size == b->size && memcmp(a->der, b->der, a->size) == 0);
}

size_t authorities_size_at(const struct authorities *a, size_t offset)
{
	struct element e;
	bool whole = der_element(a->der + offset, a->size - offset, DER_SEQUENCE, &e);

	assert(whole);
	return e.size;
}
