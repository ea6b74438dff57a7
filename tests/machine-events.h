/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Events of the fast path's machine, in short. */

#include "daemon/fastpath-machine.h"

#define E(...) ((struct fastpath_event){ __VA_ARGS__ })
#define DONE E(.kind = FASTPATH_DONE)
#define FAILED E(.kind = FASTPATH_FAILED, .reason = "it failed")
#define AGAIN E(.kind = FASTPATH_AGAIN)
#define ON E(.kind = FASTPATH_SWITCH_ON)
#define OFF E(.kind = FASTPATH_SWITCH_OFF)
#define BEAT E(.kind = FASTPATH_BEAT, .attached = true)
#define EMPTY_BEAT E(.kind = FASTPATH_BEAT)
#define CLOSED E(.kind = FASTPATH_CLOSED)
#define EXITED E(.kind = FASTPATH_EXITED, .reason = "it ended")
#define TROUBLE E(.kind = FASTPATH_TROUBLE, .reason = "it is in trouble")
#define TIME E(.kind = FASTPATH_TIME)
#define ADOPT E(.kind = FASTPATH_ADOPT)
#define ENABLE E(.kind = FASTPATH_CONFIGURED, .enabled = true)
#define DISABLE E(.kind = FASTPATH_CONFIGURED)
#define CHANGE E(.kind = FASTPATH_CONFIGURED, .enabled = true, .changed = true)
