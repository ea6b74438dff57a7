/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/fd.h"

#include <errno.h>
#include <unistd.h>

int fd_read_all(int fd, char *buf, size_t size, size_t *ret_len_bytes)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, buf + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret_len_bytes = len;
	return 0;
}

int fd_write_all(int fd, const char *buf, size_t len_bytes)
{
	while (len_bytes > 0) {
		ssize_t n = write(fd, buf, len_bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buf += n;
		len_bytes -= (size_t)n;
	}
	return 0;
}
