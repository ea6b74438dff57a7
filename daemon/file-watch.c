/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/file-watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

enum {
	STEPS_MAX = 64, /* directories on the way */
	LINKS_MAX = 40, /* as the kernel: MAXSYMLINKS */
	POSTPONED_MAX = 1000,
};

/* Several changes at once, as of rm and mv, are one. */
#define SETTLE_USEC (20 * USEC_PER_MSEC)
/* Where this user has no more watches: fs.inotify.max_user_watches. */
#define RETRY_USEC USEC_PER_SEC

#define WAY_EVENTS                                                                                 \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF |     \
	 IN_ATTRIB | IN_ONLYDIR)
#define FILE_EVENTS (IN_MODIFY | IN_CLOSE_WRITE)

/* A directory on the way, and what is looked up in it. */
struct step {
	struct file_watch *watch; /* borrowed */
	sd_event_source *source;  /* owned */
	char name[NAME_MAX + 1];
	bool last; /* name is the file */
};

struct file_watch {
	sd_event *event; /* owned reference */
	char *path;	 /* owned */
	file_watch_fn on_change;
	void *userdata;
	struct step *steps; /* owned; STEPS_MAX */
	size_t n_steps;
	unsigned postponed;
	sd_event_source *settle; /* owned */
	bool being_written, moved;
};

static void free_steps(struct step *steps, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sd_event_source_disable_unref(steps[i].source);
	free(steps);
}

static void settle(struct file_watch *w)
{
	(void)sd_event_source_set_time_relative(w->settle, SETTLE_USEC);
	(void)sd_event_source_set_enabled(w->settle, SD_EVENT_ONESHOT);
}

/* A link is made with its content; a file that was opened anew is yet to be written. */
static bool is_whole(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink > 1;
}

