/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The authorities that targets' certificates are verified against, where a target group asks for that: the system's,
 * or the file that SSL_CERT_FILE in the environment names. One for the process.
 */

/* Maps the file, while files can still be opened; nothing is read before it is needed. A lack of it is no error yet. */
void tls_store_prepare(void);

/* Makes libssl's SSL_CTX verify against it. -ENOKEY: there is no authority; -ENOMEM. */
int tls_store_use(void *ssl_ctx);
