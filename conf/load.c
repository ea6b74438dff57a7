/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conf/load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "conf/authorities.h"
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/parse.h"
#include "conf/targets-file.h"
#include "conf/validate.h"

enum {
	FILE_SIZE_MAX = 16 << 20,
};

/* Where a failure to read is reported, and what reading was for. */
struct load_place {
	struct diag_list *diags;
	const char *path;
	unsigned line;
	const char *prefix;
	size_t size_max; /* 0 = FILE_SIZE_MAX; such a file must be a regular one, too */
};

static const char *remedy(int error)
{
	switch (error) {
	case ENOENT:
		return "; create it, or name another";
	case EACCES:
	case EPERM:
		return "; make it readable for this user, or run as root";
	case EISDIR:
		return "; name a file in it";
	default:
		return "";
	}
}

static int report(const struct load_place *at, const char *file, int error)
{
	diag_add(at->diags, DIAG_ERROR, at->path, at->line, "%scannot read %s: %s%s", at->prefix,
		 file, strerror(error), remedy(error));
	return -EINVAL;
}

static void report_size(const struct load_place *at, const char *file)
{
	if (at->size_max)
		diag_add(at->diags, DIAG_ERROR, at->path, at->line, "%s%s is larger than %zu KiB",
			 at->prefix, file, at->size_max >> 10);
	else
		diag_add(at->diags, DIAG_ERROR, at->path, at->line,
			 "%s%s is larger than 16 MiB; split it over conf.d or a targets-file",
			 at->prefix, file);
}

/* -EINVAL has been reported; -ENOMEM. */
static int read_file(const struct load_place *at, const char *path, char **ret, size_t *ret_len)
{
	/* a FIFO without a writer would block here for ever */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t size, len = 0, size_max = at->size_max ? at->size_max : FILE_SIZE_MAX;
	int r;

	if (fd < 0)
		return report(at, path, errno);
	if (fstat(fd, &st) < 0)
		return report(at, path, errno);
	if (S_ISDIR(st.st_mode))
		return report(at, path, EISDIR);
	if (!S_ISREG(st.st_mode) && (at->size_max || !S_ISCHR(st.st_mode))) {
		diag_add(at->diags, DIAG_ERROR, at->path, at->line, "%s%s is not a regular file",
			 at->prefix, path);
		return -EINVAL;
	}
	/* one byte more than it says, so that a file that is growing is noticed */
	size = S_ISREG(st.st_mode) && (size_t)st.st_size < size_max ? (size_t)st.st_size + 1
								    : size_max + 1;
	text = malloc(size);
	if (!text)
		return -ENOMEM;
	r = fd_read_all(fd, text, size, &len);
	if (r < 0)
		return report(at, path, -r);
	if (len > size_max || (len == size && (size_t)st.st_size > size_max)) {
		report_size(at, path);
		return -EINVAL;
	}
	if (len == size) {
		diag_add(at->diags, DIAG_ERROR, at->path, at->line,
			 "%s%s grew while it was read; try again", at->prefix, path);
		return -EINVAL;
	}
	*ret = take_ptr(text);
	*ret_len = len;
	return 0;
}

static int load_file(struct parse *p, const char *path)
{
	struct load_place at = { p->diags, path, 0, "", 0 };
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = read_file(&at, path, &text, &len);

	if (r < 0)
		return r == -EINVAL ? 0 : r;
	return parse_text(p, path, text, len);
}

/* The directory of the main file, ending in a slash, or "" for the present one. */
static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strndup(path, slash ? (size_t)(slash - path) + 1 : 0);
}

static int is_drop_in(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".conf") == 0;
}

/* By bytes, not by locale: the order is the same on every host. */
static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int load_drop_ins(struct parse *p, const char *main_path, const char *directory)
{
	struct load_place at = { p->diags, main_path, 0, "", 0 };
	_cleanup_free_ char *conf_d = NULL;
	struct dirent **entries = NULL;
	int n, r = 0;

	if (asprintf(&conf_d, "%sconf.d", directory) < 0) {
		conf_d = NULL;
		return -ENOMEM;
	}
	n = scandir(conf_d, &entries, is_drop_in, compare_names);
	if (n < 0) {
		if (errno != ENOENT)
			(void)report(&at, conf_d, errno); /* the others are still worth a look */
		return 0;
	}
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = NULL;

		if (r == 0 && asprintf(&path, "%s/%s", conf_d, entries[i]->d_name) < 0) {
			path = NULL;
			r = -ENOMEM;
		}
		if (r == 0)
			r = load_file(p, path);
		free(entries[i]);
	}
	free(entries);
	return r;
}

/* From here on the key names the file that is read. directory: of the main file. */
static int resolve(char **path, const char *directory)
{
	char *resolved = NULL;

	if (asprintf(&resolved, "%s%s", (*path)[0] == '/' ? "" : directory, *path) < 0)
		return -ENOMEM;
	free(*path);
	*path = resolved;
	return 0;
}

