/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Certificates made on the spot, good and bad ones, by one authority. Failures abort the test. */

#include <openssl/ssl.h>

enum certificate {
	CERTIFICATE_GOOD, /* for www.example.com and 127.0.0.1 */
	CERTIFICATE_EXPIRED,
	CERTIFICATE_FUTURE,
	CERTIFICATE_WRONG_NAME, /* for other.example.com */
	CERTIFICATE_SELF_SIGNED,
	_CERTIFICATE_MAX,
};

/* Of the process; made when it is first asked for. Borrowed. */
SSL_CTX *certificate_server(enum certificate which);

/* As files: the authority alone, and a certificate with its key, for programs that serve. */
void certificate_write_authority(const char *path);
void certificate_write(enum certificate which, const char *certificate_path, const char *key_path);
