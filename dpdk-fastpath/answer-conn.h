/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A connection as the director has it and as the control socket carries it. Pure. */

struct director_conn;
struct private_conn;

void answer_conn_to_private(const struct director_conn *c, struct private_conn *ret);

/*
 * -EINVAL: what no plane of ours holds: sequence numbers that differ, a client port that is still open, one packet,
 * full NAT without its source address. -ENOENT: made by a firewall mark.
 */
int answer_conn_from_private(const struct private_conn *c, struct director_conn *ret);
