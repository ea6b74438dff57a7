/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/bench/kernel-table.h"

#include <linux/ip_vs.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "base/cleanup.h"
#include "ipvs/codec.h"
#include "tests/lab/lab.h"

struct kernel_table {
	struct nl_sock *sock; /* owned */
	uint16_t family;
	uint32_t seq;
	_Alignas(8) uint8_t request[1024];
	/* Of the exchange under way. */
	uint16_t service_family;
	const struct addr *wanted;
	int64_t weight;
	int n, error;
	bool done;
};

DEFINE_CLEANUP(struct kernel_table *, kernel_table_free)

void kernel_table_free(struct kernel_table *t)
{
	if (!t)
		return;
	nl_socket_free(t->sock);
	free(t);
}

static int on_valid(struct nl_msg *msg, void *userdata)
{
	struct kernel_table *t = userdata;
	struct ipvs_dest d;

	t->n++;
	if (!t->wanted)
		return NL_OK;
	t->error = codec_parse_dest(nlmsg_hdr(msg), t->service_family, &d);
	if (t->error == 0 && addr_eq(&d.addr, t->wanted))
		t->weight = d.weight;
	return NL_OK;
}

static int on_end(struct nl_msg *msg, void *userdata)
{
	(void)msg;
	((struct kernel_table *)userdata)->done = true;
	return NL_STOP;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *userdata)
{
	struct kernel_table *t = userdata;

	(void)from;
	t->error = e->error;
	t->done = true;
	return NL_STOP;
}

int kernel_table_open(const struct lab_host *host, struct kernel_table **ret)
{
	_cleanup_(kernel_table_free_p) struct kernel_table *t = calloc(1, sizeof(*t));
	_lab_leave_ int back = -1;
	int r;

	if (!t)
		return -ENOMEM;
	t->sock = nl_socket_alloc();
	if (!t->sock)
		return -ENOMEM;
	r = lab_enter(host, &back);
	if (r < 0)
		return r;
	if (genl_connect(t->sock) < 0)
		return lab_fail(EIO, "generic netlink");
	r = genl_ctrl_resolve(t->sock, IPVS_GENL_NAME);
	if (r < 0)
		return lab_fail(ENOENT, "this kernel has no IPVS");
	t->family = (uint16_t)r;
	nl_socket_disable_seq_check(t->sock);
	nl_socket_disable_auto_ack(t->sock);
	if (nl_socket_modify_cb(t->sock, NL_CB_VALID, NL_CB_CUSTOM, on_valid, t) < 0 ||
	    nl_socket_modify_cb(t->sock, NL_CB_FINISH, NL_CB_CUSTOM, on_end, t) < 0 ||
	    nl_socket_modify_cb(t->sock, NL_CB_ACK, NL_CB_CUSTOM, on_end, t) < 0 ||
	    nl_socket_modify_err_cb(t->sock, NL_CB_CUSTOM, on_error, t) < 0)
		return -EINVAL;
	*ret = take_ptr(t);
	return 0;
}

static int exchange(struct kernel_table *t, int len)
{
	if (len < 0)
		return len;
	t->n = t->error = 0;
	t->done = false;
	if (nl_sendto(t->sock, t->request, (size_t)len) < 0)
		return -EIO;
	while (!t->done)
		if (nl_recvmsgs_default(t->sock) < 0 && !t->done)
			return -EIO;
	return t->error;
}

static struct codec_header header(struct kernel_table *t, uint16_t flags)
{
	return (struct codec_header){ .family = t->family, .flags = flags, .seq = ++t->seq };
}

int kernel_table_count(struct kernel_table *t, const struct ipvs_service_key *key)
{
	struct codec_header h = header(t, NLM_F_DUMP);
	int r;

	t->wanted = NULL;
	r = exchange(t, codec_dest_request(t->request, sizeof(t->request), &h, IPVS_CMD_GET_DEST,
					   key, NULL));
	return r < 0 ? r : t->n;
}

int64_t kernel_table_weight(struct kernel_table *t, const struct ipvs_service_key *key,
			    const struct addr *dest)
{
	struct codec_header h = header(t, NLM_F_DUMP);
	int r;

	t->wanted = dest;
	t->service_family = key->family;
	t->weight = -ENOENT;
	r = exchange(t, codec_dest_request(t->request, sizeof(t->request), &h, IPVS_CMD_GET_DEST,
					   key, NULL));
	return r < 0 ? r : t->weight;
}

int kernel_table_flush(struct kernel_table *t)
{
	struct codec_header h = header(t, NLM_F_ACK);

	return exchange(t, codec_plain_request(t->request, sizeof(t->request), &h, IPVS_CMD_FLUSH));
}

int kernel_table_set_dest(struct kernel_table *t, const struct ipvs_service_key *key,
			  const struct ipvs_dest *d)
{
	struct codec_header h = header(t, NLM_F_ACK);

	return exchange(t, codec_dest_request(t->request, sizeof(t->request), &h, IPVS_CMD_SET_DEST,
					      key, d));
}

int kernel_table_delete_service(struct kernel_table *t, const struct ipvs_service_key *key)
{
	const struct ipvs_service s = { .key = *key };
	struct codec_header h = header(t, NLM_F_ACK);

	return exchange(t, codec_service_request(t->request, sizeof(t->request), &h,
						 IPVS_CMD_DEL_SERVICE, &s));
}

uint16_t kernel_table_family(const struct kernel_table *t)
{
	return t->family;
}
