/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What names.c shares with the other names-*.c; nobody else. */

#include <systemd/sd-event.h>

#include "daemon/discovery.h"
#include "daemon/file-watch.h"
#include "daemon/names.h"
#include "daemon/resolver-link.h"

struct authorities;
struct diag_list;

struct lookup {
	struct discovery discovery;
	uint32_t id;		    /* of the question that is under way */
	usec_t asked_usec;	    /* monotonic */
	enum discovery_status told; /* what the last event said of it */
};

/* A file that a target group names. */
struct followed_file {
	struct names *names; /* borrowed */
	const char *kind;    /* of its events; static */
	char group[CONF_NAME_MAX + 1];
	char *path;		  /* owned */
	struct file_watch *watch; /* owned; NULL = it could not be watched */
	char *error;		  /* owned; why the file on disk is not in effect; NULL = it is */
	usec_t read_wall_usec;	  /* when its content was last taken */
};

/* One group's targets-file. */
struct targets_file {
	struct followed_file file;
	struct conf_target *targets; /* owned; they borrow the file's path */
	size_t n;
	bool unsaved; /* the copy in the state directory may be another */
};

/* A health-check-ca-file, of every group that names it; file.group is the first of them. */
struct authorities_file {
	struct followed_file file;
	struct authorities
		*authorities; /* a reference: the last good ones; NULL = there were none yet */
	size_t n_groups;
};

struct names {
	struct manager *manager; /* borrowed */
	struct lookup **lookups; /* owned; sorted by discovery_cmp() */
	size_t n_lookups;
	struct targets_file **files; /* owned */
	size_t n_files;
	struct authorities_file **ca_files; /* owned */
	size_t n_ca_files;
	struct roster roster;	    /* what the registry was built from; borrows from the above */
	struct resolver_link *link; /* owned */
	struct file_watch *resolv_conf;			       /* owned */
	sd_event_source *ask_timer, *apply_timer, *save_timer; /* owned */
	uint32_t next_id;
	bool saved; /* is there a names.json? */
};

/* The registry and the plane follow, in a moment, several changes at once. */
void names_apply_soon(struct names *n);

/* What is known, to the state directory. */
void names_save_soon(struct names *n);

/* Watches it; where that cannot be, says so. userdata: on_change's. -ENOMEM; to be deinitialised all the same. */
int followed_file_init(struct followed_file *f, struct names *names, const char *kind,
		       const char *group, const char *path, file_watch_fn on_change,
		       void *userdata);
void followed_file_deinit(struct followed_file *f);
bool followed_file_is_being_written(const struct followed_file *f);

/*
 * Notes what is wrong with it: true when that is something new, to be said. And that nothing is any more, which it says
 * itself.
 */
bool followed_file_condemn(struct followed_file *f, const struct diag_list *diags);
void followed_file_forgive(struct followed_file *f);

/* Keeps, makes and drops the files that m->conf names. -ENOMEM. */
int names_follow_files(struct names *n);
const struct targets_file *names_find_file(const struct names *n, const struct conf_group *g);
void names_free_files(struct names *n);

/* The same for health-check-ca-file. */
int names_follow_authorities(struct names *n);
const struct authorities_file *names_find_ca_file(const struct names *n,
						  const struct conf_group *g);
void names_free_authorities(struct names *n);

/* Those that are in effect for a group, or will be when the configuration is. Borrowed; NULL = none of its own. */
struct authorities *names_choose_authorities(const struct names *n, const struct conf *c,
					     const struct conf_group *g);

/* Of a configuration that is not in effect yet: is what runs now newer, or whole? */
bool names_file_is_kept(const struct targets_file *f, const struct conf_group *g);

/* The last good list of f, where there is one. group: f's, an index into the configuration's. */
void names_copies_restore(struct targets_file *f, size_t group);

/* Lists that are unsaved; those of files that are no longer followed go. */
void names_copies_save(struct names *n);
void names_copies_remove_others(const struct names *n);

/* Lookups of an earlier daemon, as many as there are; -ENOMEM. */
int names_restore(struct names *n);
