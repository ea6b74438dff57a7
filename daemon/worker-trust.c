/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/worker-trust.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "conf/authorities.h"

_Static_assert((size_t)AUTHORITIES_CERTIFICATE_MAX <= (size_t)PROTOCOL_CERTIFICATE_MAX,
	       "what the configuration takes fits into a record");

struct worker_trust_set {
	uint64_t number;
	struct authorities *certificates; /* a reference */
	size_t sent;			  /* bytes of them that the worker has */
	bool wanted;
};

/* Groups, and so sets, are few beside targets. */
static struct worker_trust_set *find(struct worker_trust_set *sets, size_t n, uint64_t number)
{
	for (size_t i = 0; i < n; i++)
		if (sets[i].number == number)
			return &sets[i];
	return NULL;
}

static struct authorities *find_certificates(const struct worker_authorities *all, size_t n_all,
					     uint64_t number)
{
	for (size_t i = 0; i < n_all; i++)
		if (all[i].number == number)
			return all[i].certificates;
	assert(!"a specification with a number that nobody gave");
	return NULL;
}

int worker_trust_want(struct worker_trust *t, struct protocol_probe *const *probes, size_t n,
		      const struct worker_authorities *all, size_t n_all)
{
	struct worker_trust_set *sets, *last = NULL;

	if (t->n + n_all == 0)
		return 0;
	sets = reallocarray(t->sets, t->n + n_all, sizeof(*sets));
	if (!sets)
		return -ENOMEM;
	t->sets = sets;
	for (size_t i = 0; i < t->n; i++)
		sets[i].wanted = false;
	for (size_t i = 0; i < n; i++) {
		uint64_t number = probes[i]->authorities;

		if (!number || (last && last->number == number))
			continue;
		last = find(sets, t->n, number);
		if (!last) {
			last = &sets[t->n++];
			*last = (struct worker_trust_set){
				.number = number,
				.certificates =
					authorities_ref(find_certificates(all, n_all, number)),
			};
		}
		last->wanted = true;
	}
	return 0;
}

static int send_record(int fd, const void *record, size_t size)
{
	if (send(fd, record, size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	return errno == ENOBUFS ? -EAGAIN : -errno;
}

static int send_set(struct worker_trust_set *set, int fd)
{
	const struct authorities *a = set->certificates;
	struct protocol_authority_record record;

	while (set->sent < a->size) {
		size_t size = authorities_size_at(a, set->sent);
		int r;

		protocol_authority_init(&record, set->number, a->der + set->sent, size);
		r = send_record(fd, &record, record.authority.header.size);
		if (r < 0)
			return r;
		set->sent += size;
	}
	return 0;
}

int worker_trust_send(struct worker_trust *t, int fd)
{
	int r = 0;

	for (size_t i = 0; i < t->n && r == 0; i++)
		if (t->sets[i].wanted)
			r = send_set(&t->sets[i], fd);
	return r;
}

static void forget(struct worker_trust *t, size_t i)
{
	authorities_unref(t->sets[i].certificates);
	t->sets[i] = t->sets[--t->n];
}

int worker_trust_take_back(struct worker_trust *t, int fd)
{
	struct protocol_authorities_del del = { 0 };

	protocol_init(&del.header, PROTOCOL_AUTHORITIES_DEL, sizeof(del));
	for (size_t i = t->n; i-- > 0;) {
		int r = 0;

		if (t->sets[i].wanted)
			continue;
		del.authorities = t->sets[i].number;
		if (t->sets[i].sent)
			r = send_record(fd, &del, sizeof(del));
		if (r < 0)
			return r;
		forget(t, i);
	}
	return 0;
}

void worker_trust_restart(struct worker_trust *t)
{
	for (size_t i = t->n; i-- > 0;) {
		t->sets[i].sent = 0;
		if (!t->sets[i].wanted)
			forget(t, i);
	}
}

void worker_trust_deinit(struct worker_trust *t)
{
	while (t->n > 0)
		forget(t, t->n - 1);
	free(t->sets);
	t->sets = NULL;
}
