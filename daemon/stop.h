/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The end of the daemon, as `stop` in [ipvsd] says: keep (the traffic runs on), drain (weights 0, wait for the
 * connections, then remove), flush (remove our services at once).
 */

struct manager;

/* Called once; ends the loop now or when the drain is over. */
void stop_begin(struct manager *m);
