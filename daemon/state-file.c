/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/state-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"

enum {
	MAX_BYTES = 64 << 20,
};

static const char *with_suffix(const char *name, const char *suffix, char buf[STATE_FILE_NAME_MAX])
{
	(void)snprintf(buf, STATE_FILE_NAME_MAX, "%s%s", name, suffix);
	return buf;
}

static int read_whole(int fd, char **ret, size_t *ret_len)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t len = 0;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > MAX_BYTES)
		return -EBADMSG;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	r = fd_read_all(fd, text, (size_t)st.st_size, &len);
	if (r < 0)
		return r;
	*ret = take_ptr(text);
	*ret_len = len;
	return 0;
}

int state_file_read(int directory_fd, const char *name, char **ret_text, size_t *ret_len_bytes)
{
	_cleanup_close_ int fd =
		openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0) /* ELOOP: a symbolic link, which we never make */
		return errno == ELOOP ? -EBADMSG : -errno;
	return read_whole(fd, ret_text, ret_len_bytes);
}

int state_file_write(int directory_fd, const char *name, const char *text, size_t len_bytes)
{
	char fresh[STATE_FILE_NAME_MAX];
	_cleanup_close_ int fd = -1;
	int r;

	fd = openat(directory_fd, with_suffix(name, STATE_FILE_NEW_SUFFIX, fresh),
		    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, text, len_bytes);
	if (r < 0) {
		state_file_abandon(directory_fd, name);
		return r;
	}
	return take_fd(&fd);
}

int state_file_put(int directory_fd, const char *name)
{
	char fresh[STATE_FILE_NAME_MAX];

	with_suffix(name, STATE_FILE_NEW_SUFFIX, fresh);
	return renameat(directory_fd, fresh, directory_fd, name) < 0 ? -errno : 0;
}

int state_file_keep_old(int directory_fd, const char *name)
{
	char old[STATE_FILE_NAME_MAX];

	state_file_drop_old(directory_fd, name);
	with_suffix(name, STATE_FILE_OLD_SUFFIX, old);
	return linkat(directory_fd, name, directory_fd, old, 0) < 0 ? -errno : 0;
}

void state_file_drop_old(int directory_fd, const char *name)
{
	char old[STATE_FILE_NAME_MAX];

	(void)unlinkat(directory_fd, with_suffix(name, STATE_FILE_OLD_SUFFIX, old), 0);
}

int state_file_go_back(int directory_fd, const char *name)
{
	char old[STATE_FILE_NAME_MAX];

	with_suffix(name, STATE_FILE_OLD_SUFFIX, old);
	return renameat(directory_fd, old, directory_fd, name) < 0 ? -errno : 0;
}

int state_file_append(int directory_fd, const char *name, const char *text, size_t len_bytes,
		      bool anew)
{
	_cleanup_close_ int fd = -1;

	fd = openat(directory_fd, name,
		    O_WRONLY | O_CLOEXEC | O_NOFOLLOW | (anew ? O_CREAT | O_TRUNC : O_APPEND),
		    0600);
	return fd < 0 ? -errno : fd_write_all(fd, text, len_bytes);
}

void state_file_abandon(int directory_fd, const char *name)
{
	char fresh[STATE_FILE_NAME_MAX];

	(void)unlinkat(directory_fd, with_suffix(name, STATE_FILE_NEW_SUFFIX, fresh), 0);
}

int state_file_sync(int directory_fd, const char *name)
{
	_cleanup_close_ int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int state_file_set_aside(int directory_fd, const char *name)
{
	char aside[STATE_FILE_NAME_MAX];

	with_suffix(name, STATE_FILE_DAMAGED_SUFFIX, aside);
	return renameat(directory_fd, name, directory_fd, aside) < 0 ? -errno : 0;
}
