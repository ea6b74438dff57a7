/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/counters.h"

static const char *const names[_COUNTER_MAX] = {
	[COUNTER_FORWARDED_IN] = "forwarded-in",
	[COUNTER_FORWARDED_OUT] = "forwarded-out",
	[COUNTER_ICMP_FORWARDED] = "icmp-forwarded",
	[COUNTER_ICMP_REPLIED] = "icmp-replied",
	[COUNTER_ICMP_SENT] = "icmp-sent",
	[COUNTER_EXCEPTION] = "exception",
	[COUNTER_HANDED_OVER] = "handed-over",
	[COUNTER_HELD] = "held",
	[COUNTER_DROP_BAD] = "drop-bad",
	[COUNTER_DROP_RULES] = "drop-rules",
	[COUNTER_DROP_FULL] = "drop-full",
	[COUNTER_DROP_NO_DEST] = "drop-no-destination",
	[COUNTER_DROP_NEXTHOP] = "drop-next-hop",
	[COUNTER_DROP_PORTS] = "drop-ports",
	[COUNTER_DROP_FRAGMENT] = "drop-fragment",
	[COUNTER_DROP_ROOM] = "drop-room",
	[COUNTER_DROP_UNREPORTED] = "drop-unreported",
	[COUNTER_DROP_TX] = "drop-transmit",
	[COUNTER_DROP_HANDOVER] = "drop-handover",
	[COUNTER_DROP_EXCEPTION] = "drop-exception",
};

const char *counter_to_string(enum counter c)
{
	return c < _COUNTER_MAX ? names[c] : "?";
}
