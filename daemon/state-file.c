/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/state-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "daemon/state.h"

#define STATE_NAME "state.json"

enum {
	STATE_MAX_BYTES = 64 << 20,
};

static int read_whole(int fd, char **ret, size_t *ret_len)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t len = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > STATE_MAX_BYTES)
		return -EBADMSG;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	while (len < (size_t)st.st_size) {
		ssize_t n = read(fd, text + len, (size_t)st.st_size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret = take_ptr(text);
	*ret_len = len;
	return 0;
}

int state_file_load(const char *directory, struct state *ret)
{
	_cleanup_close_ int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r;

	if (dir < 0)
		return -errno;
	fd = openat(dir, STATE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	r = read_whole(fd, &text, &len);
	if (r == 0)
		r = state_parse(text, len, ret);
	if (r == -EBADMSG || r == -EPROTONOSUPPORT)
		(void)renameat(dir, STATE_NAME, dir, STATE_NAME ".damaged");
	return r;
}

static int write_whole(int fd, const char *text, size_t len, enum state_file_sync sync)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return sync == STATE_FILE_DURABLE && fsync(fd) < 0 ? -errno : 0;
}

int state_file_save(const char *directory, const json_t *document, enum state_file_sync sync)
{
	_cleanup_free_ char *text = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
	_cleanup_close_ int dir = -1, fd = -1;
	int r;

	if (!text)
		return -ENOMEM;
	dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	fd = openat(dir, STATE_NAME ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		    0600);
	if (fd < 0)
		return -errno;
	r = write_whole(fd, text, strlen(text), sync);
	if (r == 0 && renameat(dir, STATE_NAME ".new", dir, STATE_NAME) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dir, STATE_NAME ".new", 0);
		return r;
	}
	return sync == STATE_FILE_DURABLE && fsync(dir) < 0 ? -errno : 0;
}
