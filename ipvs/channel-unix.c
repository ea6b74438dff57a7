/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipvs/channel-unix.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <linux/netlink.h>

#include "base/cleanup.h"
#include "ipvs/channel-exchange.h"

DEFINE_CLEANUP(struct channel *, channel_free)

/* Blocking until the listener has room for us, but no longer than the timeout. */
static int connect_within(int fd, const struct sockaddr_un *address, usec_t timeout_usec)
{
	struct timeval t = { .tv_sec = (time_t)(timeout_usec / USEC_PER_SEC),
			     .tv_usec = (suseconds_t)(timeout_usec % USEC_PER_SEC) };
	int flags;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

int channel_open_unix(const char *path, usec_t timeout_usec, struct channel **ret)
{
	_cleanup_(channel_free_p) struct channel *c = calloc(1, sizeof(*c));
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int r;

	if (!c)
		return -ENOMEM;
	c->fd = -1;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	c->timeout_usec = timeout_usec;
	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	r = connect_within(c->fd, &address, timeout_usec);
	if (r < 0)
		return r;
	c->tx_max = MIN(sizeof(c->tx), channel_buffer_size(c->fd, SO_SNDBUFFORCE, SO_SNDBUF) / 2);
	c->ops_max = SIZE_MAX; /* the other side keeps the answers until we read them */
	r = channel_resolve_family(c);
	if (r < 0)
		return r;
	*ret = take_ptr(c);
	return 0;
}

/* r is the length of the request in c->tx, or why there is none. */
static int run(struct channel *c, struct channel_exchange *x, int r)
{
	if (c->kernel)
		return -EOPNOTSUPP;
	return r < 0 ? r : channel_exchange(c, x, (size_t)r);
}

static int change(struct channel *c, const struct codec_header *h, int r)
{
	struct channel_exchange x = { .seq = h->seq };

	if (r > 0 && !c->kernel)
		c->writes++;
	return run(c, &x, r);
}

static int ask(struct channel *c, uint8_t cmd, uint16_t flags, channel_on_message on_message,
	       void *userdata)
{
	struct codec_header h = channel_header(c, flags);
	struct channel_exchange x = { .seq = h.seq,
				      .on_message = on_message,
				      .userdata = userdata,
				      .dump = (flags & NLM_F_DUMP) == NLM_F_DUMP };

	return run(c, &x, codec_plain_request(c->tx, c->tx_max, &h, cmd));
}

int channel_set_locals(struct channel *c, const struct addr *addrs, size_t n)
{
	struct codec_header h = channel_header(c, NLM_F_ACK);

	return change(c, &h, private_locals_request(c->tx, c->tx_max, &h, addrs, n));
}

struct locals {
	struct addr *addrs; /* owned */
	size_t n;
};

static int on_locals(const struct nlmsghdr *nlh, void *userdata)
{
	struct locals *l = userdata;
	size_t n;
	int r = private_parse_locals(nlh, l->addrs + l->n, PRIVATE_LOCALS_MAX - l->n, &n);

	if (r == 0)
		l->n += n;
	return r;
}

int channel_get_locals(struct channel *c, struct addr **ret, size_t *ret_n)
{
	_cleanup_free_ struct addr *addrs = calloc(PRIVATE_LOCALS_MAX, sizeof(*addrs));
	struct locals l = { .addrs = addrs };
	int r;

	if (!addrs)
		return -ENOMEM;
	r = ask(c, PRIVATE_CMD_GET_LOCALS, NLM_F_DUMP, on_locals, &l);
	if (r < 0)
		return r;
	*ret = take_ptr(addrs);
	*ret_n = l.n;
	return 0;
}

int channel_set_rules(struct channel *c, const struct ipvs_service_key *key,
		      const struct private_rule *rules, size_t n)
{
	struct codec_header h = channel_header(c, NLM_F_ACK);

	return change(c, &h, private_rules_request(c->tx, c->tx_max, &h, key, rules, n));
}

int channel_set_options(struct channel *c, const struct private_options *o)
{
	struct codec_header h = channel_header(c, NLM_F_ACK);

	return change(c, &h, private_options_request(c->tx, c->tx_max, &h, o));
}

static int on_options(const struct nlmsghdr *nlh, void *userdata)
{
	return private_parse_options(nlh, userdata);
}

int channel_get_options(struct channel *c, struct private_options *ret)
{
	return ask(c, PRIVATE_CMD_GET_OPTIONS, NLM_F_ACK, on_options, ret);
}

int channel_set_last_weight(struct channel *c, const struct ipvs_service_key *key,
			    const struct ipvs_dest *d, uint32_t last_weight)
{
	struct codec_header h = channel_header(c, NLM_F_ACK);

	return change(c, &h,
		      private_last_weight_request(c->tx, c->tx_max, &h, key, d, last_weight));
}

static int on_result(const struct nlmsghdr *nlh, void *userdata)
{
	struct private_result *sum = userdata, one;
	int r = private_parse_result(nlh, &one);

	for (int i = 0; r == 0 && i < _PRIVATE_OUTCOME_MAX; i++)
		sum->counts[i] += one.counts[i];
	return r;
}

int channel_insert_conns(struct channel *c, const struct private_conn *conns, size_t n,
			 struct private_result *ret)
{
	int r = 0;

	*ret = (struct private_result){ 0 };
	for (size_t done = 0, taken = 0; r == 0 && done < n; done += taken) {
		struct codec_header h = channel_header(c, NLM_F_REQUEST | NLM_F_ACK);
		struct channel_exchange x = { .seq = h.seq,
					      .on_message = on_result,
					      .userdata = ret };

		r = run(c, &x,
			private_conns_message(c->tx, c->tx_max, &h, conns + done, n - done,
					      &taken));
	}
	return r;
}

struct conns_dump {
	channel_on_conn on_conn;
	void *userdata;
};

static int on_conns(const struct nlmsghdr *nlh, void *userdata)
{
	const struct conns_dump *d = userdata;
	struct private_conn conn;
	size_t cursor = 0;
	int r;

	while ((r = private_next_conn(nlh, &cursor, &conn)) > 0) {
		r = d->on_conn(d->userdata, &conn);
		if (r < 0)
			break;
	}
	return r;
}

int channel_dump_conns(struct channel *c, channel_on_conn on_conn, void *userdata)
{
	struct conns_dump d = { .on_conn = on_conn, .userdata = userdata };

	return ask(c, PRIVATE_CMD_GET_CONNS, NLM_F_DUMP, on_conns, &d);
}

struct counted_dump {
	channel_on_worker on_worker; /* one of these two */
	channel_on_port on_port;
	void *userdata;
	struct private_counters *counters; /* owned */
};

static int on_counted(const struct nlmsghdr *nlh, void *userdata)
{
	const struct counted_dump *d = userdata;
	struct private_worker w;
	struct private_port p;
	int r;

	if (d->on_worker) {
		r = private_parse_worker(nlh, &w, d->counters);
		return r < 0 ? r : d->on_worker(d->userdata, &w, d->counters);
	}
	r = private_parse_port(nlh, &p, d->counters);
	return r < 0 ? r : d->on_port(d->userdata, &p, d->counters);
}

static int dump_counted(struct channel *c, uint8_t cmd, struct counted_dump d)
{
	_cleanup_free_ struct private_counters *counters = calloc(1, sizeof(*counters));

	if (!counters)
		return -ENOMEM;
	d.counters = counters;
	return ask(c, cmd, NLM_F_DUMP, on_counted, &d);
}

int channel_dump_workers(struct channel *c, channel_on_worker on_worker, void *userdata)
{
	return dump_counted(c, PRIVATE_CMD_GET_WORKERS,
			    (struct counted_dump){ .on_worker = on_worker, .userdata = userdata });
}

int channel_dump_ports(struct channel *c, channel_on_port on_port, void *userdata)
{
	return dump_counted(c, PRIVATE_CMD_GET_PORTS,
			    (struct counted_dump){ .on_port = on_port, .userdata = userdata });
}

int channel_attach_ports(struct channel *c, usec_t timeout_usec)
{
	struct codec_header h = channel_header(c, NLM_F_ACK);
	usec_t usual = c->timeout_usec;
	int r;

	c->timeout_usec = timeout_usec;
	r = change(c, &h, codec_plain_request(c->tx, c->tx_max, &h, PRIVATE_CMD_ATTACH_PORTS));
	c->timeout_usec = usual;
	return r;
}

int channel_hold_routes(struct channel *c, bool hold)
{
	struct codec_header h = channel_header(c, NLM_F_ACK);

	return change(c, &h,
		      codec_plain_request(c->tx, c->tx_max, &h,
					  hold ? PRIVATE_CMD_HOLD_ROUTES
					       : PRIVATE_CMD_FOLLOW_ROUTES));
}

static int on_status(const struct nlmsghdr *nlh, void *userdata)
{
	return private_parse_status(nlh, userdata);
}

int channel_get_status(struct channel *c, struct private_status *ret)
{
	return ask(c, PRIVATE_CMD_GET_STATUS, NLM_F_ACK, on_status, ret);
}
