/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Certificates made on the spot, good and bad ones, by one authority but for one. Failures abort the test. */

#include <openssl/ssl.h>
#include <stddef.h>

enum certificate {
	CERTIFICATE_GOOD, /* for www.example.com and 127.0.0.1 */
	CERTIFICATE_EXPIRED,
	CERTIFICATE_FUTURE,
	CERTIFICATE_WRONG_NAME, /* for other.example.com */
	CERTIFICATE_SELF_SIGNED,
	CERTIFICATE_OF_OTHER, /* as the good one, by the other authority */
	_CERTIFICATE_MAX,
};

/* Of the process; made when it is first asked for. Borrowed. */
SSL_CTX *certificate_server(enum certificate which);

enum certificate_authority {
	CERTIFICATE_AUTHORITY,
	CERTIFICATE_AUTHORITY_OTHER,
	_CERTIFICATE_AUTHORITY_MAX,
};

/* In DER, in memory of the process; return its size. */
size_t certificate_der(enum certificate which, const unsigned char **ret);
size_t certificate_authority_der(enum certificate_authority which, const unsigned char **ret);

/* As files: the authority alone, and a certificate with its key, for programs that serve. */
void certificate_write_authority(const char *path);
void certificate_write_authority_of(enum certificate_authority which, const char *path);
void certificate_write(enum certificate which, const char *certificate_path, const char *key_path);

/* A file of its own with this authority, which any user can read, becomes the system's (SSL_CERT_FILE). Its path, until the next call. */
const char *certificate_trust(enum certificate_authority which);
