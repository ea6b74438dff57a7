/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lab/httpget.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "base/addr.h"
#include "tests/lab/lab.h"

const char *lab_outcome_to_string(enum lab_outcome o)
{
	static const char *const names[_LAB_OUTCOME_MAX] = {
		[LAB_ANSWERED] = "answered", [LAB_REFUSED] = "refused",	    [LAB_RESET] = "reset",
		[LAB_CUT] = "cut",	     [LAB_TIMED_OUT] = "timed out",
	};

	return names[o];
}

socklen_t lab_sockaddr(const char *address, uint16_t port, struct sockaddr_storage *ret)
{
	struct addr a;

	if (addr_parse(address, &a) < 0)
		return 0;
	return addr_to_sockaddr(&a, port, ret);
}

void lab_reply_finish(struct lab_reply *r, const char *head, size_t n_head, uint64_t total_bytes)
{
	char text[LAB_HEAD_MAX_BYTES + 1];
	unsigned long long length;
	const char *p, *body;

	n_head = MIN(n_head, (size_t)LAB_HEAD_MAX_BYTES);
	memcpy(text, head, n_head);
	text[n_head] = '\0';
	r->outcome = LAB_CUT;
	body = strstr(text, "\r\n\r\n");
	if (!body || sscanf(text, "HTTP/1.1 %d", &r->status) != 1)
		return;
	body += 4;
	p = strcasestr(text, "\r\nX-Target: ");
	if (p && p < body)
		(void)sscanf(p + 12, "%11[^\r]", r->target);
	(void)snprintf(r->body, sizeof(r->body), "%s", body);
	r->body_bytes = total_bytes - (uint64_t)(body - text);
	p = strcasestr(text, "\r\nContent-Length: ");
	if (p && p < body && sscanf(p + 18, "%llu", &length) == 1 && length == r->body_bytes)
		r->outcome = LAB_ANSWERED;
}

/* 0 when ready, -ETIMEDOUT at the deadline. */
static int wait_for(int fd, short events, usec_t deadline_usec)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	usec_t now = clock_monotonic_usec();
	int r = now >= deadline_usec
			? 0
			: poll(&pfd, 1, (int)((deadline_usec - now) / USEC_PER_MSEC) + 1);

	if (r < 0)
		return -errno;
	return r == 0 ? -ETIMEDOUT : 0;
}

static int connect_until(int fd, const struct lab_url *url, usec_t deadline_usec)
{
	struct sockaddr_storage ss;
	socklen_t len = lab_sockaddr(url->address, url->port, &ss);
	int error = 0, r;

	if (len == 0)
		return -EINVAL;
	if (connect(fd, (struct sockaddr *)&ss, len) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	r = wait_for(fd, POLLOUT, deadline_usec);
	if (r < 0)
		return r;
	len = sizeof(error);
	(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	return -error;
}

static void converse(int fd, const struct lab_url *url, usec_t deadline_usec, struct lab_reply *ret,
		     _Atomic uint64_t *received)
{
	char head[LAB_HEAD_MAX_BYTES], rest[16384];
	size_t n_head = 0;
	uint64_t total = 0;

	(void)snprintf(rest, sizeof(rest),
		       "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", url->path,
		       url->address);
	(void)!send(fd, rest, strlen(rest), MSG_NOSIGNAL);
	for (;;) {
		bool in_head = n_head < sizeof(head);
		ssize_t n;

		if (wait_for(fd, POLLIN, deadline_usec) < 0) {
			ret->outcome = LAB_TIMED_OUT;
			return;
		}
		n = in_head ? recv(fd, head + n_head, sizeof(head) - n_head, 0)
			    : recv(fd, rest, sizeof(rest), 0);
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n < 0) {
			ret->outcome = LAB_RESET;
			ret->error = errno;
			return;
		}
		if (n == 0)
			break;
		n_head += in_head ? (size_t)n : 0;
		total += (uint64_t)n;
		if (received)
			atomic_store(received, total);
	}
	lab_reply_finish(ret, head, n_head, total);
}

int lab_http_get(const struct lab_host *from, const struct lab_url *url, usec_t timeout_usec,
		 struct lab_reply *ret, _Atomic uint64_t *received)
{
	_cleanup_close_ int fd = lab_socket(from, strchr(url->address, ':') ? AF_INET6 : AF_INET,
					    SOCK_STREAM | SOCK_NONBLOCK, 0);
	usec_t deadline_usec;
	int r;

	if (fd < 0)
		return lab_fail(-fd, "socket on %s", from->name);
	*ret = (struct lab_reply){ .start_usec = clock_monotonic_usec() };
	deadline_usec = ret->start_usec + timeout_usec;
	r = connect_until(fd, url, deadline_usec);
	if (r == 0) {
		converse(fd, url, deadline_usec, ret, received);
	} else {
		ret->outcome = r == -ETIMEDOUT ? LAB_TIMED_OUT : LAB_REFUSED;
		ret->error = -r;
	}
	ret->end_usec = clock_monotonic_usec();
	return 0;
}

static void *download_main(void *userdata)
{
	struct lab_download *d = userdata;

	if (lab_http_get(d->from, &d->url, d->timeout_usec, &d->reply, &d->received_bytes) < 0)
		d->reply.outcome = LAB_REFUSED;
	return NULL;
}

int lab_download_start(struct lab_download *d, const struct lab_host *from,
		       const struct lab_url *url, usec_t timeout_usec)
{
	*d = (struct lab_download){ .from = from, .url = *url, .timeout_usec = timeout_usec };
	return lab_fail(pthread_create(&d->thread, NULL, download_main, d), "start a download");
}

void lab_download_wait(struct lab_download *d)
{
	(void)pthread_join(d->thread, NULL);
}