static int load_targets_file(struct parse *p, const struct parse_section *s)
{
	const struct conf_group *g = &p->conf->groups[s->index];
	struct load_place at = { p->diags, s->origin.path, parse_line_of(s, "targets-file"),
				 "targets-file: ", 0 };
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	r = read_file(&at, g->targets_file, &text, &len);
	if (r < 0)
		return r == -EINVAL ? 0 : r;
	r = parse_targets(p, s->index, g->targets_file, text, len);
	if (r < 0)
		return r;
	if (!g->n_file_targets && !diag_has_errors(p->diags))
		diag_add(p->diags, DIAG_WARNING, g->targets_file, 0,
			 "no target in the file; a daemon that has some of it keeps them");
	return 0;
}

static int load_targets_files(struct parse *p, const char *directory, bool read)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->n_sections; i++) {
		const struct parse_section *s = &p->sections[i];

		if (s->kind != KEY_SECTION_GROUP || !p->conf->groups[s->index].targets_file)
			continue;
		r = resolve(&p->conf->groups[s->index].targets_file, directory);
		if (r == 0 && read)
			r = load_targets_file(p, s);
	}
	return r;
}

/* A file that many groups name is read once. */
static struct authorities *find_authorities(const struct conf *c, const char *path)
{
	for (size_t i = 0; i < c->n_groups; i++) {
		const struct conf_health_check *check = &c->groups[i].check;

		if (check->authorities && strcmp(check->ca_file, path) == 0)
			return check->authorities;
	}
	return NULL;
}

static int read_authorities(const struct load_place *at, const char *path, struct authorities **ret,
			    struct authorities_fault *ret_fault)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	*ret_fault = (struct authorities_fault){ 0 };
	r = read_file(at, path, &text, &len);
	return r < 0 ? r : authorities_parse(text, len, ret, ret_fault);
}

static int load_group_authorities(struct parse *p, const struct parse_section *s)
{
	struct conf_health_check *check = &p->conf->groups[s->index].check;
	const struct load_place at = { p->diags, s->origin.path,
				       parse_line_of(s, "health-check-ca-file"),
				       "health-check-ca-file: ", AUTHORITIES_FILE_MAX };
	struct authorities *known = find_authorities(p->conf, check->ca_file);
	struct authorities_fault fault;
	int r;

	if (known) {
		check->authorities = authorities_ref(known);
		return 0;
	}
	r = read_authorities(&at, check->ca_file, &check->authorities, &fault);
	if (fault.line)
		diag_add(at.diags, DIAG_ERROR, at.path, at.line, "%s%s:%u: %s", at.prefix,
			 check->ca_file, fault.line, fault.what);
	else if (fault.what)
		diag_add(at.diags, DIAG_ERROR, at.path, at.line, "%s%s: %s", at.prefix,
			 check->ca_file, fault.what);
	return r == -EINVAL ? 0 : r;
}

static int load_all_authorities(struct parse *p, const char *directory, bool read)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->n_sections; i++) {
		const struct parse_section *s = &p->sections[i];

		if (s->kind != KEY_SECTION_GROUP || !p->conf->groups[s->index].check.ca_file)
			continue;
		r = resolve(&p->conf->groups[s->index].check.ca_file, directory);
		if (r == 0 && read)
			r = load_group_authorities(p, s);
	}
	return r;
}

/* files: are those that groups name read? */
static int load_all(struct parse *p, const char *path, bool files)
{
	_cleanup_free_ char *directory = directory_of(path);
	int r;

	if (!directory)
		return -ENOMEM;
	r = load_file(p, path);
	if (r == 0)
		r = load_drop_ins(p, path, directory);
	if (r == 0)
		r = load_targets_files(p, directory, files);
	if (r == 0)
		r = load_all_authorities(p, directory, files);
	return r < 0 ? r : validate(p);
}

static int load(const char *path, bool files, struct conf **ret_conf, struct diag_list *diags)
{
	_cleanup_(parse_deinit) struct parse p = { 0 };
	int r = parse_init(&p, diags);

	if (r == 0)
		r = load_all(&p, path, files);
	diag_sort(diags);
	if (r < 0)
		return r;
	if (diags->out_of_memory)
		return -ENOMEM;
	if (diag_has_errors(diags))
		return -EINVAL;
	*ret_conf = parse_take(&p);
	return 0;
}

int conf_load(const char *path, struct conf **ret_conf, struct diag_list *diags)
{
	return load(path, true, ret_conf, diags);
}

int conf_load_own(const char *path, struct conf **ret_conf, struct diag_list *diags)
{
	return load(path, false, ret_conf, diags);
}

int load_targets(const struct conf *c, size_t group, const char *path, struct diag_list *diags,
		 struct conf_target **ret, size_t *ret_n)
{
	struct load_place at = { diags, path, 0, "", 0 };
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = read_file(&at, path, &text, &len);

	if (r == 0)
		r = targets_file_parse(c, group, path, text, len, diags, ret, ret_n);
	diag_sort(diags);
	return r;
}

int load_authorities(const char *path, struct diag_list *diags, struct authorities **ret)
{
	const struct load_place at = { diags, path, 0, "", AUTHORITIES_FILE_MAX };
	struct authorities_fault fault;
	int r = read_authorities(&at, path, ret, &fault);

	if (fault.what)
		diag_add(diags, DIAG_ERROR, path, fault.line, "%s", fault.what);
	return r;
}
