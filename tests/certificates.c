/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/certificates.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

enum {
	DAY_SEC = 86400,
};

static const struct {
	const char *names; /* subjectAltName */
	long from_sec, to_sec;
	bool self_signed;
	enum certificate_authority authority;
} kinds[_CERTIFICATE_MAX] = {
	[CERTIFICATE_GOOD] = { "DNS:www.example.com,IP:127.0.0.1", -DAY_SEC, DAY_SEC, false, 0 },
	[CERTIFICATE_EXPIRED] = { "DNS:www.example.com,IP:127.0.0.1", -2 * DAY_SEC, -DAY_SEC, false,
				  0 },
	[CERTIFICATE_FUTURE] = { "DNS:www.example.com,IP:127.0.0.1", DAY_SEC, 2 * DAY_SEC, false,
				 0 },
	[CERTIFICATE_WRONG_NAME] = { "DNS:other.example.com", -DAY_SEC, DAY_SEC, false, 0 },
	[CERTIFICATE_SELF_SIGNED] = { "DNS:www.example.com,IP:127.0.0.1", -DAY_SEC, DAY_SEC, true,
				      0 },
	[CERTIFICATE_OF_OTHER] = { "DNS:www.example.com,IP:127.0.0.1", -DAY_SEC, DAY_SEC, false,
				   CERTIFICATE_AUTHORITY_OTHER },
};

static struct {
	EVP_PKEY *key; /* owned, of all: whose key it is does not matter here */
	X509 *authorities[_CERTIFICATE_AUTHORITY_MAX];
	X509 *certificates[_CERTIFICATE_MAX];
	SSL_CTX *servers[_CERTIFICATE_MAX];
} made;

static void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *e;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert(e && X509_add_ext(x, e, -1) == 1);
	X509_EXTENSION_free(e);
}

static X509 *make(const char *name, X509 *issuer, long serial, long from_sec, long to_sec)
{
	X509 *x = X509_new();
	X509_NAME *subject = X509_get_subject_name(x);

	assert(x && X509_set_version(x, X509_VERSION_3) == 1);
	(void)ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
	(void)X509_gmtime_adj(X509_getm_notBefore(x), from_sec);
	(void)X509_gmtime_adj(X509_getm_notAfter(x), to_sec);
	(void)X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name,
					 -1, -1, 0);
	(void)X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x));
	(void)X509_set_pubkey(x, made.key);
	return x;
}

static void sign(X509 *x)
{
	int size = X509_sign(x, made.key, EVP_sha256());

	assert(size > 0);
}

static X509 *authority(enum certificate_authority which)
{
	static const char *const names[] = { "Test authority", "Another authority" };
	X509 *x;

	if (!made.key)
		made.key = EVP_EC_gen("P-256");
	assert(made.key);
	if (made.authorities[which])
		return made.authorities[which];
	x = make(names[which], NULL, 1, -30L * DAY_SEC, 30L * DAY_SEC);
	add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE");
	sign(x);
	return made.authorities[which] = x;
}

static X509 *certificate(enum certificate which)
{
	X509 *issuer = authority(kinds[which].authority), *x;

	if (made.certificates[which])
		return made.certificates[which];
	x = make("server", kinds[which].self_signed ? NULL : issuer, 2 + (long)which,
		 kinds[which].from_sec, kinds[which].to_sec);
	add_extension(x, issuer, NID_subject_alt_name, kinds[which].names);
	sign(x);
	return made.certificates[which] = x;
}

SSL_CTX *certificate_server(enum certificate which)
{
	SSL_CTX *ctx = made.servers[which];

	if (ctx)
		return ctx;
	ctx = SSL_CTX_new(TLS_server_method());
	assert(ctx && SSL_CTX_use_certificate(ctx, certificate(which)) == 1);
	assert(SSL_CTX_use_PrivateKey(ctx, made.key) == 1);
	return made.servers[which] = ctx;
}

static size_t to_der(X509 *x, const unsigned char **ret)
{
	unsigned char *der = NULL;
	int size = i2d_X509(x, &der);

	assert(size > 0);
	*ret = der;
	return (size_t)size;
}

size_t certificate_der(enum certificate which, const unsigned char **ret)
{
	static const unsigned char *der[_CERTIFICATE_MAX];
	static size_t sizes[_CERTIFICATE_MAX];

	if (!der[which])
		sizes[which] = to_der(certificate(which), &der[which]);
	*ret = der[which];
	return sizes[which];
}

size_t certificate_authority_der(enum certificate_authority which, const unsigned char **ret)
{
	static const unsigned char *der[_CERTIFICATE_AUTHORITY_MAX];
	static size_t sizes[_CERTIFICATE_AUTHORITY_MAX];

	if (!der[which])
		sizes[which] = to_der(authority(which), &der[which]);
	*ret = der[which];
	return sizes[which];
}

static FILE *open_file(const char *path)
{
	FILE *f = fopen(path, "we");

	assert(f);
	return f;
}

void certificate_write_authority(const char *path)
{
	certificate_write_authority_of(CERTIFICATE_AUTHORITY, path);
}

void certificate_write_authority_of(enum certificate_authority which, const char *path)
{
	_cleanup_fclose_ FILE *f = open_file(path);

	(void)PEM_write_X509(f, authority(which));
}

#define AUTHORITY_PATH "/tmp/ipvsd-authority-XXXXXX"

const char *certificate_trust(enum certificate_authority which)
{
	static char path[sizeof(AUTHORITY_PATH)];
	int fd;

	memcpy(path, AUTHORITY_PATH, sizeof(path));
	fd = mkstemp(path);
	assert(fd >= 0);
	(void)fchmod(fd, 0644); /* the worker is another user */
	(void)close(fd);
	certificate_write_authority_of(which, path);
	(void)setenv("SSL_CERT_FILE", path, 1);
	return path;
}

void certificate_write(enum certificate which, const char *certificate_path, const char *key_path)
{
	_cleanup_fclose_ FILE *certificate_file = open_file(certificate_path);
	_cleanup_fclose_ FILE *key_file = open_file(key_path);

	(void)PEM_write_X509(certificate_file, certificate(which));
	(void)PEM_write_PrivateKey(key_file, made.key, NULL, NULL, 0, NULL, NULL);
}