static int on_inotify(sd_event_source *s, const struct inotify_event *e, void *userdata)
{
	struct step *step = userdata;
	struct file_watch *w = step->watch;

	(void)s;
	if (e->mask & (IN_Q_OVERFLOW | IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) {
		w->moved = true;
		/* That the writer has closed the file may be among what was lost; and if it has not, that is told yet. */
		if (e->mask & IN_Q_OVERFLOW)
			w->being_written = false;
		settle(w);
		return 0;
	}
	if (!e->len || strcmp(e->name, step->name) != 0)
		return 0;
	if (!step->last || !(e->mask & FILE_EVENTS)) {
		w->moved = true;
		if (step->last && e->mask & IN_CREATE)
			w->being_written = !is_whole(w->path);
		else if (e->mask & (IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE))
			w->being_written = false;
		settle(w);
		return 0;
	}
	w->being_written = e->mask & IN_MODIFY;
	if (!w->being_written)
		settle(w);
	return 0;
}

/* Watches `directory` for `name`. 0; -ENOENT and the like: it is not there. */
static int add_step(struct file_watch *w, const char *directory, const char *name)
{
	struct step *step = &w->steps[w->n_steps];
	int r;

	if (w->n_steps == STEPS_MAX || strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	*step = (struct step){ .watch = w };
	strcpy(step->name, name);
	r = sd_event_add_inotify(w->event, &step->source, directory, WAY_EVENTS | FILE_EVENTS,
				 on_inotify, step);
	if (r < 0)
		return r;
	w->n_steps++;
	return 0;
}

/* The next component of *rest, cut off; NULL at its end. */
static char *next_component(char **rest)
{
	char *start = *rest, *end;

	while (*start == '/')
		start++;
	if (!*start)
		return NULL;
	end = strchrnul(start, '/');
	*rest = *end ? end + 1 : end;
	*end = '\0';
	return start;
}

static void go_up(char *directory)
{
	char *slash = strrchr(directory, '/');

	slash[slash == directory ? 1 : 0] = '\0';
}

/*
 * One component, looked up in *directory: watched first and looked at afterwards, so that no change falls in between.
 * Leaves in *directory where the way goes on and puts a link's target before *rest. -ENOENT: the way ends here.
 */
static int walk_one(struct file_watch *w, char directory[static PATH_MAX], const char *name,
		    char rest[static PATH_MAX], unsigned *links)
{
	char path[PATH_MAX], target[PATH_MAX], joined[PATH_MAX];
	ssize_t len;
	int r, n;

	if (strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0) {
		go_up(directory);
		return 0;
	}
	r = add_step(w, directory, name);
	if (r < 0)
		return r;
	n = snprintf(path, sizeof(path), "%s%s%s", directory,
		     strcmp(directory, "/") == 0 ? "" : "/", name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0) {
		strcpy(directory, path);
		return errno == EINVAL ? 0 : -errno;
	}
	target[len] = '\0';
	if (++*links > LINKS_MAX)
		return -ELOOP;
	n = snprintf(joined, sizeof(joined), "%s/%s", target, rest);
	if (n < 0 || (size_t)n >= sizeof(joined))
		return -ENAMETOOLONG;
	strcpy(rest, joined);
	if (target[0] == '/')
		strcpy(directory, "/");
	return 0;
}

static int walk_all(struct file_watch *w)
{
	char directory[PATH_MAX] = "/", buffer[PATH_MAX], rest[PATH_MAX], name[NAME_MAX + 1];
	unsigned links = 0;
	int r = 0;

	w->moved = false;
	if (strlen(w->path) >= sizeof(rest))
		return -ENAMETOOLONG;
	strcpy(rest, w->path);
	for (;;) {
		char *left = buffer, *component;

		strcpy(buffer, rest);
		component = next_component(&left);
		if (!component)
			break;
		if (strlen(component) > NAME_MAX)
			return -ENAMETOOLONG;
		strcpy(name, component);
		memmove(rest, left, strlen(left) + 1);
		r = walk_one(w, directory, name, rest, &links);
		if (r < 0)
			break;
	}
	if (w->n_steps && (r == 0 || (r == -ENOENT && !rest[strspn(rest, "/")])))
		w->steps[w->n_steps - 1].last = true;
	/* What is not there is waited for where the way ends. Other errors are a lack of memory, or of watches. */
	return r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -ENAMETOOLONG || r == -EACCES
		       ? 0
		       : r;
}

/*
 * The new watches are there before the old ones go: a directory that has both is one watch of the kernel, and what it
 * has told already, as that the writer has closed the file, is for the new ones.
 */
static int walk(struct file_watch *w)
{
	struct step *old = w->steps, *steps = calloc(STEPS_MAX, sizeof(*steps));
	size_t n_old = w->n_steps;
	int r;

	if (!steps)
		return -ENOMEM;
	w->steps = steps;
	w->n_steps = 0;
	r = walk_all(w);
	free_steps(old, n_old);
	return r;
}

/* What is on its way to a watch, whose turn in the loop comes next, would be lost with it. */
static bool is_pending(const struct file_watch *w)
{
	for (size_t i = 0; i < w->n_steps; i++)
		if (sd_event_source_get_pending(w->steps[i].source) > 0)
			return true;
	return false;
}

static int on_settled(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct file_watch *w = userdata;

	(void)usec;
	if (w->moved && is_pending(w)) {
		/* Without end it is as an overflow: whatever was told is lost. */
		if (w->postponed++ < POSTPONED_MAX) {
			(void)sd_event_source_set_time_relative(s, 0);
			(void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
			return 0;
		}
		w->being_written = false;
	}
	w->postponed = 0;
	if (w->moved && walk(w) < 0) {
		w->moved = true;
		(void)sd_event_source_set_time_relative(s, RETRY_USEC);
		(void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
	}
	if (!w->being_written)
		w->on_change(w, w->userdata);
	return 0;
}

int file_watch_new(sd_event *event, const char *path, file_watch_fn on_change, void *userdata,
		   struct file_watch **ret)
{
	struct file_watch *w;
	int r;

	if (path[0] != '/')
		return -EINVAL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->event = sd_event_ref(event);
	w->on_change = on_change;
	w->userdata = userdata;
	w->path = strdup(path);
	r = w->path ? 0 : -ENOMEM;
	if (r == 0)
		r = sd_event_add_time_relative(event, &w->settle, CLOCK_MONOTONIC, 0, 1, on_settled,
					       w);
	if (r >= 0)
		r = sd_event_source_set_enabled(w->settle, SD_EVENT_OFF);
	if (r >= 0)
		r = walk(w);
	if (r < 0) {
		file_watch_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void file_watch_free(struct file_watch *w)
{
	if (!w)
		return;
	free_steps(w->steps, w->n_steps);
	sd_event_source_disable_unref(w->settle);
	sd_event_unref(w->event);
	free(w->path);
	free(w);
}

void file_watch_check_soon(struct file_watch *w)
{
	settle(w);
}

bool file_watch_is_being_written(const struct file_watch *w)
{
	return w->being_written;
}
