/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/tls-store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/library.h"

/* Of libraries that libcurl has loaded already: it is Debian's, which is linked with these. */
#define LIBCRYPTO_FUNCTIONS(X)                                                                     \
	X(BIO_free)                                                                                \
	X(BIO_new_mem_buf)                                                                         \
	X(ERR_clear_error)                                                                         \
	X(PEM_read_bio_X509)                                                                       \
	X(X509_STORE_add_cert)                                                                     \
	X(X509_STORE_free)                                                                         \
	X(X509_STORE_new)                                                                          \
	X(X509_STORE_set_flags)                                                                    \
	X(X509_free)                                                                               \
	X(d2i_X509)

static struct {
#define MEMBER(name) __typeof__(name) *name;
	LIBCRYPTO_FUNCTIONS(MEMBER)
	MEMBER(SSL_CTX_set1_cert_store)
#undef MEMBER
} openssl;

static struct {
	const void *pem; /* owned mapping; NULL = no file */
	size_t size;
	X509_STORE *store; /* owned; made when it is first used */
} authorities;

struct tls_store {
	unsigned refs;
	X509_STORE *store; /* owned; NULL where libcrypto is missing */
	int error;	   /* what its use results in; 0 = nothing */
};

static bool map_file(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > INT_MAX)
		return false;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return false;
	authorities.pem = p;
	authorities.size = (size_t)st.st_size;
	return true;
}

static bool find_functions(void)
{
	static const struct library_function crypto_functions[] = {
#define FUNCTION(name) { #name, &openssl.name },
		LIBCRYPTO_FUNCTIONS(FUNCTION)
#undef FUNCTION
	};
	static const struct library_function ssl_functions[] = {
		{ "SSL_CTX_set1_cert_store", &openssl.SSL_CTX_set1_cert_store },
	};
	static struct library crypto = { "libcrypto.so.3", crypto_functions,
					 ARRAY_SIZE(crypto_functions) };
	static struct library ssl = { "libssl.so.3", ssl_functions, ARRAY_SIZE(ssl_functions) };

	return library_load(&crypto) == 0 && library_load(&ssl) == 0;
}

void tls_store_prepare(void)
{
	static const char *const paths[] = {
		"/etc/ssl/certs/ca-certificates.crt", /* Debian */
		"/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
		"/etc/ssl/cert.pem",
	};
	const char *path = secure_getenv("SSL_CERT_FILE");

	/* The C library's gmtime_r(), which a certificate's dates are compared with, reads /etc/localtime once. */
	tzset();
	if (authorities.pem || !find_functions())
		return;
	if (path) {
		(void)map_file(path);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(paths) && !map_file(paths[i]); i++)
		;
}

/* How many were added. */
static unsigned add_all(X509_STORE *store, BIO *bio)
{
	unsigned n = 0;
	X509 *x;

	while ((x = openssl.PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		n += openssl.X509_STORE_add_cert(store, x) == 1;
		openssl.X509_free(x);
	}
	openssl.ERR_clear_error(); /* the end of the file is one */
	return n;
}

static int make_store(void)
{
	X509_STORE *store = openssl.X509_STORE_new();
	BIO *bio = openssl.BIO_new_mem_buf(authorities.pem, (int)authorities.size);
	int r = 0;

	if (!store || !bio)
		r = -ENOMEM;
	else if (add_all(store, bio) == 0)
		r = -ENOKEY;
	(void)openssl.BIO_free(bio);
	if (r < 0)
		openssl.X509_STORE_free(store);
	else
		authorities.store = store;
	return r;
}

struct tls_store *tls_store_new(void)
{
	struct tls_store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->refs = 1;
	s->error = -ENOKEY;
	if (!openssl.SSL_CTX_set1_cert_store) /* found last */
		return s;
	s->store = openssl.X509_STORE_new();
	if (!s->store) {
		free(s);
		return NULL;
	}
	(void)openssl.X509_STORE_set_flags(s->store, X509_V_FLAG_PARTIAL_CHAIN);
	return s;
}

struct tls_store *tls_store_ref(struct tls_store *s)
{
	s->refs++;
	return s;
}

void tls_store_unref(struct tls_store *s)
{
	if (!s || --s->refs > 0)
		return;
	if (s->store)
		openssl.X509_STORE_free(s->store);
	free(s);
}

void tls_store_add(struct tls_store *s, const void *certificate, size_t size)
{
	const unsigned char *at = certificate;
	X509 *x;

	if (!s->store || s->error == -EKEYREJECTED)
		return;
	x = openssl.d2i_X509(NULL, &at, (long)size);
	if (x && at == (const unsigned char *)certificate + size &&
	    openssl.X509_STORE_add_cert(s->store, x) == 1)
		s->error = 0;
	else
		s->error = -EKEYREJECTED;
	openssl.X509_free(x);
	openssl.ERR_clear_error();
}

static int use_system(void *ssl_ctx)
{
	int r;

	if (!authorities.pem)
		return -ENOKEY;
	if (!authorities.store) {
		r = make_store();
		if (r < 0)
			return r;
	}
	openssl.SSL_CTX_set1_cert_store(ssl_ctx, authorities.store);
	return 0;
}

int tls_store_use(const struct tls_store *s, void *ssl_ctx)
{
	if (!s)
		return use_system(ssl_ctx);
	if (s->error == 0)
		openssl.SSL_CTX_set1_cert_store(ssl_ctx, s->store);
	return s->error;
}
