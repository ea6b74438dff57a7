/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The resolver process: takes questions from `fd`, asks name servers by c-ares, answers. Answers of name servers come
 * from the network, so it is a process of its own, as unprivileged as a health worker and under the same filter, and
 * not a part of one: a hostile answer that ends it costs no health check, and a worker without names to look up maps no
 * c-ares. Ends when the daemon closes its end. `ipvsd resolver`, with the socket as descriptor 3.
 */

#include "base/clock.h"

/*
 * fd: seqpacket socket, owned. user: whom to become when started as root. servers: comma-separated ADDRESS[:PORT], or
 * NULL for those of /etc/resolv.conf, whose search list is read in any case. Returns an exit status.
 */
int resolver_main(int fd, const char *user, usec_t timeout_usec, const char *servers);
