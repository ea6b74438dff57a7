/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The authorities that targets' certificates are verified against, where a target group asks for that: its own, or the
 * system's, which are one store for the process: the file that SSL_CERT_FILE in the environment names, or the
 * distribution's.
 *
 * Each certificate of a store is trusted by itself, whether it is a root or not; of the system's libcurl sees to that.
 */

#include <stddef.h>

struct tls_store;

/*
 * Maps the system's file, and has the C library read what verification needs, while files can still be opened. Nothing
 * else is read before it is needed; a lack of the file is no error yet.
 */
void tls_store_prepare(void);

/* An empty store of a group's own; NULL = no memory. */
struct tls_store *tls_store_new(void);
struct tls_store *tls_store_ref(struct tls_store *s);

/* NULL is fine, here only. */
void tls_store_unref(struct tls_store *s);

/*
 * One certificate in DER. One that libcrypto does not take spoils the store: a target is not to be judged by the others
 * alone.
 */
void tls_store_add(struct tls_store *s, const void *certificate, size_t size);

/*
 * Makes libssl's SSL_CTX verify against it; NULL = the system's. -ENOKEY: there is no authority; -EKEYREJECTED: the
 * store is spoiled; -ENOMEM.
 */
int tls_store_use(const struct tls_store *s, void *ssl_ctx);
