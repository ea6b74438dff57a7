/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Tells when a path leads to another content: written in place, replaced by rename, led elsewhere by any symbolic link
 * on the way (Kubernetes exchanges ..data), removed, made. By inotify on every directory on the way, without polling;
 * the file need not exist, nor its directories.
 */

#include <stdbool.h>
#include <systemd/sd-event.h>

struct file_watch;

/* The content may be another, and nobody is writing it: read it now. */
typedef void (*file_watch_fn)(struct file_watch *w, void *userdata);

/* path: absolute. What changes after the return is told. */
int file_watch_new(sd_event *event, const char *path, file_watch_fn on_change, void *userdata,
		   struct file_watch **ret);
void file_watch_free(struct file_watch *w);

/* As if it had changed: for who has read it before the watch was there. */
void file_watch_check_soon(struct file_watch *w);

/* Has somebody begun to write the file in place, and not closed it? Then what is in it may be half of it. */
bool file_watch_is_being_written(const struct file_watch *w);
